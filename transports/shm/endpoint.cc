#include "transports/shm/endpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/wait.hpp"

namespace hansa::shm {
namespace {

// Of shorter messages, what is lost either way is less than it takes to read the clock.
constexpr std::uint32_t kStreamable = Capabilities::kLeastStreamed;
constexpr int kLooks = 16;
// Shorter messages lie beside their flags, or nearly.
constexpr std::size_t kPostsFrom = 128;

// Of one kibibyte: less than it takes to get it back from a core that shares no cache, more than from one
// that does (docs/performance.md). A step may fill the cells of several peers before it hands any of them
// over.
std::chrono::nanoseconds slow_kib(std::size_t peers) {
  return std::chrono::nanoseconds(130) * std::clamp<std::size_t>(peers, 1, 3);
}

}  // namespace

ShmEndpoint::ShmEndpoint(Rank peer, std::shared_ptr<Local> local, std::byte* incoming, Reached outgoing,
                         PeerMemory peer_memory, bool ferries)
    : peer_(peer),
      local_(std::move(local)),
      incoming_(incoming),
      outgoing_(std::move(outgoing.region)),
      board_(std::move(outgoing.board)),
      visitor_(GateWords(outgoing_.get())),
      doorkeeper_(GateWords(incoming)),
      peer_memory_(std::move(peer_memory)),
      stores_(slow_kib(local_->peers)) {
  const Layout& layout = local_->inbox->layout();
  for (std::uint16_t lane = 0; lane < layout.lanes; ++lane) {
    lanes_.push_back({Sender(Cells(outgoing_.get(), layout, lane)), Receiver(Cells(incoming, layout, lane))});
  }
  capabilities_ = {.slot_bytes = layout.shape.bytes,
                   .slots = layout.shape.count,
                   .direct = peer_memory_.reaches_all(),
                   .direct_own = local_->memory.known(),
                   .staged = peer_memory_.same_process() ? Staged::kNone : local_->staged,
                   .deposits = !peer_memory_.same_process() && local_->deposits && local_->memory.known()};
  if (local_->billboard) {
    capabilities_.billboard = local_->billboard.get();
    capabilities_.billboard_place = static_cast<std::uint32_t>(peer);
    capabilities_.posts_from = kPostsFrom;
    local_->billboard->join(capabilities_.billboard_place, *this);
  }
  if (!ferries) return;
  ferry_.emplace(peer_, incoming_, outgoing_.get(), layout);
  local_->ferries.push_back(&*ferry_);
}

ShmEndpoint::~ShmEndpoint() {
  if (ferry_) std::erase(local_->ferries, &*ferry_);
  if (local_->billboard) local_->billboard->leave(capabilities_.billboard_place);
}

bool ShmEndpoint::back(std::byte* region, std::uint16_t lane, bool* backed) noexcept {
  const Status status = back_lane(region, local_->inbox->layout(), lane);
  *backed = status.ok();
  if (!status.ok()) local_->failure = status;
  return *backed;
}

// Apart from reserve(), commit() and peek(), which are called more often than anything else; so are the next
// two.
[[gnu::noinline]] std::byte* ShmEndpoint::reserve_with_care(std::uint16_t number,
                                                            std::uint32_t ahead) noexcept {
  Lane& lane = lanes_[number];
  if (!lane.out_backed && !back(outgoing_.get(), number, &lane.out_backed)) return nullptr;
  const std::uint32_t cell = lane.out.reserve(ahead);
  if (cell == Sender<Cells>::kNone) return nullptr;
  if (ahead == 0) {
    if (lane.timed_message != lane.out.sent()) --lane.looks;
    lane.timed_message = lane.out.sent();
    lane.took = {};
    lane.filling = Clock::now();
  } else if (ahead == 1 && lane.timed_message == lane.out.sent()) {
    lane.took = Clock::now() - lane.filling;
  }
  lane.out_plain = lane.looks <= 0;
  return lane.out.cells().payload(cell);
}

// Of a message that takes more than a line.
[[gnu::noinline]] void ShmEndpoint::after_commit(Lane& lane, std::uint32_t bytes) noexcept {
  if (bytes >= kStreamable) {
    const bool timed = lane.timed_message == lane.out.sent() - 1;
    if (timed && lane.took == lane.took.zero()) lane.took = Clock::now() - lane.filling;
    stores_.filled(bytes, timed ? lane.took : lane.took.zero());
    lane.looks = stores_.wants_time() ? kLooks : 0;
    lane.out_plain = lane.looks == 0;
    capabilities_.streams_from = stores_.streams() ? kStreamable : SIZE_MAX;
  }
  if (bytes < capabilities_.streams_from) lane.out.prefetch(bytes);
}

// What is longer than a cell is posted, or damaged.
[[gnu::noinline]] Arrival ShmEndpoint::look_elsewhere(std::uint64_t flag, const std::byte* cell) noexcept {
  const bool posted = (bytes_in(flag) & kPosted) != 0;
  const std::uint32_t bytes = bytes_in(flag) & ~kPosted;
  std::uint32_t slot = 0;
  if (posted) std::memcpy(&slot, cell, sizeof slot);
  if (posted && board_ != nullptr && slot < capabilities_.slots && bytes <= capabilities_.slot_bytes)
      [[likely]]
    return {board_.get() + slot * local_->inbox->layout().board_stride(), bytes, stamp_in(flag)};
  local_->failure =
      Status(Code::kDamaged,
             fmt::format("rank {} sent a message of {} bytes in slot {}, but there are {} of {} bytes", peer_,
                         bytes, slot, capabilities_.slots, capabilities_.slot_bytes));
  return {};
}

std::uint64_t ShmEndpoint::post(std::uint16_t number, std::uint32_t slot, std::uint32_t bytes,
                                std::uint32_t stamp) noexcept {
  Sender<Cells>& out = lanes_[number].out;
  std::memcpy(out.cells().payload(out.next()), &slot, sizeof slot);
  out.commit(kPosted | bytes, stamp);
  return out.sent() - 1;
}

std::byte* ShmEndpoint::reserve(std::uint16_t lane, std::uint32_t ahead) noexcept {
  Sender<Cells>& out = lanes_[lane].out;
  if (!lanes_[lane].out_plain) [[unlikely]]
    return reserve_with_care(lane, ahead);
  const std::uint32_t cell = out.reserve(ahead);
  return cell == Sender<Cells>::kNone ? nullptr : out.cells().payload(cell);
}

void ShmEndpoint::commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) noexcept {
  lanes_[lane].out.commit(bytes, stamp);
  if (bytes > Cells::kBesideFlag) [[unlikely]]
    after_commit(lanes_[lane], bytes);
}

inline Arrival ShmEndpoint::look(std::uint16_t lane, std::uint32_t ahead) noexcept {
  Receiver<Cells>& in = lanes_[lane].in;
  const auto message = in.peek(ahead);
  if (!message.arrived) return {};
  const std::uint32_t bytes = bytes_in(message.flag);
  if (bytes > capabilities_.slot_bytes) [[unlikely]]
    return look_elsewhere(message.flag, in.cells().payload(message.cell));
  return {in.cells().payload(message.cell), bytes, stamp_in(message.flag)};
}

Arrival ShmEndpoint::peek(std::uint16_t lane, std::uint32_t ahead) noexcept {
  if (!lanes_[lane].plain) [[unlikely]]
    return peek_with_care(lane, ahead);
  return look(lane, ahead);
}

// What the ferry brought before this message has to lie in its place.
[[gnu::noinline]] Arrival ShmEndpoint::peek_with_care(std::uint16_t lane, std::uint32_t ahead) noexcept {
  if (!lanes_[lane].in_backed && !back(incoming_, lane, &lanes_[lane].in_backed)) return {};
  lanes_[lane].plain = !offered_;
  const Arrival arrival = look(lane, ahead);
  if (arrival.data == nullptr || !offered_) return arrival;
  ferry_->take_all();
  return ferry_->failure().ok() ? arrival : Arrival();
}

void ShmEndpoint::release(std::uint16_t lane) noexcept { lanes_[lane].in.release(); }

template <class Move>
void ShmEndpoint::visit(Completion& done, Move move) noexcept {
  visitor_.enter();
  const bool moved = visitor_.admitted() && move();
  visitor_.leave();
  done.state = moved ? Completion::State::kDone : Completion::State::kFailed;
}

Descriptor ShmEndpoint::describe(BytesView memory) noexcept {
  const Descriptor described = local_->memory.describe(memory);
  if (!ferry_ || described.allocation != 0) return described;  // peers map it
  ferry_->offer(memory);
  offered_ = true;
  for (Lane& lane : lanes_) lane.plain = false;
  return described;
}

// What peers may map was not offered to it; see describe().
bool ShmEndpoint::goes_by_ferry(const Descriptor& remote, std::size_t offset, std::size_t bytes,
                                const Completion& done) noexcept {
  return done.attended && ferry_ && remote.allocation == 0 && bytes > 0 && offset <= remote.bytes &&
         bytes <= remote.bytes - offset && ferry_->ready();
}

void ShmEndpoint::get(const Descriptor& remote, std::size_t offset, Bytes into, Completion& done) noexcept {
  if (goes_by_ferry(remote, offset, into.size(), done) && ferry_->get(remote.address + offset, into, done))
    return;
  visit(done, [&] { return peer_memory_.read(remote, offset, into); });
}

void ShmEndpoint::put(const Descriptor& remote, std::size_t offset, BytesView from,
                      Completion& done) noexcept {
  if (goes_by_ferry(remote, offset, from.size(), done) && ferry_->put(remote.address + offset, from, done))
    return;
  visit(done, [&] { return peer_memory_.write(remote, offset, from); });
}

void ShmEndpoint::quiesce() noexcept {
  const auto deadline = Clock::now() + std::chrono::seconds(2);
  doorkeeper_.close();
  if (ferry_) ferry_->stop();
  Waiter waiter(true);
  // A peer that was killed inside never comes out, nor does it move another byte.
  while (!doorkeeper_.empty() && peer_memory_.alive() && Clock::now() < deadline) waiter.idle();
}

}  // namespace hansa::shm
