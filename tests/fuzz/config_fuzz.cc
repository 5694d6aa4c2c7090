// Any bytes as the value of each variable, and as a configuration file: taken or complained of, never an
// absurd number, and what comes out of NCCL's words for algorithms, interfaces and meeting points is fit for
// use.
#include <cmath>
#include <cstdlib>
#include <string>

#include "base/config_file.hpp"
#include "base/lists.hpp"
#include "base/nccl_algo.hpp"
#include "bootstrap/interface_filter.hpp"
#include "bootstrap/meeting_point.hpp"
#include "tuner/tuner.hpp"

namespace {

using namespace hansa;

void sane(const Reading& reading) {
  const Config& config = reading.config;
  for (const double seconds : {config.init_timeout, config.timeout, config.late_report})
    if (!(seconds >= 0 && seconds <= 1e9)) abort();
  if (config.port_range.first > config.port_range.last) abort();
  if (config.nccl_version < 20900 || config.nccl_version > 99999) abort();
  if (config.address_family != 0 && config.address_family != 4 && config.address_family != 6) abort();
  if (!config.debug_file.empty() && config.debug_file[0] != '/') abort();
  if (reading.values.size() != settings().size()) abort();
}

void as_value(const Setting& setting, const std::string& value) {
  const Reading reading = read_config(std::vector<Layer>{{{setting.name, value, "environment"}}});
  sane(reading);
  if (reading.findings.size() != 1) abort();
}

void as_file(const std::string& text) {
  std::vector<std::string> complaints;
  const Layer file = parse_config_file(text, "/f", complaints);
  sane(read_config(std::vector<Layer>{file, {{"HANSA_DEBUG", "INFO", "environment"}}}));
}

void as_words(const std::string& text) {
  std::string remark;
  if (!check_wish(wish_of_nccl_algo(text, remark)).ok()) abort();
  (void)check_wish(text);
  if (const auto filter = bootstrap::InterfaceFilter::parse(text); filter.ok())
    (void)filter.value().admits("eth0");
  if (const auto place = bootstrap::parse_place(text); place.ok())
    if (place.value().host.empty() || place.value().port == 0) abort();
  if (expand_percent(escape_percent(text), "h", 1) != text) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t which = data[0] % (settings().size() + 2);
  if (which < settings().size())
    as_value(settings()[which], text);
  else if (which == settings().size())
    as_file(text);
  else
    as_words(text);
  return 0;
}
