// One peer, reached by several rails.
//
// WHEN A RAIL IS LOST is decided by who sends over it, alone and for this peer only: its transport has
// failed, or the peer says over another rail, twice and some time apart, that it has not got what was sent
// over this one before. What was to go by it then goes again by others, under the same numbers; that the
// receiver may have it already, or gets it later after all, does not matter. So nobody has to agree with
// anybody on anything. An ask that stands in the lost rail meanwhile comes out when the rail works again; its
// answer puts the rail to use.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "transports/rails/lanes.hpp"

namespace hansa::rails {

// What the peers of a transport share.
struct Common {
  std::uint16_t lanes = 1;
  Capabilities capabilities;  // as the user sees them
  bool stripes = false;       // one peer's pieces go by all rails at a time
  Rail nearest = 0;
  std::vector<std::string> rails;  // names, for people
  std::vector<std::string> names;  // of ranks
  std::function<void(const RailCounts&)> changed;

  Clock::time_point now = Clock::now();  // as of the last look
  Status status;                         // the first failure
  RailCounts counts;
  std::vector<bool> warned;  // by rail: that it is lost

  void fail(Code code, std::string text) {
    if (status.ok()) status = Status(code, std::move(text));
  }
  std::string name_of(Rank peer) const;
  std::uint16_t own_lane() const { return lanes; }  // of asks, reports and pieces that go again
  // For people: a rail of this rank's to that peer is not used any more, or again.
  void rail_lost(Rail rail, Rank peer, std::string_view why, std::uint32_t orphans);
  void rail_back(Rail rail, Rank peer);
};

class Peer {
 public:
  Peer(Common& common, Rank rank, Ways ways);

  // As Endpoint's.
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead);
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp);
  Arrival peek(std::uint16_t lane, std::uint32_t ahead);
  void release(std::uint16_t lane) {
    quiet_ = false;
    ins_[lane].release();
  }
  void close() { closed_ = true; }

  // Whether anybody has asked for it yet; if not, there is nothing to look after.
  bool talked() const { return talked_; }
  // Between polls: hears and answers, doubts and sends again. True if anything was heard or sent.
  bool attend();
  // The rail's transport has failed for good.
  void break_off(Rail rail, std::string_view why);
  bool reached_by_any() const;
  bool reached_by(Rail rail) const { return !talked_ || ways_[rail].up; }
  // Nothing waits for attend().
  bool idle() const;
  // Called between polls before the end: says that nothing more is wanted. True when the peer has heard it,
  // or says the same, and all that was sent has come or is not wanted.
  bool farewell();
  // Something is on its way that may still have to go again.
  bool owed() const;

 private:
  // What is asked and answered by one rail; rounds count from 1.
  struct Watch {
    bool broken = false;
    std::uint64_t due = 0;       // round to ask in; 0: none
    std::uint64_t answer = 0;    // round of the peer's to answer
    std::uint64_t answered = 0;  // last round of ours that was answered
    std::uint64_t lost_in = 0;   // round that has to be answered before it is used again
  };
  enum class Doubt : std::uint8_t { kNone, kAsked, kAnswered, kAskedAgain };

  Rail deal(std::size_t attempt);
  void rank_rails();
  std::uint32_t load(Rail rail) const;
  bool listen(Rail rail);
  bool hear(Rail rail, Kind kind, BytesView message);
  bool hear(Rail rail, const Report& report);
  bool take_all(std::uint16_t lane);
  void take_everything();
  void consider();
  void ask();
  void judge();
  void lose(Rail rail, std::string_view why);
  void take_up(Rail rail);
  bool speak();
  bool report_due();
  bool report(Rail rail, std::uint64_t round);
  bool report_by_any();
  bool send_again();
  std::byte* own_slot(Rail rail) { return ways_[rail].endpoint->reserve(common_.own_lane(), 0); }
  void send_own(Rail rail, std::uint32_t bytes, Kind kind) {
    ways_[rail].endpoint->commit(common_.own_lane(), bytes, static_cast<std::uint32_t>(kind));
  }
  Clock::time_point waits_since() const;
  std::size_t rails() const { return ways_.size(); }

  Common& common_;
  const Rank rank_;
  Ways ways_;
  std::vector<Watch> watches_;
  std::vector<Rail> order_;  // the best first, as far as `candidates_`
  std::size_t candidates_ = 0;
  std::vector<OutLane> outs_;
  std::vector<InLane> ins_;
  bool talked_ = false, closed_ = false;
  bool quiet_ = false;    // nothing was to be done when last looked, and nothing has happened here since
  bool orphans_ = false;  // some are to go again
  bool parting_ = false, parted_ = false;  // this rank's end is to be said, and was
  bool gone_ = false;                      // so was the peer's
  bool heard_ = false;                     // the peer has heard ours
  bool must_report_ = false;               // what was reported may be lost
  bool last_word_ = false;                 // the peer, which is parting, is to be told what has come
  std::uint32_t passes_ = 0, low_passes_ = 0;
  Clock::time_point owes_since_ = kNever;
  Doubt doubt_ = Doubt::kNone;
  Clock::time_point asked_at_{}, answered_at_{};  // of the first round in doubt
  std::uint64_t first_round_ = 0, round_ = 0, heard_round_ = 0;
};

}  // namespace hansa::rails
