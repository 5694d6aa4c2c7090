// The `hansa` command.
#include "tools/commands.hpp"

int main(int argc, char** argv) {
  CLI::App app{"Hansa: collective communication. See `hansa COMMAND --help`."};
  app.name("hansa");
  app.require_subcommand(1);
  int status = 0;
  hansa::tools::add_demo(app, status);
  hansa::tools::add_schedule(app, status);
  CLI11_PARSE(app, argc, argv);
  return status;
}
