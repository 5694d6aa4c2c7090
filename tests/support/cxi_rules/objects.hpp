// The objects that callers hold: each begins as libfabric's own does, keeps the real one behind it, and
// forwards what the rules let through. A caller closes them as it would the real ones.
#pragma once

#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "tests/support/cxi_rules/provider.hpp"
#include "tests/support/cxi_rules/storm.hpp"

namespace hansa::cxi_rules {

// Fills a place in a table of calls that the stand-in does not have.
struct NotThere {
  template <class Return, class... Arguments>
  using Function = Return (*)(Arguments...);
  template <class Return, class... Arguments>
  operator Function<Return, Arguments...>() const {
    return [](Arguments...) { return static_cast<Return>(-FI_ENOSYS); };
  }
};

struct Fabric : fid_fabric {
  using Base = fid_fabric;
  Settings settings;
  Info real_info;
  fid_fabric* real = nullptr;
};

struct Domain : fid_domain {
  using Base = fid_domain;
  Settings settings;
  int mr_mode = 0;
  Info real_info;
  fid_domain* real = nullptr;
  std::uint64_t next_key = 1;
  std::size_t locked = 0;      // bytes of regions
  std::atomic<int> inside{0};  // the thread that is in a call, as the kernel numbers it
};

// One thread at a time in the calls that move data.
class Inside {
 public:
  Inside(Domain& domain, const char* call);
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  int error() const { return error_; }

 private:
  Domain& domain_;
  int error_ = 0;
};

struct Addresses : fid_av {
  using Base = fid_av;
  fid_av* real = nullptr;
};

struct Endpoint;

struct Region : fid_mr {
  using Base = fid_mr;
  Domain* domain = nullptr;
  Endpoint* endpoint = nullptr;
  fid_mr* real = nullptr;  // from when it is enabled
  const char* begin = nullptr;
  std::size_t bytes = 0;
  std::uint64_t access = 0, wanted_key = 0;
  std::size_t posted = 0;  // requests that name it
};

// Keys that the provider chooses tell the region's length, so that the other side can be told of its mistake.
inline constexpr int kLengthBits = 40;
constexpr std::uint64_t key_length(std::uint64_t key) {
  return key & ((std::uint64_t{1} << kLengthBits) - 1);
}

enum class Kind : std::uint8_t { kSend, kReceive, kPeek };

// What stands behind a posted call; the real provider hands its address back.
struct Request {
  fi_context2 real{};  // the real provider's while posted; must be first
  void* context = nullptr;
  Endpoint* endpoint = nullptr;  // null when that is closed
  Region* region = nullptr;
  Kind kind = Kind::kSend;
  bool silent = false;          // no completion for the caller
  int peeked = 0;               // of kPeek: 0 not yet, 1 a message waits, -1 none does
  std::vector<std::byte> copy;  // of what was injected
};

struct Queue : fid_cq {
  using Base = fid_cq;
  Domain* domain = nullptr;
  fid_cq* real = nullptr;
  std::size_t entry_bytes = 0;
  std::size_t size = 0;
  std::vector<Endpoint*> endpoints;
  std::deque<fi_cq_err_entry> outcomes;  // of the real queue, not yet read; err 0: completed
  std::unordered_map<Request*, std::unique_ptr<Request>> requests;

  Request& request(Endpoint& endpoint, Kind kind, void* context);
  // Takes back a request that was not posted after all.
  void forget(Request& request) { requests.erase(&request); }
  // Moves what the real queue has into `outcomes`.
  void drain();
  // A completion that the real provider knows nothing of.
  void fail(void* context, int error);

 private:
  void settle(fi_cq_err_entry& entry);
};

// When a post goes out: at once, or when the completion queue is read next, behind what was held or before
// it.
enum class Hold : std::uint8_t { kNot, kBehind, kBefore };

// Of a call that is about to be posted.
struct Post {
  const char* call;
  void* buffer;
  std::size_t bytes;
  void* descriptor;
  void* context;
};

struct Endpoint : fid_ep {
  using Base = fid_ep;
  Domain* domain = nullptr;
  fid_ep* real = nullptr;
  Queue* sends_queue = nullptr;
  Queue* receives_queue = nullptr;
  bool enabled = false;
  bool directed = false;
  bool stopped = false;  // by flow control, for good
  std::size_t most_sends = 0, most_receives = 0;
  std::size_t sends = 0, receives = 0;  // posted
  std::size_t regions = 0;              // bound to it
  std::size_t unexpected = 0;           // messages that came before their receive
  std::size_t sent = 0;                 // sends that have ended
  Storm storm;
  std::deque<std::function<ssize_t()>> held;  // posts that go out when the queue is read

  const Settings& settings() const { return domain->settings; }
  // Whether a call may be posted: 0, or the negated error that it returns instead.
  ssize_t admit(const Post& post, Kind kind);
  // As libfabric's post, with a request of its own.
  ssize_t post(const Post& post, Kind kind, Hold hold, bool silent, std::function<ssize_t(Request&)> forward);
  void release_held();
  // Settles the account of a request that has ended, and may make it fail.
  void completed(const Request& request, fi_cq_err_entry& outcome);
};

// The tables of calls, one file each.
int open_domain(fid_fabric* fabric, fi_info* info, fid_domain** domain, void* context);
int open_addresses(fid_domain* domain, fi_av_attr* attributes, fid_av** addresses, void* context);
int open_queue(fid_domain* domain, fi_cq_attr* attributes, fid_cq** queue, void* context);
int open_endpoint(fid_domain* domain, fi_info* info, fid_ep** endpoint, void* context);
fi_ops_mr* region_calls();
fi_ops_tagged* tagged_calls();
fi_ops_rma* rma_calls();

template <class Object>
Object& as(fid* object) {
  return *static_cast<Object*>(reinterpret_cast<typename Object::Base*>(object));
}

}  // namespace hansa::cxi_rules
