// The control thread: one per process, asleep in epoll until a socket, a timer or a posted job wakes it.
// It serves rendezvous roots, leaders, control trees and descriptor exchange of all communicators of the
// process, and never touches data.
//
// It starts at first use, blocks all signals, is never joined and never holds the process back: exit simply
// ends it. A forked child does not inherit it; the child's first use starts one of its own and leaves the
// inherited one, its descriptors included, untouched.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
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
  // Runs `job` on the control thread and returns when it has run. Any thread, the control thread included.
  void run(const Job& job);
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

  EventLoop(pid_t owner, EventLoop* inherited) noexcept : owner_(owner), inherited_(inherited) {}
  Status start();
  void loop();
  void wait_and_dispatch();
  void survive_without_descriptors();
  template <class Call>
  static void guard(const Call& call) noexcept;
  void run_jobs();
  void run_timers();

  const pid_t owner_;
  EventLoop* const inherited_;  // a parent's: kept reachable for leak checkers, never used
  std::mutex mutex_;            // guards started_ and jobs_
  bool started_ = false;
  pthread_t thread_{};
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
