// Signals are the program's: what runs here on its behalf keeps out of their way.
#pragma once

#include <signal.h>

#include <array>

namespace hansa {

// While it lives, this thread has all signals blocked, and so have, for good, the threads that start
// meanwhile: none of the program's signals can land on them.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept;
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// At its end the program's signals have the handlers that they had at its beginning, whatever a library that
// was loaded meanwhile has put there; or another thread of the program, so keep it short.
class HandlersKept {
 public:
  HandlersKept() noexcept;
  ~HandlersKept();
  HandlersKept(const HandlersKept&) = delete;
  HandlersKept& operator=(const HandlersKept&) = delete;

 private:
  std::array<struct sigaction, 32> before_{};  // of 1 to 31; real-time signals are nobody's to take
};

}  // namespace hansa
