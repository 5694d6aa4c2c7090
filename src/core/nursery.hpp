// The children of a communicator that are being made: whose handle the program does not have yet.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "hansa/status.hpp"

namespace hansa {

class Communicator;

// Any thread.
class Nursery {
 public:
  Nursery();
  ~Nursery();  // when nothing is expected any more

  void expect(Communicator& child);
  // The child is ready, or has failed, or has no place; in the latter cases it is kept here (the thread that
  // says so is the child's own), until another is expected or this ends.
  void ended(Communicator& child, const Status& status, std::unique_ptr<Communicator> kept);
  bool empty() const;
  // Why the last one that failed since others were expected did.
  Status failure() const;
  // Makes all that are expected end soon.
  void give_up(const Status& reason);

 private:
  mutable std::mutex mutex_;
  std::vector<Communicator*> expected_;
  std::vector<std::unique_ptr<Communicator>> kept_;
  Status failure_;
};

}  // namespace hansa
