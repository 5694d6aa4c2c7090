// Whatever is not in nccl-tests' output starts with '#' and avoids the words that parsers look for in any
// line: "bandwidth", "FAILED", "out-of-place", "Rank".
#include "tools/bench/report.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "hansa/hansa.h"
#include "tools/bench/json.hpp"
#include "tools/bench/machine.hpp"

namespace hansa::bench {
namespace {

constexpr const char* kImitated = "2.19.6";  // of the nccl-tests that this prints like

// A file of this name or, if there is one, of the name with .0, .1, ... behind, as nccl-tests does.
std::FILE* create(std::string& path) {
  const std::string wanted = path;
  for (int i = 0;; ++i) {
    if (std::FILE* file = std::fopen(path.c_str(), "wx")) return file;
    if (errno != EEXIST) return nullptr;
    path = fmt::format("{}.{}", wanted, i);
  }
}

std::string amount(long long bytes) {
  double value = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* next : {"KB", "MB", "GB"}) {
    if (std::fabs(value) < 1024) break;
    value /= 1024;
    unit = next;
  }
  const int decimals = std::fabs(value) < 10 ? 2 : std::fabs(value) < 100 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, unit);
}

}  // namespace

struct Report::Record {
  std::FILE* file;
  JsonReport json;
};

Statistics statistics_of(std::vector<double> times) {
  std::ranges::sort(times);
  const std::size_t n = times.size();
  // The nearest rank: the least time that `percent` of all do not exceed.
  const auto percentile = [&](std::size_t percent) {
    return times[std::max<std::size_t>((n * percent + 99) / 100, 1) - 1];
  };
  Statistics all{.least = times.front(),
                 .most = times.back(),
                 .p50 = times[n / 2],
                 .p95 = percentile(95),
                 .p99 = percentile(99)};
  for (const double time : times) all.mean += time / static_cast<double>(n);
  double squares = 0;
  for (const double time : times) squares += (time - all.mean) * (time - all.mean);
  all.deviation = std::sqrt(squares / static_cast<double>(n));
  return all;
}

Report::Report(const Options& options) : options_(options), terminal_(isatty(STDERR_FILENO) == 1) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  if (options.output_file.empty()) return;
  std::string path = options.output_file;
  if (std::FILE* file = create(path)) {
    record_.reset(new Record{file, JsonReport(options, environment())});
    std::printf("# Writing JSON output to %s\n", path.c_str());
  } else {
    std::printf("# skipping json output; %s not accessible\n", path.c_str());
    std::fprintf(stderr, "hansa bench: -J %s: %s\n", path.c_str(), std::strerror(errno));
  }
}

// What was not finished by foot() still becomes a whole document.
Report::~Report() {
  clear_progress();
  if (!record_) return;
  std::fprintf(record_->file, "%s\n", record_->json.text().c_str());
  std::fclose(record_->file);
}

void Report::head(const std::vector<Introduction>& ranks, std::size_t reduced_maximum) {
  const Options& o = options_;
  int version = 0;
  ncclGetVersion(&version);
  std::printf("# nccl-tests version %s nccl-headers=%d nccl-library=%d\n", kImitated, NCCL_VERSION_CODE,
              version);
  std::printf("# Collective test starting: %s\n", o.name.c_str());
  std::printf(
      "# nThread %d nGpus %d minBytes %zu maxBytes %zu step: %zu(%s) warmup iters: %d iters: %d agg iters: "
      "%d "
      "validation: %d graph: 0 unalign: %d\n",
      o.nthreads, o.ngpus, o.minbytes, o.maxbytes,
      o.stepfactor > 1 ? static_cast<std::size_t>(o.stepfactor) : o.stepbytes,
      o.stepfactor > 1 ? "factor" : "bytes", o.warmup_iters, o.iters, o.agg_iters, o.check, o.unalign);
  if (o.blocking == 1) std::printf("# Blocking Enabled: wait and barrier after each inner iteration (-m) \n");
  if (o.blocking == 2) std::printf("# Blocking Enabled: wait after each inner iteration (-m), no barrier \n");
  if (o.blocking == 3)
    std::printf(
        "# Blocking Enabled: wait and barrier after each outer iteration (-n); time excludes barrier \n");
  if (o.per_iter_timing)
    std::printf("# Per-Iteration Report: host clock; i_* uses max over process rows%s \n",
                o.per_iter_skip > 0
                    ? fmt::format("; summary skips first {} iterations", o.per_iter_skip).c_str()
                    : "");
  if (o.parallel_init) std::printf("# Parallel Init Enabled: threads call into NcclInitRank concurrently \n");
  std::printf("# Hansa %d.%d.%d: host memory of %s, timing %s\n", HANSA_VERSION_MAJOR, HANSA_VERSION_MINOR,
              HANSA_VERSION_PATCH, o.malloc_buffers ? "malloc" : "ncclMemAlloc",
              o.timing == Timing::kBarrier ? "each operation from a barrier to the slowest" : "back to back");
  std::printf("#\n# Using devices\n");
  for (std::size_t rank = 0; rank < ranks.size(); ++rank)
    std::printf("#  Rank %2zu Group %2d Pid %6d on %10s device %2d [0000:00:00] %s\n", rank,
                ranks[rank].color, ranks[rank].process_id, ranks[rank].host, ranks[rank].device,
                ranks[rank].device_name);
  if (reduced_maximum > 0)
    std::printf("#\n# Reducing maxBytes to %zu due to memory limitation\n", reduced_maximum);
  if (record_) record_->json.head(ranks);
}

void Report::table_head() {
  const bool each = options_.per_iter_timing != 0, stamps = options_.report_timestamps != 0;
  const char* const time = options_.report_cputime ? "cputime" : "time";
  std::printf("#\n# %10s  %12s  %8s  %6s  %6s", "", "", "", "", "");
  std::printf(each
                  ? "              out-of-place (+ per-iteration)                                in-place (+ "
                    "per-iteration)\n"
                  : "           out-of-place                       in-place          \n");
  const auto line = [&](const std::vector<const char*>& left, const std::vector<const char*>& right,
                        const std::vector<const char*>& iterations, const char* stamp) {
    std::printf("# %10s  %12s  %8s  %6s  %6s", left[0], left[1], left[2], left[3], left[4]);
    for (int half = 0; half < 2; ++half) {
      std::printf("  %7s  %6s  %6s  %6s", right[0], right[1], right[2], right[3]);
      for (const char* name : iterations)
        if (each) std::printf("  %7s", name);
    }
    std::printf(" %*s\n", stamps ? 19 : 0, stamps ? stamp : "");
  };
  line({"size", "count", "type", "redop", "root"}, {time, "algbw", "busbw", "#wrong"},
       {"i_min", "i_max", "i_p99", "i_cv%"}, "timestamp");
  line({"(B)", "(elements)", "", "", ""}, {"(us)", "(GB/s)", "(GB/s)", ""}, {"(us)", "(us)", "(us)", "(%)"},
       "%Y-%m-%d %H:%M:%S");
}

void Report::body(const Measured& measured) {
  std::printf("  %s  %s  %s", column(measured.seconds * 1e6, 7).c_str(),
              column(measured.algorithm_bandwidth, 6).c_str(), column(measured.bus_bandwidth, 6).c_str());
  if (measured.checked)
    std::printf("  %6g", static_cast<double>(measured.wrong));
  else
    std::printf("    N/A");
  if (!options_.per_iter_timing) return;
  const auto first = measured.iterations.begin() + options_.per_iter_skip;
  const Statistics all = statistics_of({first, measured.iterations.end()});
  for (const double value : {all.least * 1e6, all.most * 1e6, all.p99 * 1e6, all.variation()})
    std::printf("  %s", column(value, 7).c_str());
}

void Report::percentiles(const char* where, const Measured& measured) {
  const Statistics all = statistics_of(measured.iterations);
  std::printf("# iterations %-8s (us): min %.2f p50 %.2f p95 %.2f p99 %.2f max %.2f\n", where,
              all.least * 1e6, all.p50 * 1e6, all.p95 * 1e6, all.p99 * 1e6, all.most * 1e6);
}

void Report::wrong_ranks(const char* where, const Measured& measured) {
  constexpr std::size_t kMostNamed = 8;
  if (measured.wrong == 0) return;
  std::string named;
  std::size_t count = 0;
  for (std::size_t rank = 0; rank < measured.wrong_by_rank.size(); ++rank) {
    if (measured.wrong_by_rank[rank] == 0) continue;
    if (++count <= kMostNamed) named += fmt::format(" {} of rank {},", measured.wrong_by_rank[rank], rank);
  }
  named.back() = count > kMostNamed ? ',' : '.';
  std::printf("# wrong elements %s:%s%s\n", where, named.c_str(),
              count > kMostNamed ? fmt::format(" and of {} more ranks.", count - kMostNamed).c_str() : "");
}

void Report::row(const Row& row) {
  clear_progress();
  std::printf("%12zu  %12zu  %8s  %6s  %6d", row.bytes, row.count, row.type, row.op, row.root);
  body(row.apart);
  body(row.in_place);
  if (options_.report_timestamps) std::printf("%21s", time_of_day().c_str());
  std::printf("\n");
  wrong_ranks("apart", row.apart);
  wrong_ranks("in-place", row.in_place);
  if (options_.percentiles) {
    percentiles("apart", row.apart);
    percentiles("in-place", row.in_place);
  }
  if (record_) record_->json.row(row);
}

void Report::note(const std::string& line) {
  clear_progress();
  std::printf("%s\n", line.c_str());
}

void Report::foot(const Summary& summary, const MemoryUse* memory) {
  clear_progress();
  std::printf("# %-20s : %d %s\n", "Out of bounds values", summary.wrong_checks,
              summary.wrong_checks ? "FAILED" : "OK");
  const char* const verdict = options_.least_bandwidth < 0    ? ""
                              : summary.fast_enough(options_) ? "OK"
                                                              : "FAILED";
  std::printf("# %-20s : %g %s\n#\n", "Avg bus bandwidth", summary.mean_bandwidth, verdict);
  if (summary.stopped) std::printf("# Stopped by a signal: the lines above are all that was measured\n");
  std::printf("# Collective test concluded: %s\n", options_.name.c_str());
  if (memory)
    std::printf("# %-20s : Initialization %s | User-Allocated %s | Collective %s | Total  %s\n",
                "Host memory usage", amount(memory->communicators).c_str(), amount(memory->buffers).c_str(),
                amount(memory->measurements).c_str(),
                amount(memory->communicators + memory->buffers + memory->measurements).c_str());
  std::printf("#\n\n");
  std::fflush(stdout);
  if (record_) record_->json.foot(summary);
}

void Report::progress(const std::string& what) {
  if (!terminal_) return;
  std::fflush(stdout);
  std::fprintf(stderr, "\r\033[K%s", what.c_str());
  std::fflush(stderr);
  progressing_ = true;
}

void Report::clear_progress() {
  if (!progressing_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  progressing_ = false;
}

}  // namespace hansa::bench
