// What a benchmark says: nccl-tests' table on stdout, its JSON in a file. For the first rank.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tools/bench/options.hpp"

namespace hansa::bench {

// A rank as the table's head names it. Goes from rank to rank as bytes.
struct Introduction {
  int color = 0, process_id = 0, device = 0;
  char host[64] = {}, device_name[128] = {};
  std::size_t memory = 0;  // bytes of its host
};

// Of single iterations, in seconds.
struct Statistics {
  double least = 0, most = 0, mean = 0, p50 = 0, p95 = 0, p99 = 0, deviation = 0;
  double variation() const { return mean > 0 ? deviation / mean * 100 : 0; }  // percent
};
// `times` must not be empty.
Statistics statistics_of(std::vector<double> times);

// One size, apart or in place.
struct Measured {
  double seconds = 0, algorithm_bandwidth = 0, bus_bandwidth = 0;  // GB/s
  bool checked = false;
  long long wrong = 0;  // elements, of all ranks
  std::vector<long long> wrong_by_rank;
  std::vector<double> iterations;               // if kept: each the slowest rank's
  std::vector<std::vector<double>> by_process;  // if there are several: each the slowest of its ranks'
};

struct Row {
  std::size_t bytes = 0, count = 0;
  const char* type = "";
  const char* op = "";
  int root = -1;
  Measured apart, in_place;
};

// Bytes that a process has grown by while it made communicators, buffers and measurements; the most of all
// processes.
struct MemoryUse {
  long long communicators = 0, buffers = 0, measurements = 0;
};

struct Summary {
  int wrong_checks = 0;
  double mean_bandwidth = 0;
  bool stopped = false;  // by a signal: not all was measured
  bool fast_enough(const Options& options) const {
    return options.least_bandwidth < 0 || mean_bandwidth >= options.least_bandwidth * 0.9;
  }
};

class Report {
 public:
  // Opens the JSON file, if one is asked for: a new one, whatever name must be made up.
  explicit Report(const Options& options);
  ~Report();

  void head(const std::vector<Introduction>& ranks, std::size_t reduced_maximum);
  void table_head();
  void row(const Row& row);
  void note(const std::string& line);
  void foot(const Summary& summary, const MemoryUse* memory);
  // What is being measured, on a terminal; gone with the next line.
  void progress(const std::string& what);

 private:
  struct Record;  // of the JSON
  void body(const Measured& measured);
  void percentiles(const char* where, const Measured& measured);
  void wrong_ranks(const char* where, const Measured& measured);
  void clear_progress();

  const Options& options_;
  bool terminal_ = false, progressing_ = false;
  std::unique_ptr<Record> record_;
};

}  // namespace hansa::bench
