// `hansa config`: what is set, where it was set, and what becomes of NCCL's variables.
#include "base/config.hpp"

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/commands.hpp"
#include "tools/config_page.hpp"

namespace hansa::tools {
namespace {

struct Options {
  bool origin = false, json = false, markdown = false;
};

const char* word_for(Finding::Fate fate) {
  switch (fate) {
    case Finding::Fate::kTaken:
      return "honoured";
    case Finding::Fate::kOverruled:
      return "overruled";
    case Finding::Fate::kRefused:
      return "bad value";
    case Finding::Fate::kIgnored:
      break;
  }
  return "ignored";
}

bool is_own(const Variable& variable) { return variable.name.starts_with("HANSA_"); }

// Of our own names only what did not simply take effect; the values show the rest.
bool worth_telling(const Finding& finding) {
  return !is_own(finding.variable) || finding.fate != Finding::Fate::kTaken || !finding.why.empty();
}

void print_text(const Reading& reading, bool origin) {
  for (const Variable& value : reading.values) {
    if (!is_own(value)) continue;
    std::printf("%s=%s", value.name.c_str(), value.value.c_str());
    if (origin) std::printf("  # %s", value.origin.c_str());
    std::printf("\n");
  }
  bool first = true;
  for (const Finding& finding : reading.findings) {
    if (!worth_telling(finding)) continue;
    const Variable& variable = finding.variable;
    if (std::exchange(first, false)) std::printf("\n");
    std::printf("# %s=%s", variable.name.c_str(), variable.value.c_str());
    if (origin) std::printf(" (%s)", variable.origin.c_str());
    std::printf(": %s%s%s\n", word_for(finding.fate), finding.why.empty() ? "" : ": ", finding.why.c_str());
  }
}

void print_json(const Reading& reading) {
  using Json = nlohmann::ordered_json;
  Json settings = Json::array(), found = Json::array();
  for (const Variable& value : reading.values)
    if (is_own(value))
      settings.push_back({{"name", value.name}, {"value", value.value}, {"origin", value.origin}});
  for (const Finding& finding : reading.findings)
    found.push_back({{"name", finding.variable.name},
                     {"value", finding.variable.value},
                     {"origin", finding.variable.origin},
                     {"fate", word_for(finding.fate)},
                     {"why", finding.why}});
  const Json all = {{"settings", settings}, {"found", found}, {"complaints", reading.complaints}};
  // What users wrote need not be UTF-8.
  std::puts(all.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

void show(const Options& options) {
  if (options.markdown)
    std::fputs(environment_page().c_str(), stdout);
  else if (options.json)
    print_json(reading());
  else
    print_text(reading(), options.origin);
}

}  // namespace

void add_config(CLI::App& app, int& status) {
  CLI::App* command =
      app.add_subcommand("config", "Show every setting, and what becomes of NCCL's variables");
  auto options = std::make_shared<Options>();
  command->add_flag("--show-origin", options->origin, "say where each value comes from");
  command->add_flag("--json", options->json, "as JSON, origins included");
  command->add_flag("--markdown", options->markdown, "docs/environment.md, whatever is set");
  command->callback([options, &status] {
    show(*options);
    status = 0;
  });
}

}  // namespace hansa::tools
