// NCCL_ALGO in the words of HANSA_ALGORITHM.
#pragma once

#include <string>
#include <string_view>

namespace hansa {

// NCCL's syntax: "ring,tree" for all functions, or "allreduce:tree;broadcast:^ring" with ^ for all but, the
// first part alone without a function (NCCL user guide, NCCL_ALGO, since 2.24). Names of algorithms and
// functions that mean nothing here go into `remark`; a part that names nothing else is left out. Empty: no
// wish is left. Pure.
std::string wish_of_nccl_algo(std::string_view text, std::string& remark);

}  // namespace hansa
