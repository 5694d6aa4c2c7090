// `hansa trace merge`: dumps of all ranks, judged and put on one clock.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tools/commands.hpp"
#include "tools/diagnosis/timeline.hpp"
#include "tools/diagnosis/verdict.hpp"

namespace hansa::tools {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct TraceOptions {
  std::vector<std::string> paths;
  std::string trace;
  bool json = false;
};

// Files as they are named; of folders the dumps that lie in them.
std::vector<std::string> files_of(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> here;
    for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error))
      if (at->path().filename().string().starts_with("hansa-flight-") && at->path().extension() == ".json")
        here.push_back(at->path());
    std::sort(here.begin(), here.end());
    files.insert(files.end(), here.begin(), here.end());
  }
  return files;
}

Result<diagnosis::Job> read_job(const std::vector<std::string>& paths) {
  diagnosis::Job job;
  for (const std::string& path : files_of(paths)) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    if (!file) return Status(Code::kInvalidArgument, path + " cannot be read");
    auto rank = diagnosis::parse_dump(text.str());
    if (!rank.ok()) return rank.status().within(path);
    job.ranks.push_back(std::move(rank).value());
  }
  if (job.ranks.empty())
    return Status(Code::kInvalidArgument, "there is no hansa-flight-*.json in that folder");
  std::stable_sort(
      job.ranks.begin(), job.ranks.end(),
      [](const diagnosis::RankOfJob& a, const diagnosis::RankOfJob& b) { return a.rank < b.rank; });
  return job;
}

void print_findings(const diagnosis::Job& job, const std::vector<diagnosis::Finding>& findings) {
  std::printf("%zu ranks\n", job.ranks.size());
  for (const diagnosis::Finding& one : findings)
    std::printf("%s: %s\n", std::string(name_of(one.verdict)).c_str(), one.text.c_str());
  if (findings.empty())
    std::puts("nothing is the matter: no call waits, none differs, no communicator has failed");
}

void print_findings_as_json(const diagnosis::Job& job, const std::vector<diagnosis::Finding>& findings) {
  Json found = Json::array(), ranks = Json::array();
  for (const diagnosis::Finding& one : findings)
    found.push_back({{"verdict", name_of(one.verdict)},
                     {"communicator", one.communicator},
                     {"ranks", one.ranks},
                     {"text", one.text}});
  const std::vector<std::int64_t> shifts = clock_shifts(job);
  for (std::size_t i = 0; i < job.ranks.size(); ++i)
    ranks.push_back({{"rank", job.ranks[i].rank},
                     {"host", job.ranks[i].host},
                     {"pid", job.ranks[i].pid},
                     {"reason", job.ranks[i].reason},
                     {"clock_shift_ns", shifts[i]}});
  std::puts(Json{{"findings", found}, {"ranks", ranks}}.dump(2).c_str());
}

Status merge(const TraceOptions& options) {
  HANSA_ASSIGN_OR_RETURN(const diagnosis::Job job, read_job(options.paths));
  if (!options.trace.empty()) {
    std::ofstream file(options.trace);
    file << trace_of(job) << std::flush;
    if (!file) return Status(Code::kSystem, options.trace + " cannot be written");
  }
  const std::vector<diagnosis::Finding> findings = judge(job);
  (options.json ? print_findings_as_json : print_findings)(job, findings);
  return {};
}

}  // namespace

void add_trace(CLI::App& app, int& status) {
  CLI::App* trace = app.add_subcommand("trace", "What all ranks of a job did");
  trace->require_subcommand(1);
  CLI::App* command = trace->add_subcommand("merge", "Say from dumps who is late or which call differs");
  auto options = std::make_shared<TraceOptions>();
  command->add_option("dumps", options->paths, "files of `hansa dump` or HANSA_DUMP, or folders of them")
      ->required()
      ->check(CLI::ExistingPath);
  command->add_option("-o,--output", options->trace, "also write a trace for chrome://tracing or Perfetto");
  command->add_flag("--json", options->json, "as JSON");
  command->callback([options, &status] {
    const Status done = merge(*options);
    if (!done.ok()) std::fprintf(stderr, "hansa trace merge: %s\n", done.c_str());
    status = done.ok() ? 0 : 1;
  });
}

}  // namespace hansa::tools
