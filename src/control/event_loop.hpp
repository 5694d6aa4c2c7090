// The control thread: one per process, asleep in epoll until a socket, a timer or a posted job wakes it.
// It serves rendezvous roots, leaders, control trees and descriptor exchange of all communicators of the
// process, and never touches data.
//
// What is said to be the control thread's happens there or, by run(), on a thread that asks for it meanwhile:
// one at a time, so that neither needs a lock.
//
// It starts at first use, blocks all signals, is never joined and never holds the process back: exit simply
// ends it. A forked child does not inherit it; the child's first use starts one of its own and leaves the
// inherited one, its descriptors included, untouched.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <typeindex>
#include <unordered_map>
#include <vector>

#include "control/descriptor.hpp"
#include "hansa/status.hpp"

namespace hansa::control {

class EventLoop {
 public:
  using Job = std::function<void()>;
  using Handler = std::function<void(std::uint32_t events)>;
  using Token = std::uint64_t;  // of a watched descriptor or a timer; never used twice, never 0
  using Clock = std::chrono::steady_clock;

  // The loop of this process, running. It lives until the process ends. Any thread.
  static Result<EventLoop*> of_this_process();

  // False in a forked child of the process that this loop belongs to: then nothing else may be called.
  bool ours() const noexcept;

  // Runs `job` on the control thread, soon. Any thread; does not block.
  void post(Job job);
  // Runs `job` here, after all that was posted before, while the control thread stands still. Any thread, the
  // control thread included. Waking that one and waiting for it would cost two changes of threads.
  void run(const Job& job);
  // Whether this thread is the control thread or within run().
  bool on_control_thread() const noexcept;

  // From here on: control thread only.
  // `fd` stays the caller's, who must call remove() before closing it. `events` as for epoll_ctl,
  // level-triggered.
  Result<Token> add(int fd, std::uint32_t events, Handler handler);
  void modify(Token token, std::uint32_t events);
  // The handler is not called any more, also where the event has been collected already. 0 is ignored.
  void remove(Token token);
  Token after(std::chrono::milliseconds delay, Job job);
  void cancel(Token timer);  // 0 and timers that ran are ignored
  // The one T of this process, made at first use: what would be a global variable lives here instead, where a
  // forked child gets its own.
  template <class T>
  T& local() {
    std::shared_ptr<void>& slot = locals_[std::type_index(typeid(T))];
    if (!slot) slot = std::make_shared<T>();
    return *static_cast<T*>(slot.get());
  }

 private:
  struct Watched {
    int fd;
    std::shared_ptr<Handler> handler;  // shared: a handler may remove itself while it runs
  };
  struct Timer {
    Token token;
    Job job;
  };
  using Timers = std::multimap<Clock::time_point, Timer>;

  // Of being the control thread.
  class Turn {
   public:
    explicit Turn(EventLoop& loop);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    EventLoop& loop_;
  };

  EventLoop(pid_t owner, EventLoop* inherited) noexcept : owner_(owner), inherited_(inherited) {}
  Status start();
  void loop();
  int patience();
  void dispatch(std::uint64_t token, std::uint32_t events);
  void wake() noexcept;
  void tell_of_lost_descriptors();
  template <class Call>
  static void guard(const Call& call) noexcept;
  void run_jobs();
  void run_timers();

  const pid_t owner_;
  // A parent's: kept reachable for leak checkers.
  [[maybe_unused]] EventLoop* const inherited_;
  std::mutex mutex_;  // guards started_ and jobs_
  bool started_ = false;
  std::mutex turn_;                       // guards all that is the control thread's
  std::atomic<std::thread::id> taker_{};  // who has it
  Clock::time_point asleep_until_ = Clock::time_point::max();
  std::vector<Job> jobs_;
  Descriptor epoll_, wake_;
  Token next_token_ = 1;  // 0 is the wake-up descriptor in epoll
  std::unordered_map<Token, Watched> watched_;
  bool bereft_ = false;  // of its descriptors
  Timers timers_;
  std::unordered_map<Token, Timers::iterator> timer_of_;
  std::unordered_map<std::type_index, std::shared_ptr<void>> locals_;
};

}  // namespace hansa::control
