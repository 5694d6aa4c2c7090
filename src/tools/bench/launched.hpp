// Benchmarks whose processes were started by a launcher: mpiexec, srun, torchrun.
#pragma once

#include <chrono>

#include "bootstrap/launcher.hpp"
#include "tools/bench/crew.hpp"

namespace hansa::bench {

// Who started this process, or null if it stands alone; an error where that cannot be told. In a file of its
// own, so that a test can put another launcher in its place.
Result<std::unique_ptr<Launcher>> launcher_of_this_process();

// Where this process' ranks, `threads` of them, stand in the launcher's job. Collective over the job: rank 0
// makes an id and all get it, for at most `patience`.
Result<World> world_of(Launcher& launcher, int threads, std::chrono::milliseconds patience);

}  // namespace hansa::bench
