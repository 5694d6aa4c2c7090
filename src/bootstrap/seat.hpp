// One rank's end of the control plane: finds or starts its host's hub, enters, and from then on carries the
// rank's exchanges and hears of everybody's fate. What blocks waits here for what the control thread reports.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "bootstrap/hub.hpp"

namespace hansa::bootstrap {

class Seat : public LinkOwner, public std::enable_shared_from_this<Seat> {
 public:
  using Table = std::vector<std::vector<std::byte>>;

  // `setup` is for the hub, should this rank become the leader; its `leader` is this rank.
  static std::shared_ptr<Seat> take(control::EventLoop& loop, Hub::Setup setup,
                                    const SessionOptions& options);

  // Any thread from here on; exchange() and leave() one at a time.
  Status wait_until_joined();
  Result<Table> exchange(BytesView mine);
  void watch(Session::Watcher watcher);
  void raise(const Status& reason);
  void ask(const Concern& concern, std::uint32_t still_ms);
  void leave();
  std::vector<Member> members();
  Status failure();
  // The death of the first of these that is known to be dead; ok if none is.
  Status dead_among(const std::vector<Rank>& ranks);
  // Once joined: where the rank's process can be found should this communicator fail.
  NetworkAddress gate_of(Rank rank);
  // Serves a further communicator at this process's gate, which gate_of() tells the others.
  void host_reunion(const Invitation& invitation);
  // Whether nobody would tell the others that this rank does not come: its host's hub never knew of it. Not
  // so where its time alone was over in a reunion, since others may have come but now. After
  // wait_until_joined().
  bool unheard_of();

  void on_open(Link& link) override;
  void on_message(Link& link, Message type, BytesView payload) override;
  void on_starved(Link& link) override;
  void on_closed(Link& link, int error) override;

 private:
  Seat(control::EventLoop& loop, Hub::Setup setup, const SessionOptions& options);

  // Control thread.
  void come();
  void connect();
  void connect_later();
  void found_hub();
  void take_table(BytesView payload);
  void note_left(const std::vector<Rank>& ranks);
  void answer(const RollCall& call);
  std::vector<Elsewhere> elsewhere() const;
  void take_verdict(const Verdict& verdict);
  std::vector<std::uint64_t> processes_of(const std::vector<Rank>& ranks);
  void look_for_ended();
  void knock(std::uint32_t still_ms);
  void miss(const Process& process, const Rail& rail);  // that has not answered a knock
  void speak_for_leader(std::uint64_t number);
  void note_dead(const std::vector<Rank>& ranks, const Status& death);
  void fail(const Status& why);  // first reason wins
  void done();

  // The caller's thread.
  enum class Outcome { kDone, kLate, kCancelled, kBereaved };
  template <class Ready>
  Outcome wait(std::chrono::milliseconds timeout, Ready ready);
  template <class Ready>
  Status wait_for_all(std::uint64_t sequence, Ready ready);
  bool joined();
  void give_up(const Status& mine, const Status& others);

  control::EventLoop& loop_;
  Hub::Setup setup_;
  const SessionOptions options_;
  const Process& self_ = setup_.leader;

  // Control thread only.
  std::shared_ptr<Link> link_;
  Process hub_;            // as it has introduced itself
  Neighbours neighbours_;  // of the hub in the tree
  int failed_connects_ = 0;
  std::uint32_t late_ms_ = 0;  // what it had waited when its time for joining was over
  bool left_ = false;
  Session::Watcher watcher_;
  std::vector<Rank> missing_;               // of the last verdict
  std::vector<Rank> ended_;                 // see look_for_ended()
  std::uint32_t knocked_ms_ = 0;            // how long nothing had moved when it last knocked
  std::uint64_t asked_ = 0, answered_ = 0;  // how often it asked who is late, and of those before a verdict

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  Status failed_;
  std::vector<Member> members_;  // empty: not yet joined
  std::vector<NetworkAddress> gates_;
  std::vector<Rank> gone_;  // left the communicator
  std::vector<bool> has_left_;
  std::map<Rank, Status> dead_;  // by rank, how
  std::uint64_t received_ = 0;   // exchanges whose table has come, joining included
  std::uint64_t next_ = 1;       // sequence of the next exchange
  Table table_;
  bool hub_is_here_ = false;  // in this process
  bool entered_ = false, went_alone_ = false;
  bool done_ = false;  // left, and the hub has told the others
};

}  // namespace hansa::bootstrap
