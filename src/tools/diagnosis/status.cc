// `hansa status`: what this user's communicators on this machine do now.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/ticks.hpp"
#include "tools/commands.hpp"
#include "tools/diagnosis/processes.hpp"
#include "tools/diagnosis/verdict.hpp"

namespace hansa::tools {
namespace {

using diagnosis::Membership;
using diagnosis::Operation;
using Json = nlohmann::ordered_json;

struct StatusOptions {
  bool json = false;
  double watch = 0;  // seconds between two tables; 0: once
};

// One look at all there is.
struct Sample {
  std::int64_t at_ns = 0;
  diagnosis::Job job;
};

// Bytes by process, communicator and rank.
using Traffic = std::map<std::tuple<std::int64_t, std::string, Rank>, std::uint64_t>;

Sample look() {
  constexpr std::size_t kNewest = 4;  // the last of each class, most likely
  Sample sample;
  for (const pid_t pid : diagnosis::processes_with_logbooks()) {
    const auto dumps = diagnosis::dumps_of(pid, kNewest, "");
    if (!dumps.ok()) continue;  // it has ended meanwhile, or has only its parent's
    for (const control::FlightDump& dump : dumps.value()) {
      auto rank = diagnosis::parse_dump(dump.json);
      if (!rank.ok()) continue;
      std::erase_if(rank.value().memberships, [](const Membership& one) { return one.closed_ns != 0; });
      if (!rank.value().memberships.empty()) sample.job.ranks.push_back(std::move(rank).value());
    }
  }
  sample.at_ns = clock_ns(CLOCK_MONOTONIC);
  return sample;
}

Traffic traffic_of(const Sample& sample) {
  Traffic traffic;
  for (const auto& rank : sample.job.ranks)
    for (const Membership& one : rank.memberships) traffic[{rank.pid, one.number, one.rank}] = one.bytes;
  return traffic;
}

// A communicator of a rank, with what only two looks or a clock can tell.
struct Row {
  const diagnosis::RankOfJob* rank;
  const Membership* membership;
  double bytes_per_second;
  std::int64_t ns;  // since the newest operation began or ended
};

// Those who wait longest first.
std::vector<Row> rows_of(const Sample& before, const Sample& now) {
  const Traffic then = traffic_of(before);
  const double elapsed = 1e-9 * static_cast<double>(now.at_ns - before.at_ns);
  std::vector<Row> rows;
  for (const auto& rank : now.job.ranks)
    for (const Membership& one : rank.memberships) {
      const auto had = then.find({rank.pid, one.number, one.rank});
      const double rate =
          had != then.end() && elapsed > 0 ? static_cast<double>(one.bytes - had->second) / elapsed : 0;
      const Operation* newest = one.newest();
      const std::int64_t since = newest == nullptr       ? one.opened_ns
                                 : newest->ended_ns != 0 ? newest->ended_ns
                                                         : newest->started_ns;
      rows.push_back({&rank, &one, rate, rank.dumped_ns - since});
    }
  const auto waits = [](const Row& row) { return row.membership->unfinished() != nullptr ? row.ns : -1; };
  std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) { return waits(a) > waits(b); });
  return rows;
}

std::string doing(const Row& row) {
  const Operation* newest = row.membership->newest();
  if (newest == nullptr) return "nothing called yet";
  if (newest->state == Operation::State::kStarted)
    return fmt::format("in {} for {}", newest->text, diagnosis::duration(row.ns));
  return fmt::format("{} {} {} ago", newest->text,
                     newest->state == Operation::State::kDone ? "ended" : "failed",
                     diagnosis::duration(row.ns));
}

std::string rate_text(double bytes_per_second) {
  return bytes_per_second >= 1e9 ? fmt::format("{:.2f} GB/s", 1e-9 * bytes_per_second)
                                 : fmt::format("{:.2f} MB/s", 1e-6 * bytes_per_second);
}

void print_text(const std::vector<Row>& rows, const std::vector<diagnosis::Finding>& findings) {
  if (rows.empty()) {
    std::puts("no process here of this user has a communicator of several ranks");
    return;
  }
  std::string table = fmt::format("{:>8} {:>11}  {:<28} {:<10} {:>10} {:>13}  {}\n", "PID", "RANK",
                                  "COMMUNICATOR", "STATE", "OPERATIONS", "TRAFFIC", "NOW");
  for (const Row& row : rows) {
    const Membership& one = *row.membership;
    table += fmt::format("{:>8} {:>11}  {:<28} {:<10} {:>10} {:>13}  {}\n", row.rank->pid,
                         fmt::format("{} of {}", one.rank, one.ranks), one.label(), one.state, one.begun,
                         rate_text(row.bytes_per_second), doing(row));
    if (!one.late.empty())
      table += fmt::format("{:>8} late, as of {} ago: {}\n", "",
                           diagnosis::duration(row.rank->dumped_ns - one.late_told_ns), one.late);
    if (one.rails_lost > 0)
      table += fmt::format(
          "{:>8} of {} rails {} paths to peers are down; lost {} times, used again {} times, {} messages "
          "sent again\n",
          "", one.rails, one.rails_down, one.rails_lost, one.rails_back, one.resent);
    if (!one.failure.empty()) table += fmt::format("{:>8} failed: {}\n", "", one.failure);
  }
  for (const diagnosis::Finding& finding : findings)
    if (finding.verdict != diagnosis::Verdict::kFailed)
      table += fmt::format("{}: {}\n", name_of(finding.verdict), finding.text);
  std::fputs(table.c_str(), stdout);
}

Json json_of(const Row& row) {
  const Membership& one = *row.membership;
  const Operation* newest = one.newest();
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  Json json = {{"pid", row.rank->pid},
               {"host", row.rank->host},
               {"communicator", one.number},
               {"name", one.name},
               {"rank", one.rank},
               {"ranks", one.ranks},
               {"state", one.state},
               {"transports", one.transports},
               {"operations", one.begun},
               {"bytes", one.bytes},
               {"bytes_per_second", row.bytes_per_second},
               {"operation", newest == nullptr ? Json() : Json(newest->text)},
               {"running", newest != nullptr && newest->state == Operation::State::kStarted},
               {"seconds", 1e-9 * static_cast<double>(row.ns)},
               {"late", or_null(one.late)},
               {"late_told_seconds_ago", 1e-9 * static_cast<double>(row.rank->dumped_ns - one.late_told_ns)},
               {"failure", or_null(one.failure)}};
  if (one.rails > 0)
    json["rails"] = {{"count", one.rails},
                     {"down", one.rails_down},
                     {"lost", one.rails_lost},
                     {"back", one.rails_back},
                     {"resent", one.resent}};
  if (one.late.empty()) json["late_told_seconds_ago"] = nullptr;
  return json;
}

void print_json(const std::vector<Row>& rows, const std::vector<diagnosis::Finding>& findings) {
  Json all = Json::array(), found = Json::array();
  for (const Row& row : rows) all.push_back(json_of(row));
  for (const diagnosis::Finding& one : findings)
    found.push_back({{"verdict", name_of(one.verdict)},
                     {"communicator", one.communicator},
                     {"ranks", one.ranks},
                     {"text", one.text}});
  std::puts(Json{{"communicators", all}, {"findings", found}}.dump().c_str());
}

void show(const StatusOptions& options) {
  constexpr std::chrono::milliseconds kBetween{200};  // the two looks that the first rate is measured by
  const bool clear = !options.json && options.watch > 0 && isatty(STDOUT_FILENO) == 1;
  Sample before = look();
  std::this_thread::sleep_for(kBetween);
  for (;;) {
    Sample now = look();
    if (clear) std::fputs("\033[H\033[J", stdout);
    (options.json ? print_json : print_text)(rows_of(before, now),
                                             judge(now.job, diagnosis::Scope::kMachine));
    std::fflush(stdout);
    if (options.watch <= 0) return;
    before = std::move(now);
    std::this_thread::sleep_for(std::chrono::duration<double>(options.watch));
  }
}

}  // namespace

void add_status(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("status", "Show what communicators on this machine do now");
  auto options = std::make_shared<StatusOptions>();
  command->add_flag("--json", options->json, "as JSON, a line for each look");
  command->add_option("--watch", options->watch, "look again every so many seconds (2), until Ctrl-C")
      ->expected(0, 1)
      ->default_str("2")
      ->check(CLI::Range(0.1, 3600.0));
  command->callback([options, command, &status] {
    if (command->count("--watch") > 0 && options->watch <= 0) options->watch = 2;
    show(*options);
    status = 0;
  });
}

}  // namespace hansa::tools
