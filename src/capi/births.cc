#include "capi/births.hpp"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <system_error>
#include <thread>

#include "base/config.hpp"

namespace hansa {

CommunicatorOptions options_of(const Wishes& wishes) {
  CommunicatorOptions options;
  options.blocking = config().comm_blocking.value_or(wishes.blocking);
  options.name = wishes.name;
  options.network = wishes.network;
  return options;
}

Wishes wishes_of(const Communicator& communicator) {
  return {communicator.blocking(), communicator.name(), communicator.network()};
}

void retire(ncclComm_t comm, std::unique_ptr<Communicator> owned) {
  constexpr std::chrono::milliseconds kPatience{900};
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (communicators().in_use(comm) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  if (communicators().in_use(comm) || !progress().drain_for(*owned, kPatience)) (void)owned.release();
}

Status init(ncclComm_t* comm, const CommunicatorOptions& options) try {
  if (options.ranks < 1 || options.rank < 0 || options.rank >= options.ranks)
    return Status(Code::kInvalidArgument,
                  fmt::format("rank {} of {}: there must be at least one rank, and rank in "
                              "0..nranks-1",
                              options.rank, options.ranks));
  auto created = std::make_unique<Communicator>(options);
  void* handle = communicators().put(created.get());
  if (handle == nullptr)
    return Status(Code::kSystem, "too many communicators: destroy those no longer needed");
  (void)created.release();
  *comm = static_cast<ncclComm_t>(handle);
  return group().connect(communicators().find(handle), !options.blocking, [comm, handle] {
    if (std::unique_ptr<Communicator> failed(communicators().take(handle)); failed)
      retire(static_cast<ncclComm_t>(handle), std::move(failed));
    *comm = nullptr;
  });
} catch (const std::bad_alloc&) {
  return Status(Code::kSystem, "out of memory: RLIMIT_AS or the memory cgroup may be too low");
} catch (const std::system_error& error) {
  return Status(Code::kSystem,
                fmt::format("a thread cannot be started: {}; RLIMIT_NPROC or the pids cgroup may be too low",
                            error.what()));
}

Status descend(CommunicatorLease parent, Wish wish, const Wishes& wishes, ncclComm_t* newcomm) {
  CommunicatorOptions options = options_of(wishes);
  options.device = parent->device();
  const bool in_background = !parent->blocking();
  auto created = std::make_unique<Communicator>(options);
  Communicator* const child = created.get();
  void* handle = communicators().put(child);
  if (handle == nullptr)
    return Status(Code::kSystem, "too many communicators: destroy those no longer needed");
  (void)created.release();
  const auto deliver = [child, newcomm, handle] {
    // The program may look from another thread while it waits.
    std::atomic_ref<ncclComm_t>(*newcomm).store(child->absent() ? nullptr : static_cast<ncclComm_t>(handle),
                                                std::memory_order_release);
  };
  const auto recall = [handle] { return std::unique_ptr<Communicator>(communicators().take(handle)); };
  child->descend_from({std::move(parent), std::move(wish), deliver, recall});
  return group().connect(communicators().find(handle), in_background, [newcomm, handle] {
    if (std::unique_ptr<Communicator> failed(communicators().take(handle)); failed)
      retire(static_cast<ncclComm_t>(handle), std::move(failed));
    *newcomm = nullptr;
  });
}

}  // namespace hansa
