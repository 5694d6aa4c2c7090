// PMIx: how Open MPI's mpirun, PRRTE and Slurm's --mpi=pmix serve the processes they start. libpmix.so.2 is
// loaded at run time and stays loaded.
#pragma once

#include "bootstrap/launchers/key_value.hpp"

namespace hansa::bootstrap {

// Connects to the PMIx server of this host, for which this blocks. libpmix counts its users, so MPI may use
// it in the same process, before or after. kUnsupported where the library is missing.
Result<std::unique_ptr<KeyValueSpace>> open_pmix();

}  // namespace hansa::bootstrap
