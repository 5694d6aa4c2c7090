// The `hansa` command.
#include "tools/bench/command.hpp"
#include "tools/commands.hpp"

int main(int argc, char** argv) {
  if (const auto result = hansa::tools::bench_by_name(argc, argv)) return *result;
  CLI::App app{"Hansa: collective communication. See `hansa COMMAND --help`."};
  app.name("hansa");
  app.require_subcommand(1);
  int status = 0;
  hansa::tools::add_bench(app, status);
  hansa::tools::add_demo(app, status);
  hansa::tools::add_schedule(app, status);
  CLI11_PARSE(app, argc, argv);
  return status;
}
