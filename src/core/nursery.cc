#include "core/nursery.hpp"

#include <algorithm>
#include <utility>

#include "core/communicator.hpp"

namespace hansa {

Nursery::Nursery() = default;
Nursery::~Nursery() = default;

void Nursery::expect(Communicator& child) {
  std::vector<std::unique_ptr<Communicator>> gone;  // outlives the lock: ending them waits for their threads
  const std::scoped_lock lock(mutex_);
  gone = std::exchange(kept_, {});
  if (expected_.empty()) failure_ = Status();
  expected_.push_back(&child);
}

void Nursery::ended(Communicator& child, const Status& status, std::unique_ptr<Communicator> kept) {
  const std::scoped_lock lock(mutex_);
  std::erase(expected_, &child);
  if (!status.ok()) failure_ = status;
  if (kept) kept_.push_back(std::move(kept));
}

bool Nursery::empty() const {
  const std::scoped_lock lock(mutex_);
  return expected_.empty();
}

Status Nursery::failure() const {
  const std::scoped_lock lock(mutex_);
  return failure_;
}

void Nursery::give_up(const Status& reason) {
  const std::scoped_lock lock(mutex_);
  for (Communicator* child : expected_) child->fail(reason);
}

}  // namespace hansa
