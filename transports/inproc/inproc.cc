#include "transports/inproc/inproc.hpp"

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <mutex>

#include "transports/inproc/freight.hpp"
#include "transports/inproc/ring.hpp"
#include "transports/process.hpp"

namespace hansa {
namespace inproc {
namespace {

// What one rank sends to another. Owned by both ends, so either may go first.
struct Link {
  Link(std::uint16_t lanes, SlotShape shape) {
    for (std::uint16_t lane = 0; lane < lanes; ++lane) rings.push_back(std::make_unique<Ring>(shape));
    landings = std::make_shared<Landings>(lanes);
  }
  std::vector<std::unique_ptr<Ring>> rings;  // by lane
  std::shared_ptr<Landings> landings;
  // The receiver's own memory is open to the sender's get() and put() until the receiver closes it.
  std::mutex mutex;
  bool closed = false;
};

// What a rank receives, by the key of the sender's inbox.
class Inbox {
 public:
  Inbox(std::uint16_t lanes, SlotShape shape) : lanes_(lanes), shape_(shape) {}
  // Both ends ask; the first makes it.
  std::shared_ptr<Link> link_from(std::uint64_t sender) {
    const std::lock_guard lock(mutex_);
    auto& link = links_[sender];
    if (!link) link = std::make_shared<Link>(lanes_, shape_);
    return link;
  }

 private:
  std::uint16_t lanes_;
  SlotShape shape_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Link>> links_;
};

ProcessRegistry<Inbox>& inboxes() {
  static auto* registry = new ProcessRegistry<Inbox>;  // outlives every static that may hold a communicator
  return *registry;
}

struct Address {
  std::uint64_t process = 0;
  std::uint64_t inbox = 0;  // key in that process's registry
  std::uint64_t communicator = 0;
  SlotShape shape;
  std::uint16_t lanes = 0;
};

class InprocEndpoint final : public Endpoint, Freight {
 public:
  InprocEndpoint(const Capabilities& capabilities, std::shared_ptr<Link> outgoing,
                 std::shared_ptr<Link> incoming)
      : capabilities_(capabilities), outgoing_(std::move(outgoing)), incoming_(std::move(incoming)) {
    if (capabilities_.freight_lanes > 0) capabilities_.freight = this;
  }

  const Capabilities& capabilities() const noexcept override { return capabilities_; }
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    return outgoing_->rings[lane]->reserve(ahead);
  }
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) noexcept override {
    outgoing_->rings[lane]->commit(bytes, stamp);
  }
  Arrival peek(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    return incoming_->rings[lane]->peek(ahead);
  }
  void release(std::uint16_t lane) noexcept override { incoming_->rings[lane]->release(); }

  Descriptor describe(BytesView memory) noexcept override {
    return {reinterpret_cast<std::uintptr_t>(memory.data()), memory.size(), 0, 0};
  }
  std::byte* map(const Descriptor& remote) noexcept override {
    return reinterpret_cast<std::byte*>(remote.address);
  }
  void get(const Descriptor& remote, std::size_t offset, Bytes into, Completion& done) noexcept override {
    copy(remote, offset, into.size(), done,
         [&](std::byte* theirs) { std::memcpy(into.data(), theirs, into.size()); });
  }
  void put(const Descriptor& remote, std::size_t offset, BytesView from, Completion& done) noexcept override {
    copy(remote, offset, from.size(), done,
         [&](std::byte* theirs) { std::memcpy(theirs, from.data(), from.size()); });
  }
  void quiesce() noexcept override {
    const std::lock_guard lock(incoming_->mutex);
    incoming_->closed = true;
    incoming_->landings->close();
  }

  void land(std::uint16_t lane, Bytes into, Completion& done) noexcept override {
    incoming_->landings->land(lane, into, done);
  }
  bool ready(std::uint16_t lane) noexcept override { return outgoing_->landings->ready(lane); }
  void launch(std::uint16_t lane, BytesView from, Completion& done) noexcept override {
    outgoing_->landings->fill(lane, from);
    done.state = Completion::State::kDone;
  }

 private:
  template <class Move>
  void copy(const Descriptor& remote, std::size_t offset, std::size_t bytes, Completion& done,
            Move move) noexcept {
    const std::lock_guard lock(outgoing_->mutex);
    if (outgoing_->closed || offset > remote.bytes || bytes > remote.bytes - offset) {
      done.state = Completion::State::kFailed;
      return;
    }
    if (bytes > 0) move(reinterpret_cast<std::byte*>(remote.address) + offset);
    done.state = Completion::State::kDone;
  }

  Capabilities capabilities_;
  std::shared_ptr<Link> outgoing_, incoming_;
};

class InprocTransport final : public Transport {
 public:
  InprocTransport(const TransportOptions& options, SlotShape shape, std::size_t freight_from)
      : capabilities_{.slot_bytes = shape.bytes,
                      .slots = shape.count,
                      .direct = true,
                      .direct_own = true,
                      .freight_from = freight_from,
                      .freight_lanes = freight_from == SIZE_MAX ? std::uint16_t{0} : options.lanes},
        address_{process_identity(), random_u64(), options.communicator, shape, options.lanes},
        inbox_(std::make_shared<Inbox>(options.lanes, shape)) {
    inboxes().publish(address_.inbox, inbox_);
  }

  std::string_view name() const noexcept override { return "inproc"; }
  const Capabilities& capabilities() const noexcept override { return capabilities_; }
  std::vector<std::byte> address() const override {
    std::vector<std::byte> bytes(sizeof address_);
    std::memcpy(bytes.data(), &address_, sizeof address_);
    return bytes;
  }

  Result<std::unique_ptr<Endpoint>> connect(Rank peer, BytesView address) override {
    Address theirs;
    if (address.size() != sizeof theirs) {
      return Status(Code::kInvalidArgument, fmt::format("rank {} sent a malformed inproc address", peer));
    }
    std::memcpy(&theirs, address.data(), sizeof theirs);
    if (theirs.process != address_.process) {
      return Status(Code::kUnsupported, fmt::format("rank {} lives in another process", peer));
    }
    if (theirs.communicator != address_.communicator || theirs.lanes != address_.lanes ||
        theirs.shape != address_.shape) {
      return Status(Code::kInvalidUsage, fmt::format("rank {} opened inproc with other options", peer));
    }
    const std::shared_ptr<Inbox> inbox = inboxes().find(theirs.inbox);
    if (!inbox) return Status(Code::kRemote, fmt::format("rank {} has closed its inproc transport", peer));
    auto incoming = inbox_->link_from(theirs.inbox);
    if (capabilities_.freight_lanes > 0) landings_.push_back(incoming->landings);
    return std::unique_ptr<Endpoint>(std::make_unique<InprocEndpoint>(
        capabilities_, inbox->link_from(address_.inbox), std::move(incoming)));
  }

  // The other side's stores are all there is, but for completions.
  bool poll() noexcept override {
    bool any = false;
    for (const auto& landings : landings_) any = landings->complete() || any;
    return any;
  }

 private:
  Capabilities capabilities_;
  Address address_;
  std::shared_ptr<Inbox> inbox_;
  std::vector<std::shared_ptr<Landings>> landings_;  // that peers fill
};

}  // namespace
}  // namespace inproc

Status probe_inproc() { return {}; }

Result<std::unique_ptr<Transport>> open_inproc(const TransportOptions& options, SlotShape shape,
                                               std::size_t freight_from) {
  return std::unique_ptr<Transport>(std::make_unique<inproc::InprocTransport>(options, shape, freight_from));
}

}  // namespace hansa
