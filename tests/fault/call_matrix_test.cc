// Every collective, every way in which one rank's call may differ from the others', or come late, or not at
// all, small and large, 2 and 4 ranks: all hear of it, and of whom. The cells come from the list of
// collectives, so that none can be left out.
#include <algorithm>
#include <cctype>
#include <tuple>

#include "hansa/types.hpp"
#include "heard.hpp"
#include "nccl_processes.hpp"

namespace hansa::test {
namespace {

constexpr std::size_t kSmall = 8, kLarge = 100'003;
constexpr const char* kLateReport = "0.4";
constexpr const char* kLimit = "0.8";

enum class Difference { kCount, kType, kOperator, kRoot, kCollective, kNothing, kLate, kTimeOut };
constexpr const char* kDifferences[] = {"count",      "type",    "operator", "root",
                                        "collective", "nothing", "late",     "timeout"};

struct Call {
  Collective collective;
  std::size_t count;
  int root;
  ncclDataType_t type = ncclFloat;
  ncclRedOp_t op = ncclSum;
};

// One rank's calls, with room for the largest.
class Caller {
 public:
  Caller(ncclComm_t comm, int rank, int ranks)
      : comm_(comm), rank_(rank), ranks_(ranks), in_((kLarge + 1) * at(ranks)), out_(in_.size()) {}

  ncclResult_t make(const Call& call) {
    const auto [collective, count, root, type, op] = call;
    float *const in = in_.data(), *const out = out_.data();
    const std::vector<std::size_t> counts(at(ranks_), count);
    std::vector<std::size_t> offsets(at(ranks_));
    for (std::size_t i = 0; i < offsets.size(); ++i) offsets[i] = i * count;
    switch (collective) {
      case Collective::kAllReduce:
        return ncclAllReduce(in, out, count, type, op, comm_, nullptr);
      case Collective::kAllGather:
        return ncclAllGather(in, out, count, type, comm_, nullptr);
      case Collective::kReduceScatter:
        return ncclReduceScatter(in, out, count, type, op, comm_, nullptr);
      case Collective::kBroadcast:
        return ncclBroadcast(in, out, count, type, root, comm_, nullptr);
      case Collective::kReduce:
        return ncclReduce(in, out, count, type, op, root, comm_, nullptr);
      case Collective::kAllToAll:
        return ncclAlltoAll(in, out, count, type, comm_, nullptr);
      case Collective::kGather:
        return ncclGather(in, out, count, type, root, comm_, nullptr);
      case Collective::kScatter:
        return ncclScatter(in, out, count, type, root, comm_, nullptr);
      case Collective::kBarrier:
        return hansaBarrier(comm_, nullptr);
      case Collective::kAllGatherV:
        return hansaAllGatherV(in, count, out, counts.data(), nullptr, type, comm_, nullptr);
      case Collective::kReduceScatterV:
        return hansaReduceScatterV(in, out, counts.data(), type, op, comm_, nullptr);
      case Collective::kAllToAllV:
        return hansaAllToAllV(in, counts.data(), offsets.data(), out, counts.data(), offsets.data(), type,
                              comm_, nullptr);
      case Collective::kPointToPoint:
        return ring(count, type);
    }
    return ncclInternalError;
  }

 private:
  static std::size_t at(int number) { return static_cast<std::size_t>(number); }
  ncclResult_t ring(std::size_t count, ncclDataType_t type) {
    ncclGroupStart();
    (void)ncclSend(in_.data(), count, type, (rank_ + 1) % ranks_, comm_, nullptr);
    (void)ncclRecv(out_.data(), count, type, (rank_ + ranks_ - 1) % ranks_, comm_, nullptr);
    return ncclGroupEnd();
  }

  ncclComm_t comm_;
  const int rank_, ranks_;
  std::vector<float> in_, out_;
};

bool can_differ(Collective collective, Difference difference) {
  const bool barrier = collective == Collective::kBarrier;
  switch (difference) {
    case Difference::kType:  // messages agree on their bytes only
      return !barrier && collective != Collective::kPointToPoint;
    case Difference::kOperator:
      return !barrier && reduces(collective);
    case Difference::kRoot:
      return rooted(collective);
    case Difference::kCount:
      return !barrier;
    case Difference::kNothing:  // where all ranks share one count
      return !barrier && collective != Collective::kAllToAllV && collective != Collective::kPointToPoint;
    default:
      return true;
  }
}

using Cell = std::tuple<Collective, Difference, std::size_t, int>;

std::string name_of_cell(const testing::TestParamInfo<Cell>& cell) {
  const auto [collective, difference, count, ranks] = cell.param;
  return std::string(name_of(collective)) + "_" + kDifferences[static_cast<int>(difference)] + "_" +
         (count == kSmall ? "small" : "large") + "_" + std::to_string(ranks);
}

std::vector<Cell> all_cells() {
  std::vector<Cell> cells;
  for (int i = 0; i < kCollectives; ++i)
    for (std::size_t j = 0; j < std::size(kDifferences); ++j)
      for (const std::size_t count : {kSmall, kLarge})
        for (const int ranks : {2, 4}) {
          const auto collective = static_cast<Collective>(i);
          const auto difference = static_cast<Difference>(j);
          if (!can_differ(collective, difference)) continue;
          if (collective == Collective::kBarrier && count == kLarge) continue;
          cells.emplace_back(collective, difference, count, ranks);
        }
  return cells;
}

class CallMatrix : public testing::TestWithParam<Cell> {
 protected:
  CallMatrix()
      : difference_(std::get<1>(GetParam())),
        ranks_(std::get<3>(GetParam())),
        odd_(ranks_ - 1),
        common_{std::get<0>(GetParam()), std::get<2>(GetParam()), sends_from_root() ? odd_ : 0},
        different_(common_) {
    switch (difference_) {
      case Difference::kCount:
        ++different_.count;
        break;
      case Difference::kType:
        different_.type = ncclInt;
        break;
      case Difference::kOperator:
        different_.op = ncclMax;
        break;
      case Difference::kRoot:
        different_.root = (common_.root + 1) % ranks_;
        break;
      case Difference::kCollective:
        different_.collective =
            static_cast<Collective>((static_cast<int>(common_.collective) + 1) % kCollectives);
        break;
      case Difference::kNothing:
        different_.count = 0;
        break;
      default:
        break;
    }
    setenv("HANSA_LATE_REPORT", kLateReport, 1);
    if (difference_ == Difference::kTimeOut) setenv("HANSA_TIMEOUT", kLimit, 1);
  }
  ~CallMatrix() override {
    unsetenv("HANSA_LATE_REPORT");
    unsetenv("HANSA_TIMEOUT");
  }

  // The others wait for the odd one, whatever the collective.
  bool sends_from_root() const {
    const Collective collective = std::get<0>(GetParam());
    return collective == Collective::kBroadcast || collective == Collective::kScatter;
  }
  bool comes_late() const { return difference_ == Difference::kLate || difference_ == Difference::kTimeOut; }

  void live(int rank, const ncclUniqueId& id, Report& report, Processes::Shared& shared) const {
    const auto await_phase = [&report](int phase) {
      while (report.phase.load(std::memory_order_acquire) < phase) usleep(500);
    };
    ncclComm_t comm = nullptr;
    if (ncclCommInitRank(&comm, ranks_, id, rank) != ncclSuccess) _exit(3);
    Caller caller(comm, rank, ranks_);
    if (caller.make({Collective::kAllReduce, kSmall, 0}) != ncclSuccess) _exit(4);
    report.phase = 1;
    while (!shared.go.load(std::memory_order_acquire)) usleep(500);
    if (rank == odd_ && comes_late()) await_phase(2);
    ncclResult_t result = caller.make(rank == odd_ ? different_ : common_);
    if (rank == odd_ && difference_ == Difference::kNothing) {
      if (result != ncclSuccess) _exit(5);
      await_phase(2);
      result = caller.make({Collective::kAllReduce, kSmall, 0});
    }
    // Who has returned hears of it all the same.
    while (difference_ != Difference::kLate && result == ncclSuccess &&
           ncclCommGetAsyncError(comm, &result) == ncclSuccess && result == ncclSuccess)
      usleep(1000);
    report.note(result, comm);
    report.phase = 3;
    if (result != ncclSuccess && caller.make(common_) != result) _exit(6);
    // To abort would end what others still wait in.
    if ((result == ncclSuccess ? ncclCommDestroy(comm) : ncclCommAbort(comm)) != ncclSuccess) _exit(7);
  }

  std::string odd_one() const { return "rank " + std::to_string(odd_); }

  // As texts call it: messages are counted apart from collectives, of which there was one.
  std::string words(const Call& call) const {
    if (call.collective == Collective::kPointToPoint) return "group of messages #1";
    if (difference_ == Difference::kNothing) return "#2 of ";
    return std::string(name_of(call.collective)) + " #2";
  }

  // What came of it, on all ranks.
  void expect(Processes& processes, double began) const {
    for (int rank = 0; rank < ranks_; ++rank) {
      processes.expect_end(rank);
      if (difference_ == Difference::kLate)
        processes.expect(rank, ncclSuccess, {});
      else if (difference_ == Difference::kTimeOut)
        processes.expect(rank, ncclRemoteError, {"time-out of " + std::string(kLimit) + " s"});
      else
        processes.expect(rank, ncclInvalidUsage,
                         {"calls differ", odd_one(), words(common_), words(different_)});
      // Read by measure_errors.py.
      std::printf("seen: %s %s %d %.3f ms: %s\n", name_of(common_.collective).data(),
                  kDifferences[static_cast<int>(difference_)], ranks_, (processes[rank].at - began) * 1000,
                  processes[rank].text);
    }
  }

  const Difference difference_;
  const int ranks_;
  const int odd_;  // the rank that differs
  const Call common_;
  Call different_;
};

TEST_P(CallMatrix, Holds) {
  const Heard heard;
  Processes processes(ranks_, [this](int rank, const ncclUniqueId& id, Report& report,
                                     Processes::Shared& shared) { live(rank, id, report, shared); });
  for (int rank = 0; rank < ranks_; ++rank) processes.await_phase(rank, 1);
  const double began = seconds_now();
  processes.go();
  if (difference_ == Difference::kNothing || difference_ == Difference::kLate)
    expect_heard(heard, {odd_one() + " (host " + host_name()});
  if (difference_ == Difference::kNothing) expect_heard(heard, {"so left at once"});
  if (difference_ == Difference::kTimeOut)
    for (int rank = 0; rank < odd_; ++rank) processes.await_phase(rank, 3);
  processes[odd_].phase = 2;
  expect(processes, began);
}

INSTANTIATE_TEST_SUITE_P(All, CallMatrix, testing::ValuesIn(all_cells()), name_of_cell);

}  // namespace
}  // namespace hansa::test
