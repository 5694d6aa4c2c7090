#include "bootstrap/link_end.hpp"

#include <fmt/format.h>

#include <cerrno>

namespace hansa::bootstrap {
namespace {

// " over eth0", and whose fault it may be.
std::string silence_text(const LinkEnd& end) {
  if (!end.rail.up) return fmt::format("the interface {} of host {} is down", end.rail.name, end.own_host);
  return fmt::format(
      "no answer for {} s{}; is the host down, or its network?", kHostLostSeconds,
      end.rail.name.empty() ? "" : fmt::format(" over {} of host {}", end.rail.name, end.own_host));
}

}  // namespace

bool LinkEnd::is_silence() const {
  return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH;
}

Status out_of_reach(const Process& process, Rank asker, const LinkEnd& end) {
  return Status(Code::kRemote,
                fmt::format("{} lost to rank {}: {}", process.text(), asker, silence_text(end)));
}

Status death_of(const Process& process, const std::vector<Rank>& ranks, const LinkEnd& end) {
  const std::string who =
      fmt::format("{} (host {}, pid {})", ranks_text(ranks), process.host_name, process.pid);
  if (end.is_silence()) return Status(Code::kRemote, who + " lost: " + silence_text(end));
  if (end.error == EPROTO)
    return Status(Code::kRemote, who + " lost: its connection carried bytes that it cannot have sent");
  return Status(Code::kRemote,
                who +
                    " died: killed, or exited without leaving the communicator; see its output and the "
                    "system log of its host");
}

Status death_in_init(const Process& process, const LinkEnd& end) {
  return Status(Code::kRemote,
                process.text() + (end.is_silence()
                                      ? " lost during init: " + silence_text(end)
                                      : " died during init: killed, or exited before all ranks had joined"));
}

}  // namespace hansa::bootstrap
