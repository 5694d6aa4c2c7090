// Completion queues. Progress is manual: what is held back and what was refused moves on only when they are
// read.
#include <algorithm>
#include <array>
#include <cstring>

#include "tests/support/cxi_rules/objects.hpp"

namespace hansa::cxi_rules {
namespace {

constexpr int kMostReads = 64;  // of the real queue in one call

int close_queue(fid* object) {
  auto& queue = as<Queue>(object);
  if (!queue.endpoints.empty()) return -FI_EBUSY;
  if (const int result = fi_close(&queue.real->fid); result != 0) return result;
  delete &queue;
  return 0;
}

ssize_t read(fid_cq* object, void* entries, std::size_t count) {
  auto& queue = *static_cast<Queue*>(object);
  const Inside inside(*queue.domain, "fi_cq_read");
  if (inside.error() != 0) return inside.error();
  for (Endpoint* endpoint : queue.endpoints) {
    endpoint->storm.read();
    endpoint->release_held();
  }
  queue.drain();
  std::size_t done = 0;
  for (; done < count && !queue.outcomes.empty() && queue.outcomes.front().err == 0; ++done) {
    // What all formats have in common comes first in each.
    std::memcpy(static_cast<char*>(entries) + done * queue.entry_bytes, &queue.outcomes.front(),
                queue.entry_bytes);
    queue.outcomes.pop_front();
  }
  if (done != 0) return static_cast<ssize_t>(done);
  return queue.outcomes.empty() ? -FI_EAGAIN : -FI_EAVAIL;
}

ssize_t read_error(fid_cq* object, fi_cq_err_entry* into, std::uint64_t) {
  auto& queue = *static_cast<Queue*>(object);
  if (queue.outcomes.empty() || queue.outcomes.front().err == 0) return -FI_EAGAIN;
  *into = queue.outcomes.front();
  queue.outcomes.pop_front();
  return 1;
}

const char* in_words(fid_cq* object, int error, const void* data, char* buffer, std::size_t bytes) {
  return fi_cq_strerror(static_cast<Queue*>(object)->real, error, data, buffer, bytes);
}

std::size_t entry_bytes(fi_cq_format format) {
  switch (format) {
    case FI_CQ_FORMAT_MSG:
      return sizeof(fi_cq_msg_entry);
    case FI_CQ_FORMAT_DATA:
      return sizeof(fi_cq_data_entry);
    case FI_CQ_FORMAT_TAGGED:
      return sizeof(fi_cq_tagged_entry);
    default:
      return sizeof(fi_cq_entry);
  }
}

}  // namespace

Request& Queue::request(Endpoint& endpoint, Kind kind, void* context) {
  auto made = std::make_unique<Request>();
  Request& request = *made;
  request.endpoint = &endpoint;
  request.kind = kind;
  request.context = context;
  requests.emplace(&request, std::move(made));
  return request;
}

void Queue::drain() {
  for (int reads = 0; reads < kMostReads; ++reads) {
    fi_cq_tagged_entry entry;
    fi_cq_err_entry outcome{};
    const ssize_t count = fi_cq_read(real, &entry, 1);
    if (count == 1) {
      std::memcpy(&outcome, &entry, sizeof entry);
    } else if (count != -FI_EAVAIL || fi_cq_readerr(real, &outcome, 0) != 1) {
      return;
    }
    outcome.err_data = nullptr;  // the real queue's own
    outcome.err_data_size = 0;
    settle(outcome);
  }
}

void Queue::settle(fi_cq_err_entry& entry) {
  const auto found = requests.find(static_cast<Request*>(entry.op_context));
  if (found == requests.end()) return;
  Request& request = *found->second;
  if (request.kind == Kind::kPeek) {
    request.peeked = entry.err == 0 ? 1 : -1;
    return;
  }
  if (request.endpoint != nullptr) request.endpoint->completed(request, entry);
  if (!request.silent || entry.err != 0) {
    outcomes.push_back(entry);
    outcomes.back().op_context = request.context;
  }
  requests.erase(found);
}

void Queue::fail(void* context, int error) {
  fi_cq_err_entry outcome{};
  outcome.op_context = context;
  outcome.err = outcome.prov_errno = error;
  outcomes.push_back(outcome);
}

int open_queue(fid_domain* object, fi_cq_attr* attributes, fid_cq** into, void* context) {
  static fi_ops calls{.size = sizeof(fi_ops),
                      .close = close_queue,
                      .bind = NotThere(),
                      .control = NotThere(),
                      .ops_open = NotThere(),
                      .tostr = NotThere(),
                      .ops_set = NotThere()};
  static fi_ops_cq reads{.size = sizeof(fi_ops_cq),
                         .read = read,
                         .readfrom = NotThere(),
                         .readerr = read_error,
                         .sread = NotThere(),
                         .sreadfrom = NotThere(),
                         .signal = NotThere(),
                         .strerror = in_words};
  auto queue = std::make_unique<Queue>();
  queue->fid = {FI_CLASS_CQ, context, &calls};
  queue->ops = &reads;
  queue->domain = static_cast<Domain*>(object);
  queue->entry_bytes = entry_bytes(attributes->format);
  queue->size = attributes->size;
  fi_cq_attr real = *attributes;
  real.format = FI_CQ_FORMAT_TAGGED;
  const int result = fi_cq_open(queue->domain->real, &real, &queue->real, nullptr);
  if (result == 0) *into = queue.release();
  return result;
}

}  // namespace hansa::cxi_rules
