#include "core/factory.hpp"

#include <atomic>

#include "device/host/combine.hpp"
#include "device/host/host_memory.hpp"

namespace hansa {

Memory& host_memory() {
  static HostMemory* const memory = new HostMemory;
  return *memory;
}

CombineFunction host_combine_function() { return &host_combine; }

HandleTable<Communicator>& communicators() {
  static auto* const table = new HandleTable<Communicator>;
  return *table;
}

HandleTable<HostStream>& streams() {
  static auto* const table = new HandleTable<HostStream>;
  return *table;
}

Progress& progress() {
  // A forked child starts afresh: what the parent had pending is the parent's.
  static std::atomic<Progress*> current{nullptr};
  Progress* found = current.load(std::memory_order_acquire);
  if (found != nullptr && found->generation() == process_generation()) return *found;
  auto* fresh = new Progress(process_generation());
  if (current.compare_exchange_strong(found, fresh, std::memory_order_acq_rel)) return *fresh;
  delete fresh;
  return *found;
}

int next_operator() {
  static std::atomic<int> next{Communicator::kFirstOperator};
  return next.fetch_add(1, std::memory_order_relaxed);
}

Group& group() {
  thread_local Group group;
  return group;
}

std::atomic<int>& open_groups() {
  static std::atomic<int> threads{0};
  return threads;
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
