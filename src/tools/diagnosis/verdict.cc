#include "tools/diagnosis/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace hansa::diagnosis {
namespace {

using control::OperationClass;

// A rank of a communicator, and which rank of the job it is.
struct Member {
  std::size_t who = 0;  // in Job::ranks
  const Membership* membership = nullptr;
};

// A communicator as its ranks tell of it; who tells nothing is missing.
struct Communicator {
  std::string label;
  Rank ranks = 0;
  std::map<Rank, Member> members;
};

std::map<std::string, Communicator> communicators_of(const Job& job) {
  std::map<std::string, Communicator> all;
  for (std::size_t who = 0; who < job.ranks.size(); ++who)
    for (const Membership& one : job.ranks[who].memberships) {
      Communicator& communicator = all[one.number];
      communicator.label = one.label();
      communicator.ranks = one.ranks;
      communicator.members[one.rank] = {who, &one};
    }
  return all;
}

std::string list(const std::vector<Rank>& ranks) {
  constexpr std::size_t kNamed = 8;
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < std::min(ranks.size(), kNamed); ++i)
    text += fmt::format("{}{}", i == 0 ? "" : i + 1 == ranks.size() ? " and " : ", ", ranks[i]);
  if (ranks.size() > kNamed) text += fmt::format(" and {} more", ranks.size() - kNamed);
  return text;
}

const Operation* collective_of(const Membership& one, std::uint64_t number) {
  for (const Operation& operation : one.operations)
    if (operation.kind == OperationClass::kCollective && operation.number == number) return &operation;
  return nullptr;
}

const Operation* newest_collective(const Membership& one) {
  const auto found =
      std::find_if(one.operations.rbegin(), one.operations.rend(),
                   [](const Operation& operation) { return operation.kind == OperationClass::kCollective; });
  return found == one.operations.rend() ? nullptr : &*found;
}

class Judge {
 public:
  Judge(const Job& job, Scope scope) : job_(job), scope_(scope), communicators_(communicators_of(job)) {}

  std::vector<Finding> findings() {
    for (const auto& [number, communicator] : communicators_) {
      look_for_mismatch(number, communicator);
      look_for_missing(number, communicator);
      look_for_late(number, communicator);
      look_for_failure(number, communicator);
    }
    look_for_circle();
    std::stable_sort(found_.begin(), found_.end(),
                     [](const Finding& a, const Finding& b) { return order(a.verdict) < order(b.verdict); });
    return std::move(found_);
  }

 private:
  // What differs or is missing tells more than what followed from it.
  static int order(Verdict verdict) {
    switch (verdict) {
      case Verdict::kMetadataMismatch:
        return 0;
      case Verdict::kDeadlock:
        return 1;
      case Verdict::kRankNotJoined:
        return 2;
      case Verdict::kStuckOutside:
        return 3;
      case Verdict::kFailed:
        return 4;
      case Verdict::kStuckInside:
        break;
    }
    return 5;
  }

  std::string where(const Member& member) const {
    const RankOfJob& rank = job_.ranks[member.who];
    return fmt::format("{}, pid {}", rank.host, rank.pid);
  }

  void add(Verdict verdict, const std::string& number, std::vector<Rank> ranks, std::string text) {
    found_.push_back({verdict, number, std::move(ranks), std::move(text)});
  }

  // The first call that differs. Those whose call most ranks do not share are to blame.
  void look_for_mismatch(const std::string& number, const Communicator& communicator) {
    std::map<std::uint64_t, std::map<std::string, std::vector<Rank>>> calls;  // by number, then by text
    for (const auto& [rank, member] : communicator.members)
      for (const Operation& operation : member.membership->operations)
        if (operation.kind == OperationClass::kCollective)
          calls[operation.number][key_of(operation)].push_back(rank);
    for (const auto& [call, texts] : calls) {
      if (texts.size() < 2) continue;
      const auto most = std::max_element(texts.begin(), texts.end(), [](const auto& a, const auto& b) {
        return a.second.size() < b.second.size();
      });
      std::vector<Rank> others;
      std::string text =
          fmt::format("communicator {}: the calls of collective #{} differ:", communicator.label, call);
      std::string_view comma = "";
      for (const auto& [key, ranks] : texts) {
        const Operation* operation = collective_of(*communicator.members.at(ranks.front()).membership, call);
        text += fmt::format("{} {} called {}", std::exchange(comma, ","), list(ranks), operation->text);
        if (key != most->first) others.insert(others.end(), ranks.begin(), ranks.end());
      }
      return add(Verdict::kMetadataMismatch, number, std::move(others), std::move(text));
    }
  }

  // Where nothing was to be moved there was no signature; then the text tells.
  static std::string key_of(const Operation& operation) {
    const bool per_rank = operation.collective == "alltoallv" || operation.collective == "allgatherv" ||
                          operation.collective == "reduce_scatterv";
    return per_rank ? fmt::format("{} {:x}", operation.collective, operation.signature)
                    : fmt::format("{} {:x}", operation.text, operation.signature);
  }

  void look_for_missing(const std::string& number, const Communicator& communicator) {
    if (nobody_waits(communicator)) return;
    std::vector<Rank> missing, connecting;
    for (Rank rank = 0; rank < communicator.ranks && missing.size() < kMostNamed; ++rank)
      if (!communicator.members.contains(rank)) missing.push_back(rank);
    for (const auto& [rank, member] : communicator.members)
      if (member.membership->state == "connecting") connecting.push_back(rank);
    if (!missing.empty() && scope_ == Scope::kJob)
      add(Verdict::kRankNotJoined, number, missing,
          fmt::format("communicator {}: of {} there is no trace, and others wait", communicator.label,
                      list(missing)));
    if (!connecting.empty())
      add(Verdict::kRankNotJoined, number, connecting,
          fmt::format("communicator {}: {} still {}", communicator.label, list(connecting),
                      connecting.size() == 1 ? "connects" : "connect"));
  }

  // What a rank is in and has been for long, or what it could not finish.
  const Operation* stuck(const Member& member) const {
    constexpr std::int64_t kLong = 1'000'000'000;
    const Operation* last = member.membership->unfinished();
    const bool brief = last != nullptr && last->state == Operation::State::kStarted &&
                       job_.ranks[member.who].dumped_ns - last->started_ns < kLong;
    return brief ? nullptr : last;
  }

  bool nobody_waits(const Communicator& communicator) const {
    return std::none_of(communicator.members.begin(), communicator.members.end(), [this](const auto& entry) {
      return stuck(entry.second) != nullptr || entry.second.membership->state == "connecting";
    });
  }

  // The collective that some are in and others have not called.
  void look_for_late(const std::string& number, const Communicator& communicator) {
    const Member* waiting = nullptr;
    const Operation* call = nullptr;
    for (const auto& [rank, member] : communicator.members) {
      const Operation* last = stuck(member);
      if (last == nullptr || last->kind != OperationClass::kCollective) continue;
      if (call == nullptr || last->number > call->number) call = last, waiting = &member;
    }
    if (call == nullptr) return;
    const std::string waited = duration(job_.ranks[waiting->who].dumped_ns - call->started_ns);
    std::vector<Rank> outside, behind;
    for (const auto& [rank, member] : communicator.members) {
      const Operation* newest = newest_collective(*member.membership);
      if (newest != nullptr && newest->number >= call->number) continue;
      const bool inside = newest != nullptr && member.membership->unfinished() == newest;
      (inside ? behind : outside).push_back(rank);
    }
    const std::size_t arrived = communicator.members.size() - outside.size() - behind.size();
    for (const Rank rank : outside)
      add(Verdict::kStuckOutside, number, {rank},
          fmt::format(
              "communicator {}: {} of {} ranks are in {} (for {}), but rank {} ({}) has not called it: {}",
              communicator.label, arrived, communicator.ranks, call->text, waited, rank,
              where(communicator.members.at(rank)), doing(communicator.members.at(rank))));
    for (const Rank rank : behind)
      add(Verdict::kStuckInside, number, {rank},
          fmt::format("communicator {}: {} of {} ranks are in {} (for {}), but rank {} ({}) has not ended an "
                      "earlier one: {}",
                      communicator.label, arrived, communicator.ranks, call->text, waited, rank,
                      where(communicator.members.at(rank)), doing(communicator.members.at(rank))));
    if (arrived == static_cast<std::size_t>(communicator.ranks))
      add(Verdict::kStuckInside, number, {},
          fmt::format(
              "communicator {}: all ranks have called {} (for {}), and it has not ended everywhere: it "
              "moves slowly or not at all",
              communicator.label, call->text, waited));
  }

  // What a rank does that does not do what others wait for.
  std::string doing(const Member& member) const {
    const RankOfJob& rank = job_.ranks[member.who];
    for (const Membership& one : rank.memberships)
      if (const Operation* running = one.unfinished())
        return fmt::format("it is in {} on communicator {} for {}", running->text, one.label(),
                           duration(rank.dumped_ns - running->started_ns));
    if (member.membership->closed_ns != 0)
      return fmt::format("it has ended its part of the communicator {} before",
                         duration(rank.dumped_ns - member.membership->closed_ns));
    const Operation* last = member.membership->newest();
    if (last == nullptr) return "it has not called anything on it";
    return fmt::format("it is outside the library; its last call there, {}, ended {} before", last->text,
                       duration(rank.dumped_ns - last->ended_ns));
  }

  void look_for_failure(const std::string& number, const Communicator& communicator) {
    const Membership* first = nullptr;
    std::vector<Rank> ranks;
    for (const auto& [rank, member] : communicator.members) {
      if (member.membership->failure.empty()) continue;
      ranks.push_back(rank);
      if (first == nullptr || member.membership->failed_ns < first->failed_ns) first = member.membership;
    }
    if (first != nullptr)
      add(Verdict::kFailed, number, {},
          fmt::format("communicator {} failed on {}; rank {} says: {}", communicator.label, list(ranks),
                      first->rank, first->failure));
  }

  // Whom a rank of the job waits for: those who are not in the call that it is in.
  struct Wait {
    std::size_t whom;
    const Membership* where;
    const Operation* in;
  };
  std::vector<Wait> waits_of(std::size_t who) const {
    std::vector<Wait> waits;
    for (const Membership& one : job_.ranks[who].memberships) {
      const Operation* running = stuck({who, &one});
      if (running == nullptr) continue;
      const Communicator& communicator = communicators_.at(one.number);
      for (const auto& [rank, member] : communicator.members)
        if (rank != one.rank && misses(*running, one.rank, rank, *member.membership))
          waits.push_back({member.who, &one, running});
    }
    return waits;
  }

  // Whether `other`, rank `rank`, does not do its part of what rank `self` is in.
  static bool misses(const Operation& running, Rank self, Rank rank, const Membership& other) {
    if (running.kind == OperationClass::kCollective) {
      const Operation* newest = newest_collective(other);
      return newest == nullptr || newest->number < running.number;
    }
    const auto concerns = [](const Operation& operation, Rank peer) {
      return std::any_of(operation.messages.begin(), operation.messages.end(),
                         [peer](const Message& message) { return message.peer == peer; });
    };
    if (running.kind != OperationClass::kMessages || !concerns(running, rank)) return false;
    const Operation* theirs = other.unfinished();
    return theirs == nullptr || !answers(running, rank, *theirs, self);
  }

  // Whether two groups that run have a message in common.
  static bool answers(const Operation& mine, Rank other, const Operation& theirs, Rank self) {
    return std::any_of(mine.messages.begin(), mine.messages.end(), [&](const Message& one) {
      return one.peer == other &&
             std::any_of(theirs.messages.begin(), theirs.messages.end(),
                         [&](const Message& two) { return two.peer == self && two.kind != one.kind; });
    });
  }

  void look_for_circle() {
    std::set<std::size_t> settled;
    for (std::size_t who = 0; who < job_.ranks.size(); ++who) {
      std::vector<std::pair<std::size_t, Wait>> path;
      if (walk(who, path, settled)) return;
    }
  }

  bool walk(std::size_t who, std::vector<std::pair<std::size_t, Wait>>& path,
            std::set<std::size_t>& settled) {
    const auto at =
        std::find_if(path.begin(), path.end(), [who](const auto& step) { return step.first == who; });
    if (at != path.end()) {
      path.erase(path.begin(), at);
      tell_circle(path);
      return true;
    }
    if (settled.contains(who)) return false;
    for (const Wait& wait : waits_of(who)) {
      path.emplace_back(who, wait);
      if (walk(wait.whom, path, settled)) return true;
      path.pop_back();
    }
    settled.insert(who);
    return false;
  }

  std::string person(std::size_t who) const {
    const RankOfJob& rank = job_.ranks[who];
    return fmt::format("rank {} ({}, pid {})", rank.rank, rank.host, rank.pid);
  }

  void tell_circle(const std::vector<std::pair<std::size_t, Wait>>& path) {
    std::string text = "ranks wait for each other in a circle: " + person(path.front().first);
    std::vector<Rank> ranks;
    std::string_view link = "";
    for (const auto& [who, wait] : path) {
      text += fmt::format("{} is in {} on communicator {} and waits for {}", std::exchange(link, ", which"),
                          wait.in->text, wait.where->label(), person(wait.whom));
      ranks.push_back(wait.where->rank);
    }
    add(Verdict::kDeadlock, path.front().second.where->number, std::move(ranks),
        text + "; calls that meet must be made in one order by all");
  }

  static constexpr std::size_t kMostNamed = 1024;

  const Job& job_;
  const Scope scope_;
  const std::map<std::string, Communicator> communicators_;
  std::vector<Finding> found_;
};

}  // namespace

std::string_view name_of(Verdict verdict) {
  constexpr std::string_view kNames[] = {"FAILED",          "METADATA_MISMATCH", "DEADLOCK",
                                         "RANK_NOT_JOINED", "STUCK_OUTSIDE",     "STUCK_INSIDE"};
  return kNames[static_cast<std::size_t>(verdict)];
}

std::vector<Finding> judge(const Job& job, Scope scope) { return Judge(job, scope).findings(); }

}  // namespace hansa::diagnosis
