// Calls between ncclGroupStart and ncclGroupEnd, as a value; one per thread.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/communicator.hpp"
#include "core/handle_table.hpp"
#include "core/host_stream.hpp"
#include "core/operation.hpp"
#include "hansa/status.hpp"

namespace hansa {

class Group {
 public:
  Group() = default;
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  using Lease = HandleTable<Communicator>::Lease;
  using StreamLease = HandleTable<HostStream>::Lease;  // empty: the caller waits

  bool open() const noexcept { return depth_ > 0; }
  void start() noexcept;
  // Runs everything if this ends the outermost group. kInvalidUsage without a start.
  Status end();
  // Ends the group without running it, where that is the outermost one.
  void abandon();
  // Remembers a call's failure, which end() returns again, running nothing.
  void fail(const Status& status);

  // Whether operations that wait for the end need it.
  bool uses(const Communicator& communicator) const noexcept;
  bool uses(const HostStream& stream) const noexcept;
  // Seconds that the next call, or the group that is open, may take; see Operation::limit.
  void set_limit(double seconds) noexcept;
  // A call is over, whatever became of it. Nothing while a group is open.
  void forget_limit() noexcept;
  // Forgets them.
  void drop(const Communicator& communicator);

  // One call: at once if no group is open, else at its end. `communicator` is kept until then.
  Status submit(Lease communicator, StreamLease stream, const Request& request);
  // Moves on the communicator's own operation, which has begun, until it is done.
  static Status wait(Communicator& communicator);
  Status submit(Lease communicator, StreamLease stream, const PointToPoint& message);
  // All of one kind, and all or none.
  Status submit(Lease communicator, StreamLease stream, std::span<const OneSidedCall> calls);
  // What all ranks of a communicator must do together and only `act` knows: blocks, or in a group waits for
  // the end, where all that came so run at once, each communicator's in order, on threads. `undo` runs if it
  // fails.
  Status together(Lease communicator, std::function<Status()> act, std::function<void()> undo);
  // The same for a communicator still to be connected, which may be done in the background: then nobody
  // waits. `undo` runs also for a rank that has no place in it.
  Status connect(Lease communicator, bool in_background, std::function<void()> undo);

 private:
  struct Entry {
    Lease communicator;
    std::vector<StreamLease> streams;
    std::unique_ptr<Operation> operation;
    bool waits = false;  // some call of it had no stream: it is done when the group's end returns
  };
  struct Joint {
    Lease communicator;
    std::function<Status()> act;  // null: connects in the background
    std::function<void()> undo;
    Status result;
  };

  Status run(Communicator& communicator, const Request& request) const;
  bool close() noexcept;
  Status run(std::vector<Entry> entries);
  Status run_together(std::vector<Joint> joints);
  static void undo_all(std::vector<Joint> joints);
  static void undo(Joint& joint);
  static bool concerns(const Joint& joint, const Communicator& communicator) noexcept;
  template <class Add>
  void gather(Lease communicator, StreamLease stream, Operation::Kind kind, Add add);
  static void join(Entry& entry, StreamLease stream);
  void add(Lease communicator, StreamLease stream, std::unique_ptr<Operation> operation);

  int depth_ = 0;
  double limit_ = -1;
  bool limited_ = false;
  Status failure_;
  std::vector<Entry> entries_;
  std::vector<Joint> joints_;
};

}  // namespace hansa
