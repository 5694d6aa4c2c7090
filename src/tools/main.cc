// The `hansa` command.
#include <string>

#include "hansa/hansa.h"
#include "tools/bench/command.hpp"
#include "tools/commands.hpp"

int main(int argc, char** argv) {
  if (const auto result = hansa::tools::bench_by_name(argc, argv)) return *result;
  CLI::App app{"Hansa: collective communication. See `hansa COMMAND --help`."};
  app.name("hansa");
  const auto dotted = [](int major, int minor, int patch) {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
  };
  app.set_version_flag("--version",
                       "hansa " + dotted(HANSA_VERSION_MAJOR, HANSA_VERSION_MINOR, HANSA_VERSION_PATCH) +
                           " (NCCL interface " + dotted(NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH) + ")");
  app.require_subcommand(1);
  int status = 0;
  hansa::tools::add_bench(app, status);
  hansa::tools::add_config(app, status);
  hansa::tools::add_demo(app, status);
  hansa::tools::add_dump(app, status);
  hansa::tools::add_schedule(app, status);
  hansa::tools::add_status(app, status);
  hansa::tools::add_trace(app, status);
  CLI11_PARSE(app, argc, argv);
  return status;
}
