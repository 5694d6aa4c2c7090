#include "control/descriptor.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cerrno>
#include <system_error>

namespace hansa::control {

Status system_error(std::string_view what, int error) {
  std::string text = fmt::format("{}: {}", what, std::generic_category().message(error));
  if (error == EMFILE) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    text += fmt::format(" (RLIMIT_NOFILE is {}, at most {}); raise it with ulimit -n", limit.rlim_cur,
                        limit.rlim_max);
  } else if (error == ENFILE) {
    text += " (of the whole host, see fs.file-max); ask the administrator to raise it";
  } else if (error == ENOBUFS || error == ENOMEM) {
    text += " (the kernel is out of memory for sockets); free memory on this host";
  } else if (error == EAGAIN) {
    text += " (a limit of processes or threads, see ulimit -u and the control group's pids.max); raise it";
  }
  return Status(Code::kSystem, std::move(text));
}

}  // namespace hansa::control
