#include "control/event_loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <new>
#include <thread>
#include <utility>

#include "base/log.hpp"
#include "base/signals.hpp"

namespace hansa::control {
namespace {

constexpr std::chrono::milliseconds kLook{500};

}  // namespace

Result<EventLoop*> EventLoop::of_this_process() {
  static std::atomic<EventLoop*> current{nullptr};
  EventLoop* loop = current.load(std::memory_order_acquire);
  if (loop == nullptr || !loop->ours()) {
    // No lock: a forked child may have inherited one that was held.
    std::unique_ptr<EventLoop> fresh(new EventLoop(getpid(), loop));
    if (current.compare_exchange_strong(loop, fresh.get(), std::memory_order_acq_rel)) loop = fresh.release();
  }
  HANSA_RETURN_IF_ERROR(loop->start());
  return loop;
}

bool EventLoop::ours() const noexcept { return owner_ == getpid(); }

Status EventLoop::start() {
  std::lock_guard lock(mutex_);
  if (started_) return Status();
  Descriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.open()) return system_error("cannot create the control thread's epoll", errno);
  Descriptor wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.open()) return system_error("cannot create the control thread's eventfd", errno);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return system_error("cannot watch the control thread's eventfd", errno);
  }
  epoll_ = std::move(epoll);
  wake_ = std::move(wake);

  pthread_t thread{};
  const SignalsBlocked in_the_thread;
  const int error = pthread_create(
      &thread, nullptr,
      [](void* self) -> void* {
        static_cast<EventLoop*>(self)->loop();
        return nullptr;
      },
      this);
  if (error != 0) return system_error("cannot start the control thread", error);
  pthread_setname_np(thread, "hansa-control");
  pthread_detach(thread);
  started_ = true;
  return Status();
}

void EventLoop::post(Job job) {
  bool first;
  {
    std::lock_guard lock(mutex_);
    first = jobs_.empty();
    jobs_.push_back(std::move(job));
  }
  if (first) wake();
}

void EventLoop::wake() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);  // full means awake already
}

EventLoop::Turn::Turn(EventLoop& loop) : loop_(loop) {
  loop_.turn_.lock();
  loop_.taker_.store(std::this_thread::get_id(), std::memory_order_relaxed);
}

EventLoop::Turn::~Turn() {
  // The control thread is to hear of a timer before those that it knows.
  const bool for_ever = loop_.asleep_until_ == Clock::time_point::max();
  if ((for_ever && !loop_.watched_.empty()) ||
      (!loop_.timers_.empty() && loop_.timers_.begin()->first < loop_.asleep_until_))
    loop_.wake();
  loop_.taker_.store({}, std::memory_order_relaxed);
  loop_.turn_.unlock();
}

// Only a thread itself makes this true for it.
bool EventLoop::on_control_thread() const noexcept {
  return taker_.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

void EventLoop::run(const Job& job) {
  if (on_control_thread()) return job();
  const Turn turn(*this);
  run_jobs();
  job();
}

Result<EventLoop::Token> EventLoop::add(int fd, std::uint32_t events, Handler handler) {
  const Token token = next_token_++;
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return system_error("cannot watch a socket", errno);
  watched_.emplace(token, Watched{fd, std::make_shared<Handler>(std::move(handler))});
  return token;
}

void EventLoop::modify(Token token, std::uint32_t events) {
  const auto found = watched_.find(token);
  if (found == watched_.end()) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second.fd, &event);
}

void EventLoop::remove(Token token) {
  const auto found = watched_.find(token);
  if (found == watched_.end()) return;
  // Explicitly: while a forked child holds a copy of the descriptor, closing ours would not end the events.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
  watched_.erase(found);
}

EventLoop::Token EventLoop::after(std::chrono::milliseconds delay, Job job) {
  const Token token = next_token_++;
  timer_of_.emplace(token, timers_.emplace(Clock::now() + delay, Timer{token, std::move(job)}));
  return token;
}

void EventLoop::cancel(Token timer) {
  const auto found = timer_of_.find(timer);
  if (found == timer_of_.end()) return;
  timers_.erase(found->second);
  timer_of_.erase(found);
}

// Without memory one event is lost rather than the process: who needed it has a deadline.
template <class Call>
void EventLoop::guard(const Call& call) noexcept {
  try {
    call();
  } catch (const std::bad_alloc&) {
    // Not HANSA_WARN, which would allocate.
    if (logs(LogLevel::kWarn))
      write_log(LogLevel::kWarn,
                "the control thread is out of memory: RLIMIT_AS or the memory cgroup may be too low");
  }
}

void EventLoop::loop() {
  epoll_event events[64];
  int timeout = 0;
  for (;;) {
    const int found = epoll_wait(epoll_.get(), events, 64, timeout);
    const bool lost = found < 0 && errno != EINTR;
    // There is nothing to wake this thread for jobs and timers any more.
    if (lost) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const Turn turn(*this);
    if (lost) tell_of_lost_descriptors();
    // Copies: the kernel's structure is packed.
    for (int i = 0; i < found; ++i) dispatch(std::uint64_t{events[i].data.u64}, events[i].events);
    run_jobs();
    run_timers();
    timeout = patience();
  }
}

void EventLoop::dispatch(std::uint64_t token, std::uint32_t events) {
  if (token == 0) {
    std::uint64_t count;
    [[maybe_unused]] const auto drained = ::read(wake_.get(), &count, sizeof count);
    return;
  }
  const auto watched = watched_.find(token);
  if (watched == watched_.end()) return;
  const std::shared_ptr<Handler> handler = watched->second.handler;
  guard([&] { (*handler)(events); });
}

// How long to sleep, in milliseconds. A program that closes this thread's descriptors does not wake it.
int EventLoop::patience() {
  if (watched_.empty() && timers_.empty()) {
    asleep_until_ = Clock::time_point::max();
    return -1;
  }
  const auto now = Clock::now();
  asleep_until_ = now + kLook;
  if (!timers_.empty()) asleep_until_ = std::min(asleep_until_, timers_.begin()->first);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(asleep_until_ - now).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

// The program has closed what was not its own. Everybody who watches finds out by looking.
void EventLoop::tell_of_lost_descriptors() {
  if (std::exchange(bereft_, true)) return;
  std::map<Token, std::shared_ptr<Handler>> all;
  for (const auto& [token, watched] : watched_) all.emplace(token, watched.handler);
  for (const auto& one : all)
    if (watched_.contains(one.first)) guard([&] { (*one.second)(EPOLLIN | EPOLLHUP | EPOLLERR); });
}

void EventLoop::run_jobs() {
  std::vector<Job> jobs;
  {
    std::lock_guard lock(mutex_);
    jobs.swap(jobs_);
  }
  for (Job& job : jobs) guard(job);
}

void EventLoop::run_timers() {
  const auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const auto first = timers_.begin();
    const Job job = std::move(first->second.job);
    timer_of_.erase(first->second.token);
    timers_.erase(first);
    guard(job);
  }
}

}  // namespace hansa::control
