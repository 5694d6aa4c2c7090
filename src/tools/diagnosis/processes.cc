#include "tools/diagnosis/processes.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

#include "control/descriptor.hpp"
#include "control/logbook_reading.hpp"

namespace hansa::diagnosis {
namespace {

namespace fs = std::filesystem;
using control::Descriptor;

// Entries of a folder, or nothing where it cannot be read.
std::vector<fs::path> entries(const std::string& folder, std::error_code& error) {
  std::vector<fs::path> found;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    found.push_back(at->path());
  return found;
}

// Open files of a process that are called as logbooks are. A forked child has its parent's, too.
std::vector<fs::path> candidates(pid_t pid, std::error_code& error) {
  const std::string wanted = fmt::format("/memfd:{} (deleted)", control::kLogbookName);
  std::vector<fs::path> found;
  for (const fs::path& entry : entries(fmt::format("/proc/{}/fd", pid), error)) {
    std::error_code gone;
    if (fs::read_symlink(entry, gone) == wanted) found.push_back(entry);
  }
  return found;
}

// As the process sees itself, which in a container is another number.
pid_t own_pid_of(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("NSpid:")) return std::atoi(line.substr(line.find_last_of("\t ") + 1).c_str());
  return pid;
}

std::string owner_of(pid_t pid) {
  struct stat about {};
  if (::stat(fmt::format("/proc/{}", pid).c_str(), &about) != 0) return "another user";
  const passwd* const user = getpwuid(about.st_uid);
  return user != nullptr ? user->pw_name : fmt::format("user {}", about.st_uid);
}

Status why_not(pid_t pid, const std::error_code& error) {
  if (error.value() == EACCES || error.value() == EPERM)
    return Status(
        Code::kInvalidUsage,
        fmt::format("process {} belongs to {}: only that user and root may look at it", pid, owner_of(pid)));
  if (error.value() == ENOENT)
    return Status(Code::kInvalidArgument, fmt::format("there is no process {} on this machine", pid));
  if (error)
    return Status(Code::kSystem, fmt::format("/proc/{}/fd cannot be read: {}", pid, error.message()));
  return Status(Code::kInvalidArgument,
                fmt::format("process {} has no communicator of several ranks, or does not use Hansa", pid));
}

Result<control::LoggedProcess> read_process(pid_t pid, std::size_t newest) {
  std::error_code error;
  const std::vector<fs::path> files = candidates(pid, error);
  Status refusal = why_not(pid, error);
  for (const fs::path& path : files) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.open()) {
      refusal = why_not(pid, std::error_code(errno, std::generic_category()));
      continue;
    }
    auto process = control::read_logbook(file.get(), newest);
    if (process.ok() && process.value().pid == own_pid_of(pid)) return process;
    if (!process.ok()) refusal = process.status();
  }
  return refusal;
}

}  // namespace

Result<std::vector<control::FlightDump>> dumps_of(pid_t pid, std::size_t newest, std::string_view reason) {
  HANSA_ASSIGN_OR_RETURN(const control::LoggedProcess process, read_process(pid, newest));
  return control::flight_dumps(process, pid, reason);
}

std::vector<pid_t> processes_with_logbooks() {
  std::vector<pid_t> found;
  std::error_code error;
  for (const fs::path& entry : entries("/proc", error)) {
    const std::string name = entry.filename();
    pid_t pid = 0;
    const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), pid);
    std::error_code refused;
    if (wrong == std::errc() && *end == '\0' && !candidates(pid, refused).empty()) found.push_back(pid);
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace hansa::diagnosis
