#include "tools/bench/launched.hpp"

#include "tools/bench/machine.hpp"

namespace hansa::bench {

Result<std::unique_ptr<Launcher>> launcher_of_this_process() { return find_launcher(variable); }

}  // namespace hansa::bench
