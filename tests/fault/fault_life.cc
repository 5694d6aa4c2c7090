#include "fault_life.hpp"

#include <algorithm>
#include <utility>

namespace hansa::test {
namespace {

constexpr std::size_t kSmall = 5, kLarge = 300'007;

class Life {
 public:
  Life(const Job& job, int rank, Report& report) : job_(job), rank_(rank), report_(report) {}

  void run(const ncclUniqueId& id) {
    using Part = ncclResult_t (Life::*)();
    ncclResult_t result = keep(ncclCommInitRank(&comm_, job_.all(), id, rank_), nullptr);
    for (const Part part : {&Life::move_bytes, &Life::split, &Life::shrink, &Life::abort})
      if (result == ncclSuccess) result = (this->*part)();
    if (result == ncclSuccess) result = keep(destroy(comm_), nullptr);
    report_.result = result;
    report_.phase = 2;
  }
  ncclComm_t comm() const { return comm_; }

 private:
  ncclResult_t keep(ncclResult_t result, ncclComm_t comm) {
    if (result != ncclSuccess) report_.note(result, comm);
    return result;
  }
  ncclResult_t destroy(ncclComm_t& comm) { return ncclCommDestroy(std::exchange(comm, nullptr)); }
  // Ends what is left of a child, in whatever state, whether the others do or not.
  ncclResult_t abort(ncclComm_t& comm) { return ncclCommAbort(std::exchange(comm, nullptr)); }

  ncclResult_t sum(ncclComm_t comm, int* values, std::size_t count) {
    int ranks = 0;
    if (ncclCommCount(comm, &ranks) != ncclSuccess) _exit(5);
    std::fill_n(values, count, 1);
    const ncclResult_t result =
        keep(ncclAllReduce(values, values, count, ncclInt, ncclSum, comm, nullptr), comm);
    for (std::size_t i = 0; i < count && result == ncclSuccess; ++i)
      if (values[i] != ranks) _exit(4);
    return result;
  }

  ncclResult_t move_bytes() {
    for (const std::size_t count : {kSmall, kLarge})
      if (const ncclResult_t result = sum(comm_, heap_.data(), count); result != ncclSuccess) return result;
    const int next = (rank_ + 1) % job_.all(), last = (rank_ + job_.all() - 1) % job_.all();
    ncclGroupStart();
    (void)ncclSend(heap_.data(), kLarge, ncclInt, next, comm_, nullptr);
    (void)ncclRecv(heap_.data() + kLarge, kLarge, ncclInt, last, comm_, nullptr);
    if (const ncclResult_t result = keep(ncclGroupEnd(), comm_); result != ncclSuccess) return result;
    for (const int root : {0, job_.ranks - 1})
      if (const ncclResult_t result =
              keep(ncclBroadcast(heap_.data(), heap_.data(), kLarge, ncclInt, root, comm_, nullptr), comm_);
          result != ncclSuccess)
        return result;
    void* own = nullptr;
    ncclResult_t result = keep(ncclMemAlloc(&own, kLarge * sizeof(int)), nullptr);
    if (result != ncclSuccess) return result;
    result = sum(comm_, static_cast<int*>(own), kLarge);
    if (ncclMemFree(own) != ncclSuccess) _exit(6);
    return result;
  }

  // A child, and a child of that after all have revoked it.
  ncclResult_t split() {
    int value = 0;
    ncclComm_t child = nullptr, grandchild = nullptr;
    ncclResult_t result = keep(ncclCommSplit(comm_, 0, rank_, &child, nullptr), nullptr);
    if (result == ncclSuccess) result = sum(child, &value, 1);
    job_.after->meet(0, job_.all());  // or the first to revoke ends what the others still do
    if (result == ncclSuccess) result = keep(ncclCommRevoke(child, NCCL_REVOKE_DEFAULT), child);
    if (result == ncclSuccess) result = keep(ncclCommSplit(child, 0, rank_, &grandchild, nullptr), nullptr);
    if (result == ncclSuccess) result = sum(grandchild, &value, 1);
    const ncclResult_t ended[] = {abort(child),
                                  result == ncclSuccess ? destroy(grandchild) : abort(grandchild)};
    for (const ncclResult_t end : ended)
      if (result == ncclSuccess) result = keep(end, nullptr);
    return result;
  }

  ncclResult_t shrink() {
    if (!job_.spare || rank_ == job_.ranks) return ncclSuccess;
    int value = 0, excluded = job_.ranks;
    ncclComm_t rest = nullptr;
    ncclResult_t result =
        keep(ncclCommShrink(comm_, &excluded, 1, &rest, nullptr, NCCL_SHRINK_DEFAULT), nullptr);
    if (result == ncclSuccess) result = sum(rest, &value, 1);
    return result == ncclSuccess ? keep(destroy(rest), nullptr) : (abort(rest), result);
  }

  // One rank aborts a child that the others use. A failure of theirs is as it should be.
  ncclResult_t abort() {
    int value = 0;
    ncclComm_t child = nullptr;
    const ncclResult_t result = keep(ncclCommSplit(comm_, 0, rank_, &child, nullptr), nullptr);
    if (result != ncclSuccess) return result;
    job_.after->meet(1, job_.all());  // or the split itself is what fails
    if (rank_ != job_.aborter) {
      const ncclResult_t ended = ncclAllReduce(&value, &value, 1, ncclInt, ncclSum, child, nullptr);
      const std::string who = "rank " + std::to_string(job_.aborter), text = ncclGetLastError(child);
      if (ended != ncclRemoteError || text.find(who) == std::string::npos) {
        report_.note(ended == ncclSuccess ? ncclInternalError : ended, child);
        return ncclInternalError;
      }
    }
    return keep(abort(child), nullptr);
  }

  const Job& job_;
  const int rank_;
  Report& report_;
  std::vector<int> heap_ = std::vector<int>(kLarge * 2, 1);  // before there could be a lack of memory
  ncclComm_t comm_ = nullptr;
};

// Whether all that are left have come here with a communicator of all.
bool all_with_failed(const Job& job) {
  bool all = true;
  for (int rank = 0; rank < job.all(); ++rank) {
    if (rank == job.lost) continue;
    int how = Aftermath::kNotYet;
    while ((how = job.after->arrived[rank].load(std::memory_order_acquire)) == Aftermath::kNotYet)
      usleep(200);
    all = all && how == Aftermath::kWithFailed;
  }
  return all;
}

// The survivors as one communicator again: a part of the old one, or made from a new id.
void go_on(const Job& job, int rank, ncclComm_t comm) {
  Aftermath& after = *job.after;
  after.arrived[rank].store(comm != nullptr ? Aftermath::kWithFailed : Aftermath::kWithout,
                            std::memory_order_release);
  const bool shrinks = all_with_failed(job);
  ncclComm_t rest = nullptr;
  int lost = job.lost;
  if (shrinks) {
    if (ncclCommShrink(comm, &lost, 1, &rest, nullptr, NCCL_SHRINK_ABORT) != ncclSuccess) _exit(7);
  } else {
    if (rank == (lost == 0 ? 1 : 0)) {
      if (ncclGetUniqueId(&after.id) != ncclSuccess) _exit(7);
      after.id_ready.store(true, std::memory_order_release);
    }
    while (!after.id_ready.load(std::memory_order_acquire)) usleep(200);
    if (ncclCommInitRank(&rest, job.all() - 1, after.id, rank - (rank > lost ? 1 : 0)) != ncclSuccess)
      _exit(7);
  }
  if (ncclCommAbort(comm) != ncclSuccess) _exit(8);
  int one = 1;
  if (ncclAllReduce(&one, &one, 1, ncclInt, ncclSum, rest, nullptr) != ncclSuccess || one != job.all() - 1)
    _exit(9);
  if (ncclCommDestroy(rest) != ncclSuccess) _exit(10);
  (shrinks ? after.shrunk : after.renewed).fetch_add(1);
}

}  // namespace

void live(const Job& job, int rank, const ncclUniqueId& id, Report& report, Processes::Shared& shared) {
  // Rank 0's process is to lead; so much it may lose to others that run beside.
  report.phase = 1;
  while (shared.reports[0].phase.load(std::memory_order_acquire) == 0) usleep(200);
  if (rank > 0) usleep(100'000);
  Life life(job, rank, report);
  life.run(id);
  if (rank == job.lost) {
    (void)ncclCommAbort(life.comm());
    return;
  }
  if (job.lost >= 0) go_on(job, rank, life.comm());
}

}  // namespace hansa::test
