// The C ABI of communicators that come from others: Split, Shrink, Grow.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "capi/births.hpp"
#include "capi/twin.hpp"
#include "core/factory.hpp"

using namespace hansa;  // NOLINT: this file is nothing but the library seen from C

namespace {

// What all three have in common: the parent in a state that allows it, the wishes over the parent's.
template <class MakeWish>
Status make_child(ncclComm_t comm, Action action, ncclComm_t* newcomm, const ncclConfig_t* config,
                  MakeWish make_wish) {
  if (newcomm == nullptr) return null_argument("newcomm");
  *newcomm = nullptr;
  HANSA_ASSIGN_OR_RETURN(CommunicatorLease parent, permitted(comm, action));
  HANSA_ASSIGN_OR_RETURN(const Wishes wishes, read_wishes(config, wishes_of(*parent)));
  HANSA_ASSIGN_OR_RETURN(Wish wish, make_wish(*parent));
  return descend(std::move(parent), std::move(wish), wishes, newcomm);
}

Result<Wish> split_wish(int color, int key) {
  if (color < 0 && color != NCCL_SPLIT_NOCOLOR)
    return Status(Code::kInvalidArgument,
                  fmt::format("color is {}: must be at least 0, or NCCL_SPLIT_NOCOLOR", color));
  return Wish(SplitWish{color, key});
}

Result<Wish> shrink_wish(Communicator& parent, const int* list, int count, int flags) {
  if (list == nullptr || count < 1)
    return Status(Code::kInvalidArgument, "the list of ranks to exclude is empty");
  if (flags != NCCL_SHRINK_DEFAULT && flags != NCCL_SHRINK_ABORT)
    return Status(Code::kInvalidArgument,
                  fmt::format("shrinkFlags is {}: must be NCCL_SHRINK_DEFAULT or NCCL_SHRINK_ABORT", flags));
  ShrinkWish wish{std::vector<Rank>(list, list + count)};
  std::sort(wish.excluded.begin(), wish.excluded.end());
  wish.excluded.erase(std::unique(wish.excluded.begin(), wish.excluded.end()), wish.excluded.end());
  for (const Rank rank : wish.excluded) {
    if (rank < 0 || rank >= parent.ranks())
      return Status(Code::kInvalidArgument,
                    fmt::format("rank {} to exclude: must be in 0..{}", rank, parent.ranks() - 1));
    if (rank == parent.rank())
      return Status(Code::kInvalidArgument,
                    fmt::format("rank {} is to be excluded: only those that stay call ncclCommShrink", rank));
  }
  if (flags == NCCL_SHRINK_ABORT) {
    parent.give_up(Status(
        Code::kRemote, fmt::format("rank {} called ncclCommShrink with NCCL_SHRINK_ABORT", parent.rank())));
    progress().drain(parent);
  }
  return Wish(std::move(wish));
}

Status check_size(int ranks, int least) {
  if (ranks >= least) return {};
  return Status(
      Code::kInvalidArgument,
      fmt::format("nRanks is {}: must be at least {}, all old ranks and one new one", ranks, least));
}

Result<Wish> grow_wish(Communicator& parent, int ranks, const ncclUniqueId* id, int rank) {
  HANSA_RETURN_IF_ERROR(check_size(ranks, parent.ranks() + 1));
  if (rank != -1)
    return Status(
        Code::kInvalidArgument,
        fmt::format("rank is {}: must be -1 for the ranks of the old communicator, which keep theirs", rank));
  GrowWish wish{ranks, {}};
  if (id != nullptr) {
    wish.id.emplace();
    std::memcpy(wish.id->data(), id->internal, wish.id->size());
    parent.take_invitation(*wish.id);
  }
  return Wish(std::move(wish));
}

// A rank that was not there before.
Status join_grown(int ranks, const ncclUniqueId* id, int rank, ncclComm_t* newcomm,
                  const ncclConfig_t* config) {
  if (newcomm == nullptr) return null_argument("newcomm");
  *newcomm = nullptr;
  if (id == nullptr) return null_argument("uniqueId, with which new ranks join,");
  HANSA_RETURN_IF_ERROR(check_size(ranks, 2));
  HANSA_ASSIGN_OR_RETURN(const Wishes wishes, read_wishes(config, {}));
  CommunicatorOptions options = options_of(wishes);
  std::memcpy(options.id.data(), id->internal, options.id.size());
  options.rank = rank;
  options.ranks = ranks;
  return init(newcomm, options);
}

}  // namespace

ncclResult_t pncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* newcomm, ncclConfig_t* config) {
  return guarded([&] {
    return report_in_group(make_child(comm, Action::kSplit, newcomm, config,
                                      [&](Communicator&) { return split_wish(color, key); }));
  });
}
TWIN(CommSplit);

ncclResult_t pncclCommShrink(ncclComm_t comm, int* excludeRanksList, int excludeRanksCount,
                             ncclComm_t* newcomm, ncclConfig_t* config, int shrinkFlags) {
  return guarded([&] {
    return report_in_group(make_child(comm, Action::kShrink, newcomm, config, [&](Communicator& parent) {
      return shrink_wish(parent, excludeRanksList, excludeRanksCount, shrinkFlags);
    }));
  });
}
TWIN(CommShrink);

ncclResult_t pncclCommGetUniqueId(ncclComm_t comm, ncclUniqueId* uniqueId) {
  if (uniqueId == nullptr) return report(null_argument("uniqueId"));
  return guarded([&] {
    auto communicator = permitted(comm, Action::kGrow);
    if (!communicator.ok()) return report(communicator.status());
    const auto id = communicator.value()->invite();
    if (id.ok()) std::memcpy(uniqueId->internal, id.value().data(), sizeof uniqueId->internal);
    return report(id.status());
  });
}
TWIN(CommGetUniqueId);

ncclResult_t pncclCommGrow(ncclComm_t comm, int nRanks, const ncclUniqueId* uniqueId, int rank,
                           ncclComm_t* newcomm, ncclConfig_t* config) {
  return guarded([&] {
    if (comm == nullptr) return report_in_group(join_grown(nRanks, uniqueId, rank, newcomm, config));
    return report_in_group(make_child(comm, Action::kGrow, newcomm, config, [&](Communicator& parent) {
      return grow_wish(parent, nRanks, uniqueId, rank);
    }));
  });
}
TWIN(CommGrow);
