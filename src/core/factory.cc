#include "core/factory.hpp"

#include <atomic>
#include <memory>
#include <string_view>
#include <vector>

#include "device/host/combine.hpp"
#include "device/host/host_memory.hpp"
#include "hansa/algorithm.hpp"

namespace hansa {

Memory& host_memory() {
  static HostMemory* const memory = new HostMemory;
  return *memory;
}

CombineChooser host_combine_chooser() { return &choose_host_combine; }

// One for each process: a forked child starts afresh, and what the parent has is the parent's.
template <class T, class Make>
T& of_this_process(std::atomic<T*>& current, Make make) {
  T* found = current.load(std::memory_order_acquire);
  if (found != nullptr && found->generation() == process_generation()) return *found;
  std::unique_ptr<T> fresh = make();
  if (!current.compare_exchange_strong(found, fresh.get(), std::memory_order_acq_rel)) return *found;
  return *fresh.release();
}

Progress& progress() {
  static std::atomic<Progress*> current{nullptr};
  return of_this_process(current, [] { return std::make_unique<Progress>(process_generation()); });
}

SharedParts& shared_parts() {
  struct OfProcess {
    std::uint64_t generation() const { return made_in; }
    std::uint64_t made_in = process_generation();
    SharedParts parts;
  };
  static std::atomic<OfProcess*> current{nullptr};
  return of_this_process(current, [] { return std::make_unique<OfProcess>(); }).parts;
}

control::Logbook& logbook() {
  static std::atomic<control::Logbook*> current{nullptr};
  return of_this_process(current, [] {
    std::vector<std::string_view> names;
    for (const Algorithm& algorithm : builtin_algorithms()) names.push_back(algorithm.name);
    return std::make_unique<control::Logbook>(process_generation(), names);
  });
}

FailureDump& failure_dump() {
  static std::atomic<FailureDump*> current{nullptr};
  return of_this_process(current, [] { return std::make_unique<FailureDump>(process_generation()); });
}

int next_operator() {
  static std::atomic<int> next{Communicator::kFirstOperator};
  return next.fetch_add(1, std::memory_order_relaxed);
}

Group& group() {
  thread_local Group group;
  return group;
}

std::string& last_error() {
  thread_local std::string text;
  return text;
}

std::string& last_setting() {
  thread_local std::string text;
  return text;
}

}  // namespace hansa
