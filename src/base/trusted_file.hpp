// Files that decide something: only what their owner wrote counts.
#pragma once

#include <optional>
#include <string>

#include "hansa/status.hpp"

namespace hansa {

// The whole of a regular file of at most `most` bytes that belongs to root or to this user and that nobody
// else may write; nothing where there is no such file, or where it is /dev/null. kInvalidUsage for one that
// others could have written, kSystem for one that cannot be read. Does not wait for what is no file (a pipe).
// Any thread.
Result<std::optional<std::string>> read_trusted_file(const std::string& path, std::size_t most);

}  // namespace hansa
