// How everything fails. Nothing of ours throws: failures are born on progress threads and in C
// callbacks, where exceptions cannot travel.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace hansa {

enum class Code : std::uint8_t {
  kOk,
  kInvalidArgument,  // the call's own arguments are wrong
  kInvalidUsage,     // the call is legal by itself but not here or not now; also mismatches between ranks
  kSystem,           // the operating system or a limit refused; the message names the limit
  kInternal,         // a bug of ours
  kRemote,           // another rank died, left or did not come in time
  kDamaged,          // what arrived is not what can have been sent: certain, nobody else knows better
  kInProgress,       // a job of a non-blocking communicator still runs
  kUnsupported,      // this build or machine lacks it; another way may exist
  kAborted,          // ended by abort on this rank
};

// One word, null when ok. Copies share one immutable message; safe to copy between threads.
class [[nodiscard]] Status {
 public:
  Status() noexcept = default;
  Status(Code code, std::string message) : state_(new State{code, std::move(message)}) {}
  Status(const Status& other) noexcept : state_(other.state_) { retain(); }
  Status(Status&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Status& operator=(Status other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Status() { release(); }

  bool ok() const noexcept { return state_ == nullptr; }
  Code code() const noexcept { return state_ ? state_->code : Code::kOk; }
  // Cause and remedy in one line; empty when ok. Valid as long as this Status or a copy lives.
  std::string_view message() const noexcept {
    return state_ ? std::string_view(state_->message) : std::string_view();
  }
  const char* c_str() const noexcept { return state_ ? state_->message.c_str() : ""; }
  // The same failure with words put before its message: where it happened, seen from the caller.
  Status within(std::string_view context) const {
    return ok() ? Status() : Status(code(), std::string(context) + ": " + state_->message);
  }

 private:
  struct State {
    Code code;
    std::string message;
    std::atomic<std::uint32_t> references{1};
    State(Code c, std::string m) : code(c), message(std::move(m)) {}
  };
  void retain() const noexcept {
    if (state_) state_->references.fetch_add(1, std::memory_order_relaxed);
  }
  void release() noexcept {
    if (state_ && state_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete state_;
  }
  State* state_ = nullptr;
};

// A value or the reason why there is none. value() of a failed Result is a bug of the caller.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const noexcept { return value_.has_value(); }
  const Status& status() const noexcept { return status_; }
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return std::move(*value_); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace hansa

#define HANSA_RETURN_IF_ERROR(expression)                                                        \
  do {                                                                                           \
    if (::hansa::Status hansa_status_ = (expression); !hansa_status_.ok()) return hansa_status_; \
  } while (false)

#define HANSA_CONCAT_INNER(a, b) a##b
#define HANSA_CONCAT(a, b) HANSA_CONCAT_INNER(a, b)
// HANSA_ASSIGN_OR_RETURN(auto x, f()) declares x or returns f's failure from the enclosing function.
#define HANSA_ASSIGN_OR_RETURN(declaration, expression) \
  HANSA_ASSIGN_OR_RETURN_INNER(HANSA_CONCAT(hansa_result_, __LINE__), declaration, expression)
#define HANSA_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                         \
  if (!result.ok()) return result.status();                           \
  declaration = std::move(result).value()
