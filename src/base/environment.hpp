// The process's environment: the only place that reads it, and that adds to it.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace hansa {

// The variable's value, or null where unset.
using Lookup = std::function<const char*(const char* name)>;
// Of this process's environment, which nobody may change meanwhile.
Lookup process_environment();

void for_each_variable(const std::function<void(std::string_view name, std::string_view value)>& use);

struct Assignment {
  std::string name, value;
};

// Sets those that are not set, an empty value being one, for libraries that read them later. setenv() may
// move the array of variables under another thread's getenv(); this puts a whole new one in its place by one
// store and frees nothing, so that others see the old or the new one. Who calls setenv() or putenv() at the
// very same time may lose one of both, as with any two of those. Costs its memory for the life of the
// process, so once is enough.
void supplement_environment(std::span<const Assignment> additions);

}  // namespace hansa
