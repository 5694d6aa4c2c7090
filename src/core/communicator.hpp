// One rank's membership in one communicator: everything that belongs to it, and how its operations run.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/process.hpp"
#include "base/ticks.hpp"
#include "control/logbook.hpp"
#include "core/connections.hpp"
#include "core/handle_table.hpp"
#include "core/life_cycle.hpp"
#include "core/nursery.hpp"
#include "core/operation.hpp"
#include "core/parentage.hpp"
#include "core/patience.hpp"
#include "core/plan_cache.hpp"
#include "hansa/bootstrap.hpp"
#include "hansa/status.hpp"

namespace hansa {

struct CommunicatorOptions {
  UniqueId id{};
  Rank rank = 0, ranks = 1;
  int device = 0;
  bool blocking = true;
  std::string name;     // for people; may be empty
  std::string network;  // the transport between hosts, by name; empty: the best
};

class Communicator;

// Where a communicator comes from that is not made from a unique id.
struct Origin {
  HandleTable<Communicator>::Lease parent;  // kept until the child is connected
  Wish wish;
  std::function<void()> connected;  // called when it is, by whoever did it
  // Takes the child from whoever would find it: where it fails, or has no place, in the background.
  std::function<std::unique_ptr<Communicator>()> recall;
};

// THREADS. One at a time for everything but failure(), state(), fail() and the constants. An operation is
// moved on by one thread at a time: the caller, or the progress thread if it was given to that.
class Communicator {
 public:
  explicit Communicator(const CommunicatorOptions& options);
  ~Communicator();

  // Before connect(): rank and ranks are to come from the parent.
  void descend_from(Origin origin);
  // Took part in the parent's division, but has no place: nothing may be done with it.
  bool absent() const noexcept { return options_.rank < 0; }
  // Children on their way: whoever aborts this ends them, too.
  Nursery& nursery() noexcept { return nursery_; }
  const Nursery& nursery() const noexcept { return nursery_; }

  // Meets the other ranks; blocks. Called once, by whoever is to do the waiting.
  Status connect();
  // connect() on a thread of its own; state() tells when it is over. A child is in its parent's nursery until
  // then, and stays there if it fails.
  void connect_in_background();

  const std::string& name() const noexcept { return options_.name; }
  const std::string& network() const noexcept { return options_.network; }
  // Equal on all ranks, random; 0 for a single one.
  std::uint64_t number() const { return session_ ? session_->number() : 0; }
  Rank rank() const noexcept { return options_.rank; }
  Rank ranks() const noexcept { return options_.ranks; }
  int device() const noexcept { return options_.device; }
  bool blocking() const noexcept { return options_.blocking; }
  // Made before a fork(), and this is the child.
  bool forked() const noexcept { return generation_ != generation_now_.load(std::memory_order_relaxed); }
  // Whether who waits had better not spin.
  bool yields() const noexcept { return yields_; }
  State state() const noexcept { return state_.load(std::memory_order_acquire); }
  // The first failure; ok while there is none.
  Status failure() const;
  // Its part of the process's logbook; null while it does not know its place, and where it has none.
  control::LogbookSection* log() const noexcept { return log_.load(std::memory_order_acquire); }
  // Ends everything that is pending, now and later, with this reason; false if there is one already.
  bool fail(const Status& reason);
  // Tells the other ranks as well.
  void raise(const Status& reason);
  // The same because the program wants it to end: nothing to be written to HANSA_DUMP.
  void give_up(const Status& reason);
  // Ends everything that is pending, here and on the other ranks; only managing it is left.
  void revoke();
  void set_finalizing() noexcept;

  // The caller's arguments, judged; ok if start() may be tried.
  Status check(const Request& request) const;
  Status check(const PointToPoint& message) const;
  Status check(const OneSidedCall& call) const;
  // Of what belongs to one operation: whether this rank's messages to itself pair.
  Status check(const std::vector<PointToPoint>& messages) const;

  // Moving one operation on. begin() first, then advance() until operation.done; its result then tells. While
  // one is begun and not done no other may begin.
  void begin(Operation& operation);
  // True if anything happened.
  bool advance(Operation& operation);
  // A collective that was made before, to be made again with these buffers; null: begin() must judge.
  KnownCall* known(std::uint64_t what, std::size_t count, const void* input, const void* output) noexcept {
    KnownCall* const call = plans_->find(what, count);
    return call != nullptr && call->fits(input, output) ? call : nullptr;
  }
  // begin() for such a call, and all of it if it is small and the others were faster: true if it is done, and
  // well. If not, it is own_operation(), to be moved on.
  bool make(KnownCall& call, const void* input, void* output) {
    const std::uint64_t started = ticks();
    const std::uint32_t number = collectives_ + 1;
    StraightLine* const line = call.start(input, output, number);
    collectives_ = number;
    control::LogbookSection* const section = log();
    if (section != nullptr) section->begin(call.entry, started);
    // What may leave something behind is moved on under the eyes of whoever else may do so.
    if (line != nullptr && !lingers_ && line->finish()) [[likely]] {
      log_end(section, false);
      return true;
    }
    take_over(call);
    return false;
  }

  // Seconds that an operation which begins from now on may take; 0: forever; negative: as HANSA_TIMEOUT says.
  // Any thread.
  void set_limit(double seconds) noexcept;

  // Waits until nothing is left of what calls left behind, or nothing can be done about it any more.
  void flush();
  // Moves on what calls left behind; false when nothing is left. Any thread, at any time.
  bool move_leftovers();

  // How many operations the progress thread still has of this communicator.
  std::atomic<std::uint32_t> pending{0};
  // The queue of those, guarded by the progress thread's lock.
  std::deque<Operation*> queue;
  // For calls that need no queue: an operation to reuse, and all that its thread drives meanwhile.
  Operation& own_operation() noexcept { return own_operation_; }

  // An id for ranks that are to join a grown child; one at a time, until that is called for.
  Result<UniqueId> invite();
  // It was used for this.
  void take_invitation(const UniqueId& id);
  // Whether it comes from that one, and is not connected yet.
  bool descends_from(const Communicator& parent) const noexcept { return origin_.parent.get() == &parent; }
  // revoke() has ended it, not a failure before.
  bool revoked_in_order() const noexcept { return revoked_in_order_.load(std::memory_order_acquire); }

  // Collective: shows memory to all ranks, until hide() or the communicator's end. Null where some rank
  // cannot reach another's. `ticket` is of announce(), which is called when the program makes the call. Waits
  // for what was issued before, and blocks.
  Result<const Window*> show(void* buffer, std::size_t bytes, Descent::Ticket& ticket);
  std::shared_ptr<Descent::Ticket> announce() { return std::make_shared<Descent::Ticket>(descent_); }
  // One that is shown, by its address, or null.
  const Window* window(const void* handle) const;
  Status hide(const void* handle);

  // Bytes that it holds for itself, roughly.
  std::size_t memory_bytes() const;

  // User-defined pre-multiplied sums.
  int create_operator(DataType type, const void* scalar, bool immediate);
  Status destroy_operator(int handle);
  // Fills the request's operator from a handle at or above kFirstOperator.
  Status resolve_operator(int handle, Request& request) const;
  static constexpr int kFirstOperator = 6;  // 5 is what a failed creation leaves behind

 private:
  struct UserOperator {
    DataType type = DataType::kInt8;
    Factor factor;
    const void* address = nullptr;
  };

  // Whether it meets nobody: all ranks know that there is nothing to move.
  bool is_empty(const Operation& operation) const {
    return operation.kind == Operation::Kind::kCollective && operation.request.empty(options_.ranks);
  }
  Status start(Operation& operation);
  void open_log();
  void log_state() noexcept;
  Status come_to_be();
  Status meet();
  Status find_place();
  void end_birth(const Status& status);
  SessionOptions session_options() const;
  Status connect_peers();
  // Ranks of this host, this one included.
  Rank neighbours() const;
  std::uint32_t place_on_host() const;
  Result<std::vector<Interface>> common_rails() const;
  std::string transports() const;
  Status agree_on_reach(std::span<Endpoint* const> endpoints, PlanCache::Reach& reach);
  Status find_levels();
  Status check_tables(const Request& request) const;
  Status check_overlap(const Request& request) const;
  Status check_table_overlap(const Request& request) const;
  Status better_known(const Status& result, std::chrono::milliseconds patience) const;
  void end(Operation& operation, const Status& result);
  void complete_tables(Operation& operation) const;
  // Nothing moved: whether that is for good, because a rank that the operation needs has left.
  Status look_for_left(const Operation& operation);
  void look_at_peers(const Operation& operation);
  bool advance_alone(Operation& operation);
  // lateness.cc: what is due when an operation takes long.
  Status lose_patience(const Operation& operation, Patience::Due due);
  bool judged() const;
  Status timed_out(const Operation& operation);  // ok while it is still being asked who is late
  // For a step that waits for a peer, and ends when the communicator fails: true if anything moved.
  bool poll_within_step();
  Status asked_about(const Operation& operation, const Status& mismatch) const;
  void note_waits_for(const Operation& operation);
  std::string this_call() const;
  Whereabouts whereabouts(std::uint64_t number) const;
  void hear(const Verdict& verdict);
  void late_is_over();
  void say_who_is_late();
  Result<bool> advance_one_sided(Operation& operation, bool& any);
  bool settled();
  void hand_over_leftovers();
  void watch(Operation& operation);
  void take_over(const KnownCall& call);
  void log_end(control::LogbookSection* section, bool failed) {
    if (section == nullptr) return;
    section->end(failed);
    if (late_told_.load(std::memory_order_seq_cst)) [[unlikely]]
      late_is_over();
  }

  CommunicatorOptions options_;
  std::uint64_t generation_ = process_generation();
  const std::atomic<std::uint64_t>& generation_now_ = process_generation_word();
  bool crowded_ = false;
  bool yields_ = false;
  std::atomic<State> state_{State::kConnecting};
  std::atomic<bool> failed_{false}, cancelled_{false}, given_up_{false};
  mutable std::mutex failure_mutex_;
  Status failure_;

  // Who has left, by rank; written by the control thread.
  std::unique_ptr<std::atomic<bool>[]> left_;
  std::atomic<bool> any_left_{false};
  const Operation* running_ = nullptr;                   // whose step poll_within_step() is for
  std::chrono::steady_clock::time_point stuck_since_{};  // with a rank that has left; epoch: not stuck

  Origin origin_;
  std::optional<Descent::Ticket> ticket_;  // for the parent's descent, while it may be needed
  std::string occasion_;                   // to be remembered there
  Descent descent_;                        // of this communicator's children
  Nursery nursery_;
  std::optional<UniqueId> invitation_;  // for ranks to be, not used yet
  std::atomic<bool> revoked_in_order_{false};
  bool root_may_be_late_ = false;  // of the session to join
  std::vector<Rank> kin_;          // who of the parent is to join it

  std::unique_ptr<control::LogbookSection> own_log_;
  std::atomic<control::LogbookSection*> log_{nullptr};  // own_log_, for other threads
  std::unique_ptr<Session> session_;
  std::atomic<Session*> joined_{nullptr};  // session_, for other threads
  std::optional<Connections> connections_;
  bool lingers_ = false, awaits_peers_ = false;  // see Capabilities
  Levels levels_;
  std::optional<PlanCache> plans_;
  std::unique_ptr<OneSided> one_sided_;  // once a window is shown
  std::vector<std::unique_ptr<const Window>> windows_, hidden_windows_;
  // Taken by whoever moves the transports on, once there are leftovers that another thread may move on too.
  std::mutex turn_;
  std::atomic<bool> shared_{false};
  std::uint32_t collectives_ = 0, message_groups_ = 0, one_sided_groups_ = 0;  // begun so far
  std::atomic<double> limit_{0};
  double late_report_ = 0;
  Patience patience_;                   // with the operation that runs
  std::atomic<bool> late_told_{false};  // the logbook says that somebody is late
  std::atomic<bool> unsaid_{false};     // and this rank is still to say so
  mutable std::mutex lateness_mutex_;   // guards all below
  std::vector<Rank> waits_for_;         // when last asked, of the operation at that place in the logbook
  std::uint64_t waits_in_ = 0;
  Verdict verdict_;  // the last that said something, and the operation it was heard in
  std::uint64_t verdict_in_ = 0;
  Operation own_operation_;
  std::map<int, UserOperator> operators_;  // by handle
  std::thread connector_;
};

}  // namespace hansa
