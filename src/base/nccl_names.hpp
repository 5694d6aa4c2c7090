// The variables that NCCL documents and this library does not heed, once, as data.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace hansa {

struct IgnoredName {
  const char* name;
  const char* why;
  bool grave = false;  // who sets it relies on it: said aloud; and its value is shown to nobody
};

// By name. Of NCCL's user guide up to 2.32 ("Environment Variables"), and a few that sites set though it does
// not list them.
std::span<const IgnoredName> ignored_nccl_names() noexcept;

const IgnoredName* find_ignored(std::string_view name) noexcept;  // null for a name that nobody documents

}  // namespace hansa
