// `hansa schedule`: what the algorithms do, as text, as a picture, and proven.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "hansa/algorithm.hpp"
#include "schedule/check.hpp"
#include "schedule/print.hpp"
#include "tools/commands.hpp"

namespace hansa::tools {
namespace {

struct ScheduleOptions {
  std::string collective, algorithm;
  Rank ranks = 8, rank = 0, root = 0;
  std::uint32_t radix = 2;
  std::vector<std::uint32_t> hosts, groups;
  bool svg = false, all = false;
  Levels levels;
};

// A label for each member: as many of one as the part has.
std::vector<std::uint32_t> labels_of(const std::vector<std::uint32_t>& sizes) {
  std::vector<std::uint32_t> labels;
  for (std::uint32_t part = 0; part < sizes.size(); ++part) labels.insert(labels.end(), sizes[part], part);
  return labels;
}

bool lay_out(ScheduleOptions& options) {
  if (options.hosts.empty()) return true;
  const auto host_of = labels_of(options.hosts), group_of_host = labels_of(options.groups);
  if (!options.groups.empty() && group_of_host.size() != options.hosts.size()) {
    std::fprintf(stderr, "hansa: the groups have %zu hosts, but there are %zu\n", group_of_host.size(),
                 options.hosts.size());
    return false;
  }
  std::vector<std::uint32_t> group_of;
  for (const std::uint32_t host : host_of)
    if (!options.groups.empty()) group_of.push_back(group_of_host[host]);
  options.ranks = static_cast<Rank>(host_of.size());
  options.levels = Levels(host_of, group_of);
  return true;
}

const Algorithm* find(ScheduleOptions& options, Query& query) {
  if (!lay_out(options)) return nullptr;
  if (!options.hosts.empty()) query.levels = &options.levels;
  query.ranks = options.ranks;
  query.root = options.root;
  query.radix = options.radix;
  for (const Algorithm& row : builtin_algorithms())
    if (name_of(row.collective) == options.collective && row.name == options.algorithm) {
      query.collective = row.collective;
      if (row.supports(query)) return &row;
      std::fprintf(stderr, "hansa: %s %s cannot run with %d ranks, root %d, radix %u%s\n",
                   options.collective.c_str(), options.algorithm.c_str(), options.ranks, options.root,
                   options.radix, options.hosts.empty() ? "; it may need --hosts" : "");
      return nullptr;
    }
  std::fprintf(stderr, "hansa: there is no %s %s; `hansa schedule list` shows what there is\n",
               options.collective.c_str(), options.algorithm.c_str());
  return nullptr;
}

int show_schedule(ScheduleOptions& options) {
  Query query;
  const Algorithm* row = find(options, query);
  if (row == nullptr) return 1;
  if (options.rank < 0 || options.rank >= options.ranks) {
    std::fprintf(stderr, "hansa: rank %d: must be in 0..%d\n", options.rank, options.ranks - 1);
    return 1;
  }
  if (!options.svg) {
    for (Rank rank = 0; rank < options.ranks; ++rank)
      if (options.all || rank == options.rank)
        std::fputs(to_text(row->build(query, rank), rank).c_str(), stdout);
    return 0;
  }
  std::vector<Schedule> by_rank;
  for (Rank rank = 0; rank < options.ranks; ++rank) by_rank.push_back(row->build(query, rank));
  std::fputs(to_svg(by_rank, options.all ? -1 : options.rank).c_str(), stdout);
  return 0;
}

int prove(ScheduleOptions& options) {
  Query query;
  const Algorithm* row = find(options, query);
  if (row == nullptr) return 1;
  const Status status = check(query, *row);
  std::printf("%s %s, %d ranks: %s\n", options.collective.c_str(), options.algorithm.c_str(), options.ranks,
              status.ok() ? "proven" : status.c_str());
  return status.ok() ? 0 : 1;
}

int list() {
  for (const Algorithm& row : builtin_algorithms())
    std::printf("%-16s %s\n", std::string(name_of(row.collective)).c_str(), std::string(row.name).c_str());
  return 0;
}

void add_query(CLI::App* command, ScheduleOptions& options) {
  command->add_option("collective", options.collective, "allreduce, allgather, ...")->required();
  command->add_option("algorithm", options.algorithm, "ring, knomial, ...")->required();
  command->add_option("-n,--ranks", options.ranks, "ranks")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--hosts", options.hosts, "ranks of each host, like 2,2,1; instead of --ranks")
      ->delimiter(',')
      ->check(CLI::Range(1, 1000));
  command->add_option("--groups", options.groups, "hosts of each group, like 2,1")
      ->delimiter(',')
      ->check(CLI::Range(1, 1000));
  command->add_option("--root", options.root, "root rank")->capture_default_str();
  command->add_option("--radix", options.radix, "radix of trees and exchanges")->capture_default_str();
}

}  // namespace

void add_schedule(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("schedule", "Show or prove what an algorithm does");
  command->require_subcommand(1);
  auto options = std::make_shared<ScheduleOptions>();
  CLI::App* shown = command->add_subcommand("show", "Print one rank's steps");
  add_query(shown, *options);
  shown->add_option("-r,--rank", options->rank, "the rank to show")->capture_default_str();
  shown->add_flag("--all", options->all, "show all ranks");
  shown->add_flag("--svg", options->svg, "as a picture, on standard output");
  shown->callback([options, &status] { status = show_schedule(*options); });
  CLI::App* proven = command->add_subcommand("check", "Prove the schedules of all ranks");
  add_query(proven, *options);
  proven->callback([options, &status] { status = prove(*options); });
  command->add_subcommand("list", "Name every algorithm")->callback([&status] { status = list(); });
}

}  // namespace hansa::tools
