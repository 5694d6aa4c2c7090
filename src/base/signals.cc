#include "base/signals.hpp"

namespace hansa {

SignalsBlocked::SignalsBlocked() noexcept {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

HandlersKept::HandlersKept() noexcept {
  for (int number = 1; number < static_cast<int>(before_.size()); ++number)
    sigaction(number, nullptr, &before_[static_cast<std::size_t>(number)]);
}

HandlersKept::~HandlersKept() {
  for (int number = 1; number < static_cast<int>(before_.size()); ++number) {
    const struct sigaction& before = before_[static_cast<std::size_t>(number)];
    struct sigaction now {};
    if (sigaction(number, nullptr, &now) == 0 && now.sa_handler != before.sa_handler)
      sigaction(number, &before, nullptr);
  }
}

}  // namespace hansa
