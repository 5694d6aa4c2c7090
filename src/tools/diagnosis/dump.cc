// `hansa dump`: what processes did last, as JSON.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tools/commands.hpp"
#include "tools/diagnosis/processes.hpp"

namespace hansa::tools {
namespace {

struct DumpOptions {
  std::vector<pid_t> pids;
  std::string folder;
};

Status dump(const DumpOptions& options) {
  std::vector<control::FlightDump> all;
  for (const pid_t pid : options.pids.empty() ? diagnosis::processes_with_logbooks() : options.pids) {
    auto dumps = diagnosis::dumps_of(pid, control::kRecords, "hansa dump");
    if (!dumps.ok() && !options.pids.empty()) return dumps.status();
    if (!dumps.ok()) continue;  // it has ended meanwhile, or has only its parent's
    for (control::FlightDump& one : dumps.value()) all.push_back(std::move(one));
  }
  if (all.empty())
    return Status(Code::kInvalidArgument, "no process here of this user has a communicator of several ranks");
  if (options.folder.empty() && all.size() > 1)
    return Status(Code::kInvalidArgument,
                  "there are " + std::to_string(all.size()) + " ranks to write: name a folder with -o");
  if (options.folder.empty()) {
    std::fputs(all[0].json.c_str(), stdout);
    return {};
  }
  std::error_code ignored;  // writing tells
  std::filesystem::create_directories(options.folder, ignored);
  HANSA_RETURN_IF_ERROR(control::write_flight_dumps(all, options.folder));
  for (const control::FlightDump& one : all)
    std::printf("%s/%s\n", options.folder.c_str(), one.file_name.c_str());
  return {};
}

}  // namespace

void add_dump(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("dump", "Write what running processes did last");
  auto options = std::make_shared<DumpOptions>();
  command->add_option("pid", options->pids, "processes; by default all of this user's that use Hansa")
      ->type_name("PID")
      ->check(CLI::PositiveNumber);
  command->add_option(
      "-o,--output", options->folder,
      "a folder for one file per rank; without it a single rank is written to standard output");
  command->callback([options, &status] {
    const Status done = dump(*options);
    if (!done.ok()) std::fprintf(stderr, "hansa dump: %s\n", done.c_str());
    status = done.ok() ? 0 : 1;
  });
}

}  // namespace hansa::tools
