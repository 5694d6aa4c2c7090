// The JSON form of a report: version 3 of nccl-tests' schema, with what Hansa adds under "hansa".
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/bench/report.hpp"

namespace hansa::bench {

// A document that grows with the report and becomes a file's text at any time.
class JsonReport {
 public:
  // What stands in front. `environment`: NAME=VALUE lines.
  JsonReport(const Options& options, const std::vector<std::string>& environment);
  ~JsonReport();
  void head(const std::vector<Introduction>& ranks);
  void row(const Row& row);
  void foot(const Summary& summary);
  std::string text() const;

 private:
  struct Document;  // only json.cc knows the library that writes JSON: it takes long to compile
  const Options& options_;
  std::unique_ptr<Document> document_;
};

}  // namespace hansa::bench
