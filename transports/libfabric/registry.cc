#include "transports/libfabric/registry.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "base/log.hpp"

namespace hansa::libfabric {
namespace {

constexpr std::align_val_t kPage{4096};

// Providers say that memory is short, not which.
Status with_remedy(const Status& refusal) {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  const std::string is =
      limit.rlim_cur == RLIM_INFINITY ? "unlimited" : fmt::format("{} KiB", limit.rlim_cur >> 10);
  return Status(Code::kSystem, fmt::format("{}; if what the provider locks is beyond RLIMIT_MEMLOCK ({}): "
                                           "ulimit -l unlimited, before the job starts",
                                           refusal.message(), is));
}

}  // namespace

void Registry::FreePages::operator()(std::byte* memory) const { ::operator delete(memory, kPage); }

Result<Registry::Berth> Registry::take_registered(Bytes message, const Memory* owner, Way way) {
  if (Piece* const known = find(message, owner)) return take_piece(*known, message);
  // Were all pads landings', those would wait for launches of peers whose pads are all landings', too. So the
  // first one is for launches, which end without a pad of anybody else's.
  if (way == Way::kLands && !has_launch_pad(message.size())) {
    HANSA_RETURN_IF_ERROR(make_pad(message.size(), Way::kLeaves));
    if (!has_launch_pad(message.size())) return Berth{};
  }
  Piece* pad = idle_pad(message.size(), way);
  if (pad == nullptr) {
    HANSA_RETURN_IF_ERROR(make_pad(message.size(), way));
    pad = idle_pad(message.size(), way);
  }
  if (pad == nullptr) return Berth{};
  std::erase(pads(way).idle, pad);
  return take_piece(*pad, pad->memory.first(message.size()));
}

Registry::Berth Registry::take_piece(Piece& piece, Bytes memory) {
  ++piece.users;
  ++taken_;
  piece.last_use = ++uses_;
  return {.memory = memory,
          .region = piece.region.get(),
          .taken = true,
          .pad = piece.pages != nullptr,
          .piece = &piece};
}

void Registry::give_back(Berth& berth) {
  if (Piece* const piece = berth.piece) {
    --piece->users;
    --taken_;
    if (berth.pad) pads(piece->way).idle.push_back(piece);
  }
  berth = {};
}

// Null where the message has to go by a pad: also if the allocation was refused before, since each try would
// drive out all others.
Registry::Piece* Registry::find(Bytes message, const Memory* owner) {
  if (owner == nullptr || message.empty()) return nullptr;
  const auto allocation = owner->identify(message.data(), message.size());
  if (!allocation) return nullptr;
  const auto found = allocations_.find(allocation->id);
  if (found == allocations_.end()) return add(*allocation, owner);
  return found->second.region ? &found->second : nullptr;
}

Registry::Piece* Registry::add(const Allocation& allocation, const Memory* owner) {
  if (allocation.bytes > most_bytes_) return nullptr;
  drop_freed(owner);
  while (bytes_ + allocation.bytes > most_bytes_)
    if (!evict_allocation()) return nullptr;
  Piece piece{.pages = {}, .memory = {allocation.base, allocation.bytes}, .region = {}, .owner = owner};
  auto region = enroll(piece.memory);
  if (region.ok()) {
    piece.region = std::move(region).value();
    bytes_ += allocation.bytes;
  } else {
    complain(region.status(), "messages from and into an allocation are copied");
  }
  Piece& added = allocations_.emplace(allocation.id, std::move(piece)).first->second;
  return added.region ? &added : nullptr;
}

// Nobody says that an allocation was freed; its owner says what lies there now. Of another owner's, which may
// be gone, nothing is asked.
void Registry::drop_freed(const Memory* owner) {
  std::erase_if(allocations_, [&](const auto& entry) {
    const auto& [id, piece] = entry;
    if (piece.owner != owner || piece.users > 0) return false;
    const auto now = owner->identify(piece.memory.data(), piece.memory.size());
    if (now && now->id == id) return false;
    if (piece.region) bytes_ -= piece.memory.size();
    return true;
  });
}

// Of those that are registered and that no message uses, the one whose last message was longest ago.
bool Registry::evict_allocation() {
  auto oldest = allocations_.end();
  for (auto entry = allocations_.begin(); entry != allocations_.end(); ++entry) {
    const Piece& piece = entry->second;
    if (!piece.region || piece.users > 0) continue;
    if (oldest == allocations_.end() || piece.last_use < oldest->second.last_use) oldest = entry;
  }
  if (oldest == allocations_.end()) return false;
  bytes_ -= oldest->second.memory.size();
  allocations_.erase(oldest);
  return true;
}

const Registry::Piece* Registry::longest_launch_pad() const {
  const auto& all = pads_[static_cast<std::size_t>(Way::kLeaves)].all;
  const auto longest = std::max_element(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a->memory.size() < b->memory.size();
  });
  return longest == all.end() ? nullptr : longest->get();
}

bool Registry::has_launch_pad(std::size_t bytes) const {
  const Piece* const longest = longest_launch_pad();
  return longest != nullptr && longest->memory.size() >= bytes;
}

bool Registry::evict_pad() {
  const Piece* const kept = longest_launch_pad();
  for (const Way way : {Way::kLands, Way::kLeaves}) {
    auto& [all, idle] = pads(way);
    const auto found =
        std::find_if(idle.begin(), idle.end(), [&](const Piece* piece) { return piece != kept; });
    if (found == idle.end()) continue;
    std::erase_if(all, [piece = *found](const auto& one) { return one.get() == piece; });
    idle.erase(found);
    return true;
  }
  return false;
}

Registry::Piece* Registry::idle_pad(std::size_t bytes, Way way) {
  const auto& idle = pads(way).idle;
  const auto fits = [&](const Piece* pad) { return pad->memory.size() >= bytes; };
  const auto found = std::find_if(idle.rbegin(), idle.rend(), fits);
  return found == idle.rend() ? nullptr : *found;
}

// No error if none was made and it is worth waiting: something will be given back.
Status Registry::make_pad(std::size_t bytes, Way way) {
  if (!retry_.due()) return {};
  auto pad = std::make_unique<Piece>();
  const std::size_t whole = std::bit_ceil(std::max(bytes, kLeastPad));
  pad->pages.reset(static_cast<std::byte*>(::operator new(whole, kPage, std::nothrow)));
  pad->memory = {pad->pages.get(), whole};
  pad->way = way;
  auto region = pad->pages ? enroll(pad->memory)
                           : Result<Owned<fid_mr>>(Status(
                                 Code::kSystem, fmt::format("no memory for a message of {} bytes", bytes)));
  if (!region.ok()) {
    retry_.refused();
    if (taken_ == 0) return region.status();
    complain(region.status(), "messages wait for each other");
    return {};
  }
  retry_.taken();
  pad->region = std::move(region).value();
  auto& [all, idle] = pads(way);
  all.push_back(std::move(pad));
  idle.push_back(all.back().get());
  return {};
}

Result<Owned<fid_mr>> Registry::enroll(Bytes memory) {
  if (!enroll_) return Owned<fid_mr>();
  for (;;) {
    auto made = enroll_(memory);
    if (made.ok()) return made;
    if (!evict_allocation() && !evict_pad()) return with_remedy(made.status());
  }
}

void Registry::complain(const Status& refusal, const char* consequence) {
  if (!std::exchange(complained_, true))
    HANSA_WARN("libfabric: {}, since {}", consequence, refusal.message());
}

void Registry::close() {
  for (auto& [id, piece] : allocations_) piece.region.reset();
  for (Pads& of_way : pads_)
    for (auto& pad : of_way.all) pad->region.reset();
}

}  // namespace hansa::libfabric
