// What a roll call means, in the words that users read.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "bootstrap/roll.hpp"

namespace hansa::bootstrap {
namespace {

using State = Whereabouts::State;

constexpr std::size_t kMostNamed = 8;  // ranks that a text describes one by one

std::string who(const std::vector<Member>& members, Rank rank) {
  const Member& member = members[static_cast<std::size_t>(rank)];
  return fmt::format("rank {} (host {}, pid {})", rank, member.host_name, member.pid);
}

std::string seconds(std::uint32_t ms) { return fmt::format("{:.1f} s", ms / 1000.0); }

class Bench {
 public:
  Bench(const std::vector<Member>& members, const std::vector<Presence>& roll, const RaisedConcern& concern)
      : members_(members), roll_(roll), raised_(concern) {}

  Status mismatch() const;
  Verdict verdict() const;

 private:
  const Whereabouts& of(Rank rank) const { return roll_[static_cast<std::size_t>(rank)].whereabouts; }
  Rank ranks() const { return static_cast<Rank>(roll_.size()); }
  bool arrived(Rank rank) const;
  std::string does(Rank rank) const;
  Rank only_rank_of(std::uint64_t process) const;
  std::string elsewhere(Rank missing) const;
  std::vector<Rank> missing() const;

  const std::vector<Member>& members_;
  const std::vector<Presence>& roll_;
  const RaisedConcern& raised_;
};

// Ranks that are told of together.
struct Part {
  std::vector<Rank> ranks;
  std::string text;
};

// Ranks by what they called as the collective in question; else who found a message that does not belong to
// its call, and who may have sent it.
Status Bench::mismatch() const {
  std::map<std::uint32_t, std::vector<Rank>> by_signature;
  for (Rank rank = 0; rank < ranks(); ++rank)
    if (of(rank).asked_signature != 0) by_signature[of(rank).asked_signature].push_back(rank);
  std::vector<Part> parts;
  const bool collectives = raised_.concern.number != 0 && by_signature.size() > 1;
  if (collectives) {
    for (const auto& [signature, callers] : by_signature)
      parts.push_back(
          {callers, fmt::format("{} called {}", ranks_text(callers), of(callers.front()).asked_call)});
    std::sort(parts.begin(), parts.end(),
              [](const Part& a, const Part& b) { return a.ranks.front() < b.ranks.front(); });
  } else if (raised_.concern.why == Concern::Why::kMismatch) {
    parts.push_back(
        {{raised_.rank},
         fmt::format("rank {} {}, and found: {}", raised_.rank, does(raised_.rank), raised_.concern.detail)});
    for (Rank rank = 0; rank < ranks(); ++rank)
      if (rank != raised_.rank && of(rank).state == State::kInside)
        parts.push_back({{rank}, fmt::format("rank {} {}", rank, does(rank))});
  }
  if (parts.empty()) return {};
  std::string text = "calls differ: ";
  for (std::size_t i = 0; i < std::min(parts.size(), kMostNamed); ++i)
    text += (i > 0 ? "; " : "") + parts[i].text;
  std::vector<Rank> others;
  for (std::size_t i = kMostNamed; i < parts.size(); ++i)
    others.insert(others.end(), parts[i].ranks.begin(), parts[i].ranks.end());
  if (!others.empty())
    text += fmt::format("; {} {}", ranks_text(others), collectives ? "called others" : "are in calls, too");
  if (collectives)
    text +=
        ". All ranks must make the same calls, with the same collective, count, type, operation and root, in "
        "the "
        "same order";
  return Status(Code::kInvalidUsage, text);
}

// Whether it has entered the collective in question and is not through with it at once, for want of bytes.
bool Bench::arrived(Rank rank) const {
  const Whereabouts& is = of(rank);
  const bool nothing = !is.asked_call.empty() && is.asked_signature == 0;
  return is.number >= raised_.concern.number && !nothing;
}

std::string Bench::does(Rank rank) const {
  const Whereabouts& is = of(rank);
  switch (is.state) {
    case State::kStopped:
      return "is stopped (SIGSTOP or a debugger); SIGCONT lets it go on";
    case State::kUnknown:
      return "keeps no logbook, since memory or descriptors were refused: what it does is not known";
    case State::kSilent:
      return "does not answer: is its host overloaded, or its network down?";
    case State::kLeft:
      return "has left the communicator (ncclCommDestroy)";
    case State::kInside:
      return fmt::format("has been in {} for {}", is.call, seconds(is.since_ms));
    case State::kOutside:
      break;
  }
  if (is.call.empty()) return "has made no call on this communicator yet";
  return fmt::format("is outside of the library; its last call was {}, over for {}", is.call,
                     seconds(is.since_ms));
}

// Whose it is in this communicator; -1 where it has none, or several, of which nobody knows which one waits.
Rank Bench::only_rank_of(std::uint64_t process) const {
  Rank found = -1;
  for (Rank rank = 0; rank < ranks(); ++rank) {
    if (members_[static_cast<std::size_t>(rank)].process != process) continue;
    if (found >= 0) return -1;
    found = rank;
  }
  return found;
}

// Where the missing rank waits on another communicator for somebody who waits here.
std::string Bench::elsewhere(Rank missing) const {
  if (only_rank_of(members_[static_cast<std::size_t>(missing)].process) < 0) return {};
  const std::vector<Elsewhere>& others = roll_[static_cast<std::size_t>(missing)].elsewhere;
  for (const Elsewhere& other : others)
    for (const std::uint64_t process : other.waits_for)
      if (const Rank rank = only_rank_of(process); rank >= 0 && of(rank).state == State::kInside)
        return fmt::format(
            ", but waits in {} for rank {}, which waits here for rank {}: a cycle, since ranks entered two "
            "communicators in opposite order",
            other.call, rank, missing);
  return others.empty() ? std::string() : ", but in " + others.front().call;
}

// Messages have no number that all ranks count alike: who waits says whom for.
std::vector<Rank> Bench::missing() const {
  if (raised_.concern.number == 0) return of(raised_.rank).waits_for;
  std::vector<Rank> missing;
  for (Rank rank = 0; rank < ranks(); ++rank)
    if (!arrived(rank)) missing.push_back(rank);
  return missing;
}

Verdict Bench::verdict() const {
  Verdict verdict;
  const Whereabouts& waits = of(raised_.rank);
  if (!still_in(waits, raised_.concern.number)) return verdict;  // it has come through meanwhile
  verdict.late = raised_.concern.why == Concern::Why::kLate;
  verdict.missing = missing();
  verdict.speaker = raised_.rank;
  for (Rank rank = ranks() - 1; rank >= 0 && raised_.concern.number != 0; --rank)
    if (still_in(of(rank), raised_.concern.number) && arrived(rank)) verdict.speaker = rank;
  const auto late = static_cast<Rank>(verdict.missing.size());
  verdict.text = fmt::format("{} has been waiting for {}: ", waits.call, seconds(waits.since_ms));
  if (late == 0) {
    verdict.text += waits.waits_for.empty()
                        ? "all ranks have entered it, and none is missing a message"
                        : fmt::format("all ranks have entered it; rank {} has nothing yet from {}",
                                      raised_.rank, ranks_text(waits.waits_for));
    return verdict;
  }
  verdict.text += raised_.concern.number != 0
                      ? fmt::format("{} of {} ranks have come, missing ", ranks() - late, ranks())
                      : fmt::format("rank {} waits for ", raised_.rank);
  for (std::size_t i = 0; i < std::min(verdict.missing.size(), kMostNamed); ++i) {
    const Rank rank = verdict.missing[i];
    const bool nothing = !of(rank).asked_call.empty() && of(rank).asked_signature == 0;
    verdict.text += fmt::format(
        "{}{}, which {}{}{}", i > 0 ? "; " : "", who(members_, rank),
        nothing ? fmt::format("called {}, and so left at once; it ", of(rank).asked_call) : std::string(),
        does(rank), elsewhere(rank));
  }
  if (verdict.missing.size() > kMostNamed)
    verdict.text += "; and " + ranks_text({verdict.missing.begin() + kMostNamed, verdict.missing.end()});
  return verdict;
}

}  // namespace

Judgement judge(const std::vector<Member>& members, const std::vector<Presence>& roll,
                const RaisedConcern& concern) {
  const Bench bench(members, roll, concern);
  Judgement judgement;
  judgement.failure = bench.mismatch();
  if (judgement.failure.ok()) judgement.verdict = bench.verdict();
  return judgement;
}

}  // namespace hansa::bootstrap
