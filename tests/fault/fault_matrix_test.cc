// Every named place of src/base/fault_point.hpp, every fault, 2 and 4 ranks: one of them is struck there, the
// others hear of it in time and by name, and go on without it. The cells come from that list, so that no
// place can be left out, and a place where nobody comes by fails its cells.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <tuple>

#include "base/fault_point.hpp"
#include "confinement.hpp"
#include "fault_life.hpp"
#include "heard.hpp"

namespace hansa::test {
namespace {

// Promised is one second. Cells run side by side, though, with more processes than cores.
#ifdef HANSA_SANITIZED
constexpr double kBound = 8;
#else
constexpr double kBound = 3;
#endif
constexpr double kInitTimeout = 2, kTimeOut = 0.8;
constexpr const char* kLateReport = "0.4";

// What happens to the rank at the place: a FaultKind, or what is done to it or to another one while it is
// stopped, or for how long it is.
struct Strike {
  enum class Meanwhile { kNothing, kAnotherDies, kConfined, kReported, kGivenUp };
  const char* name;
  FaultKind kind;
  Meanwhile meanwhile = Meanwhile::kNothing;
};
using Meanwhile = Strike::Meanwhile;
const Strike kStrikes[] = {{"kill", FaultKind::kKill},
                           {"stop", FaultKind::kStop},
                           {"exit", FaultKind::kExit},
                           {"descriptors", FaultKind::kDescriptors},
                           {"memory", FaultKind::kMemory},
                           {"files", FaultKind::kFiles},
                           {"fail", FaultKind::kFail},
                           {"bereavement", FaultKind::kStop, Meanwhile::kAnotherDies},
                           {"cgroup", FaultKind::kStop, Meanwhile::kConfined},
                           {"late", FaultKind::kStop, Meanwhile::kReported},
                           {"timeout", FaultKind::kStop, Meanwhile::kGivenUp}};

bool begins_with(const PointName& point, std::string_view area) {
  return std::string_view(point.name).starts_with(area);
}

// Who dies here has not come, and who does not shrink is not missed at once: the others wait as long as they
// would for any rank.
bool is_late(const PointName& point, const Strike& strike) {
  const bool lives_on = strike.kind > FaultKind::kExit || strike.meanwhile == Meanwhile::kConfined;
  return point.point == Point::kInitBegin || point.point == Point::kSeatOpen ||
         (begins_with(point, "shrink.") && lives_on);
}
bool is_set_up(const PointName& point) {
  for (const char* area : {"init.", "seat.", "hub.", "root.", "split.", "shrink."})
    if (begins_with(point, area)) return true;
  return false;
}
// The others may be through already.
bool is_end(const PointName& point) { return begins_with(point, "destroy.") || begins_with(point, "abort."); }

using Cell = std::tuple<PointName, Strike, int>;

std::string name_of(const testing::TestParamInfo<Cell>& cell) {
  std::string name = std::string(std::get<0>(cell.param).name) + "_" + std::get<1>(cell.param).name + "_" +
                     std::to_string(std::get<2>(cell.param));
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

// Who is late for an operation is told while that runs; setting up ends by its own time-out.
bool can_strike(const Strike& strike, const PointName& point) {
  if (strike.kind == FaultKind::kFail) return point.can_fail;
  return strike.meanwhile != Meanwhile::kReported || !(is_set_up(point) || is_end(point));
}

std::vector<Cell> all_cells() {
  std::vector<Cell> cells;
  for (const PointName& point : kPoints)
    for (const Strike& strike : kStrikes)
      for (const int ranks : {2, 4})
        if (point.point != Point::kNone && can_strike(strike, point))
          cells.emplace_back(point, strike, ranks);
  return cells;
}

class Matrix : public testing::TestWithParam<Cell> {
 protected:
  Matrix()
      : point_(std::get<0>(GetParam())),
        strike_(std::get<1>(GetParam())),
        after_(*new (mmap(nullptr, sizeof(Aftermath), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                          0)) Aftermath) {
    job_.ranks = std::get<2>(GetParam());
    job_.spare = begins_with(point_, "shrink.");
    // The process of rank 0 makes the id and leads the host.
    struck_ = begins_with(point_, "hub.") || begins_with(point_, "root.") ? 0 : job_.ranks - 1;
    job_.aborter = struck_;
    const bool recovers =
        strike_.kind == FaultKind::kStop && (strike_.meanwhile == Meanwhile::kNothing || reports());
    job_.lost = bereaves() ? (struck_ + 1) % job_.ranks : recovers ? -1 : struck_;
    job_.after = &after_;
    if (reports()) heard_.emplace();
  }
  ~Matrix() override { munmap(&after_, sizeof(Aftermath)); }

  void prepare(int rank) const {
    const std::string fault =
        std::string(point_.name) + "=" + std::string(kFaultKinds[static_cast<std::size_t>(strike_.kind)]);
    if (begins_with(point_, "cell.")) setenv("HANSA_CHECKSUM", "1", 1);
    // Whoever would copy on this machine.
    if (begins_with(point_, "ferry.")) setenv("HANSA_SHM_COPY", "ranks", 1);
    if (point_.point == Point::kCopySingle) setenv("HANSA_SHM_COPY", "kernel", 1);
    setenv("HANSA_INIT_TIMEOUT", patience() > 0 ? std::to_string(kInitTimeout).c_str() : "20", 1);
    if (reports()) setenv("HANSA_LATE_REPORT", kLateReport, 1);
    if (gives_up()) setenv("HANSA_TIMEOUT", std::to_string(kTimeOut).c_str(), 1);
    if (rank != struck_) return;
    setenv("HANSA_FAULT", fault.c_str(), 1);
    static std::atomic<double>* moment;
    moment = &after_.struck_at;
    fault::witness = [] { *moment = seconds_now(); };
    // What is said goes to a file perhaps, which must not grow.
    if (strike_.kind == FaultKind::kFiles) setenv("HANSA_DEBUG", "NONE", 1);
  }

  // Until the fault has happened. When another rank was killed; else 0.
  double await_fault(Processes& processes) {
    int status = 0;
    if (strike_.kind <= FaultKind::kExit) {
      (void)processes.await_change(struck_, status);
      EXPECT_EQ(strike_.kind == FaultKind::kKill, WIFSIGNALED(status));
      EXPECT_EQ(strike_.kind == FaultKind::kStop, WIFSTOPPED(status));
    }
    if (strike_.kind != FaultKind::kStop || !WIFSTOPPED(status)) return 0;
    const double now = seconds_now();
    if (strike_.meanwhile == Meanwhile::kNothing) expect_patience(processes);
    if (reports())
      expect_heard(*heard_, {"rank " + std::to_string(struck_) + " (host " + host_name(), "is stopped"});
    for (int rank = 0; rank < job_.all() && gives_up(); ++rank)
      if (rank != struck_) processes.await_phase(rank, 2);
    if (bereaves()) processes.kill(job_.lost);
    if (confines()) confinement_.emplace(processes.pid(struck_));
    processes.resume(struck_);
    if (confines()) await_confined(processes);
    return lost_dies() ? now : 0;
  }
  // It dies, or lives on without needing more.
  void await_confined(Processes& processes) {
    int status = 0;
    (void)processes.await_change(struck_, status);
    killed_ = WIFSIGNALED(status);
    EXPECT_TRUE(killed_ ? WTERMSIG(status) == SIGKILL : status == 0) << "by " << confinement_->by();
    confinement_.reset();
  }

  // A stopped rank is late, not dead.
  void expect_patience(Processes& processes) {
    usleep(200'000);
    for (int rank = 0; rank < job_.all(); ++rank)
      EXPECT_TRUE(processes[rank].result == -1 || processes[rank].result == ncclSuccess)
          << processes[rank].text;
  }

  // What the text must name.
  std::string culprit(const std::string& text, int rank) const {
    // Who made the id need not be a rank: before it has met the others it is called by what it did.
    constexpr const char* kMaker = "made the unique id";
    if (bereaves() && job_.lost == 0 && text.find(kMaker) != std::string::npos) return kMaker;
    // Who was shrunk away waits for all of the others, of whom one gave up and the rest wait for that.
    if (rank == job_.ranks && patience() > 0) return "rank";
    if (text.find("cannot reach each other") != std::string::npos) return std::to_string(job_.lost);
    return "rank " + std::to_string(job_.lost);
  }

  bool bereaves() const { return strike_.meanwhile == Meanwhile::kAnotherDies; }
  bool confines() const { return strike_.meanwhile == Meanwhile::kConfined; }
  bool reports() const { return strike_.meanwhile == Meanwhile::kReported; }
  bool gives_up() const { return strike_.meanwhile == Meanwhile::kGivenUp; }
  // How long the others may wait before they fail: a leader that does not answer has a while more.
  double patience() const {
    return is_late(point_, strike_) ? kInitTimeout + 1 : gives_up() ? kInitTimeout + 2 : 0;
  }
  bool lost_dies() const {
    return bereaves() || killed_ || strike_.kind == FaultKind::kKill || strike_.kind == FaultKind::kExit;
  }

  void judge(Processes& processes, double died_at) {
    for (int rank = 0; rank < job_.all(); ++rank)
      if (rank != job_.lost || !(lost_dies() || confines())) processes.expect_end(rank);
    const double struck_at = died_at > 0 ? died_at : after_.struck_at.load();
    double worst = 0;
    for (int rank = 0; rank < job_.all(); ++rank) {
      if (rank == job_.lost && lost_dies()) continue;
      const Report& report = processes[rank];
      if (report.result == ncclSuccess) continue;
      if (rank == job_.lost) {
        EXPECT_NE(std::string(), report.text);
        continue;
      }
      // Where two ranks cannot reach each other each says which, and why.
      const bool apart = report.result == ncclSystemError && !lost_dies();
      processes.expect(rank, apart ? ncclSystemError : ncclRemoteError, {culprit(report.text, rank)});
      // Read by measure_errors.py.
      std::printf("seen: %s %s %d %.3f ms: %s\n", point_.name, strike_.name, job_.ranks,
                  (report.at - struck_at) * 1000, report.text);
      worst = std::max(worst, report.at - struck_at);
    }
    if (job_.lost < 0 || !(lost_dies() || gives_up())) return;
    EXPECT_LT(worst, patience() + kBound);
    for (int rank = 0; rank < job_.ranks && !is_end(point_); ++rank)
      EXPECT_TRUE(rank == job_.lost || processes[rank].result != ncclSuccess)
          << "rank " << rank << " saw nothing";
  }

  const PointName point_;
  const Strike strike_;
  Aftermath& after_;
  Job job_;
  int struck_ = 0;
  bool killed_ = false;  // for what it asked for
  std::optional<Confinement> confinement_;
  std::optional<Heard> heard_;
};

TEST_P(Matrix, Holds) {
  Processes processes(
      job_.all(),
      [&](int rank, const ncclUniqueId& id, Report& report, Processes::Shared& shared) {
        live(job_, rank, id, report, shared);
      },
      false, [&](int rank) { prepare(rank); });
  judge(processes, await_fault(processes));
  EXPECT_NE(0, after_.struck_at) << "no rank comes by " << point_.name;
  EXPECT_EQ(job_.lost < 0 ? 0 : job_.all() - 1, after_.shrunk + after_.renewed);
}

INSTANTIATE_TEST_SUITE_P(All, Matrix, testing::ValuesIn(all_cells()), name_of);

}  // namespace
}  // namespace hansa::test
