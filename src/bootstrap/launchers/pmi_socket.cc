// The socket that PMI_FD names: asking and being answered, in lines and in messages with a length.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/process.hpp"
#include "bootstrap/launchers/environment.hpp"
#include "bootstrap/launchers/pmi.hpp"

namespace hansa::bootstrap {
namespace {

constexpr std::size_t kMostLine = 4096;

}  // namespace

Deadline answer_deadline() { return deadline_in(std::chrono::seconds(30)); }
Deadline goodbye_deadline() { return deadline_in(std::chrono::seconds(2)); }

std::uint64_t PmiSocket::process_generation_now() noexcept { return process_generation(); }

Result<PmiSocket> PmiSocket::of_environment(const Lookup& lookup) {
  HANSA_ASSIGN_OR_RETURN(const std::int64_t number, number_of(lookup, "PMI_FD", 0, 1 << 20));
  const int fd = static_cast<int>(number);
  // Inherited from a process that was a rank, the variable may lie, and the number be another file's.
  struct stat kind {};
  if (::fstat(fd, &kind) != 0 || !S_ISSOCK(kind.st_mode))
    return Status(
        Code::kUnsupported,
        fmt::format("PMI_FD={} is no open socket: a program between mpiexec or srun and this one has "
                    "closed it; start this program by the launcher itself, or unset PMI_FD to run "
                    "it alone",
                    fd));
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return control::system_error("cannot copy the socket of PMI_FD", errno);
  return PmiSocket(Stream(control::Descriptor(copy)));
}

Status PmiSocket::fail(const Status& why, std::string_view expected) {
  broken_ = true;
  return Status(why.code(), fmt::format("no {} from the launcher's process manager (PMI_FD): {}; look for "
                                        "ranks that have not started or have ended",
                                        expected, why.message()));
}

Result<PmiAnswer> PmiSocket::check(std::optional<PmiAnswer> answer, std::string_view expected) {
  if (!answer || answer->command != expected)
    return fail(Status(Code::kRemote, "it says something else"), expected);
  return std::move(*answer);
}

Result<PmiAnswer> PmiSocket::ask_line(const std::string& line, std::string_view expected, Deadline deadline) {
  if (!usable()) return Status(Code::kInvalidUsage, "this launcher has failed before; start the job again");
  if (const Status sent = stream_.write(line + "\n", deadline); !sent.ok()) return fail(sent, expected);
  const auto answer = stream_.read_line(kMostLine, deadline);
  if (!answer.ok()) return fail(answer.status(), expected);
  return check(parse_pmi1(answer.value()), expected);
}

Result<std::string> PmiSocket::receive_message(Deadline deadline) {
  std::string digits(kPmi2LengthBytes, ' ');
  HANSA_RETURN_IF_ERROR(stream_.read(std::as_writable_bytes(std::span(digits)), deadline));
  const auto length = parse_pmi2_length(digits);
  if (!length) return Status(Code::kRemote, "an answer has no valid length");
  std::string body(*length, ' ');
  HANSA_RETURN_IF_ERROR(stream_.read(std::as_writable_bytes(std::span(body)), deadline));
  return body;
}

Result<PmiAnswer> PmiSocket::ask_message(const std::string& body, std::string_view expected,
                                         Deadline deadline) {
  if (!usable()) return Status(Code::kInvalidUsage, "this launcher has failed before; start the job again");
  if (const Status sent = stream_.write(with_pmi2_length(body), deadline); !sent.ok())
    return fail(sent, expected);
  const auto answer = receive_message(deadline);
  if (!answer.ok()) return fail(answer.status(), expected);
  return check(parse_pmi2(answer.value()), expected);
}

}  // namespace hansa::bootstrap
