#include "transports/libfabric/port.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <random>

#include "transports/libfabric/peer.hpp"

namespace hansa::libfabric {
namespace {

// Some providers hand out one completion a read, however much there is.
constexpr int kReadsPerPoll = 8;
constexpr std::size_t kCompletionsPerRead = 8;
// Of all that share a port. Where a provider does not go so far, as many as it thinks fit.
constexpr std::size_t kReceives = 16'384;
// After the last completion, of a provider that ends late: some of its own round trips.
constexpr std::chrono::milliseconds kGlow{20};
// Between looks for lost messages. Who has not polled for longer has not waited for so long.
constexpr std::chrono::milliseconds kLook{400};
constexpr std::uint16_t kNumbers = 1u << MessageId::kReceiverBits;

}  // namespace

Result<std::shared_ptr<Port>> Port::open(std::shared_ptr<const Library> library, const Wish& wish) {
  Wish sized = wish;
  sized.receives = kReceives;
  auto fabric = Fabric::open(library, sized);
  sized.receives = 0;
  if (fabric.status().code() == Code::kUnsupported) fabric = Fabric::open(std::move(library), sized);
  HANSA_RETURN_IF_ERROR(fabric.status());
  return std::make_shared<Port>(std::move(fabric).value());
}

Port::Port(std::unique_ptr<Fabric> fabric)
    : fabric_(std::move(fabric)),
      registry_(fabric_->registers() ? [&known = *fabric_](Bytes memory) { return known.enroll(memory); }
                                     : Registry::Enroll()),
      generation_(std::uint64_t{std::random_device()()} << 32 | std::random_device()()),
      last_number_(static_cast<std::uint16_t>(generation_ % kNumbers)) {}

// Where receives cannot name the peer, tags have the sender's rank, which is unique in one communicator only.
Result<Port::Place> Port::join(SharedParts* parts, std::shared_ptr<const Library> library, const Wish& wish,
                               std::uint64_t communicator, const Need& need) {
  SharedParts nobodys;
  SharedParts& all = parts == nullptr ? nobodys : *parts;
  const std::scoped_lock lock(all.mutex);
  auto& ports = all.parts[fmt::format("libfabric {} {} {}", wish.provider, wish.address, wish.interface)];
  std::erase_if(ports, [](const std::weak_ptr<void>& port) { return port.expired(); });
  for (const std::weak_ptr<void>& weak : ports) {
    const auto port = std::static_pointer_cast<Port>(weak.lock());
    if (!port || !port->fabric().directed()) continue;
    const std::scoped_lock turn(port->turn_);
    if (!port->status_.ok()) continue;
    if (auto seat = port->sit_down(communicator, need); seat.ok()) return Place{port, seat.value()};
  }
  HANSA_ASSIGN_OR_RETURN(auto port, open(std::move(library), wish));
  const std::scoped_lock turn(port->turn_);
  HANSA_ASSIGN_OR_RETURN(auto seat, port->sit_down(communicator, need));
  ports.push_back(port);
  return Place{port, std::move(seat)};
}

void Port::close() {
  if (status_.ok())
    status_ =
        Status(Code::kSystem,
               "libfabric's endpoint was closed, since a message that was under way into memory of a call "
               "that had failed did not end within two seconds");
  closed_ = true;
  fabric_->close_endpoint();
}

Port::~Port() {
  if (fabric_->binds()) release_regions();
  fabric_->close_endpoint();
}

// Where regions are the endpoint's, they go first, and before them all that is posted in them.
void Port::release_regions() {
  std::vector<Poster*> left;
  for (const auto& [address, door] : doors_) left.push_back(door.get());
  for (const auto& door : walled_up_) left.push_back(door.get());
  for (const Orphan& orphan : orphans_) left.push_back(orphan.poster.get());
  waiting_.clear();
  for (Poster* poster : left) poster->withdraw();
  const auto deadline = std::chrono::steady_clock::now() + kLinger;
  const auto ended = [](const Poster* poster) { return poster->withdrawn(); };
  while (!std::all_of(left.begin(), left.end(), ended) && std::chrono::steady_clock::now() < deadline) {
    if (!read()) sched_yield();
  }
  for (Poster* poster : left) poster->close_region();
  registry_.close();
}

Result<std::shared_ptr<const Port::Seat>> Port::sit_down(std::uint64_t communicator, const Need& need) {
  const std::size_t receives = need(fabric_->info(), !senders_.contains({communicator, 0}));
  if (booked_ + receives > capacity())
    return Status(Code::kUnsupported,
                  fmt::format("libfabric's provider {} has no {} posted receives: its queue holds {}",
                              fabric_->info().fabric_attr->prov_name, receives, capacity()));
  Seat seat{.communicator = communicator, .receives = receives};
  // In turn, so that late bytes for who had the number before have long come.
  for (std::uint16_t tried = 0; tried < kNumbers && seat.number == 0; ++tried) {
    last_number_ = static_cast<std::uint16_t>((last_number_ + 1) % kNumbers);
    if (last_number_ != 0 && !numbers_.contains(last_number_)) seat.number = last_number_;
  }
  while (seat.sender < 255 && senders_.contains({communicator, seat.sender})) ++seat.sender;
  if (seat.number == 0 || senders_.contains({communicator, seat.sender}))
    return Status(Code::kSystem,
                  "libfabric's tags have no room for more communicators or ranks of a process");
  numbers_.insert(seat.number);
  senders_.insert({communicator, seat.sender});
  booked_ += receives;
  return std::shared_ptr<const Seat>(new Seat(seat), [this](const Seat* left) {
    stand_up(*left);
    delete left;
  });
}

void Port::stand_up(const Seat& seat) {
  numbers_.erase(seat.number);
  senders_.erase({seat.communicator, seat.sender});
  booked_ -= seat.receives;
}

Result<Door*> Port::door(fi_addr_t address, std::uint64_t generation, std::uint64_t to_us,
                         std::uint64_t from_us) {
  const auto found = doors_.find(address);
  if (found != doors_.end() && found->second->generation() == generation) return found->second.get();
  auto made = std::make_unique<Door>(*this, address, generation, to_us, from_us);
  HANSA_RETURN_IF_ERROR(made->open());
  if (found != doors_.end()) {
    Door& old = *found->second;
    std::erase(waiting_, &old);
    old.enlisted(false);
    old.give_up(Code::kRemote, "its endpoint was opened anew");
    old.withdraw();
    walled_up_.push_back(std::move(found->second));
    doors_.erase(found);
  }
  return doors_.emplace(address, std::move(made)).first->second.get();
}

Peer* Port::find(const PeerKey& key) const {
  const auto found = peers_.find(key);
  return found == peers_.end() ? nullptr : found->second;
}

void Port::enlist(Poster& poster) {
  if (poster.is_enlisted() || !poster.pending()) return;
  poster.enlisted(true);
  waiting_.push_back(&poster);
}

void Port::adopt(std::unique_ptr<Poster> poster, std::shared_ptr<const Seat> seat) {
  std::erase(waiting_, poster.get());
  poster->enlisted(false);
  if (!poster->withdrawn()) orphans_.push_back({std::move(poster), std::move(seat)});
}

bool Port::poll() {
  const std::unique_lock turn(turn_, std::try_to_lock);
  if (!turn) return false;
  bool any = false, posted = false;
  for (int reads = 0; reads < kReadsPerPoll && read(); ++reads) any = true;
  // By index: who advances may enlist others.
  for (std::size_t index = 0; index < waiting_.size(); ++index) posted = waiting_[index]->advance() || posted;
  std::erase_if(waiting_, [](Poster* poster) {
    poster->enlisted(poster->pending());
    return !poster->is_enlisted();
  });
  if (any && ends_late(fabric_->info())) last_event_ = std::chrono::steady_clock::now();
  if (any && !orphans_.empty())
    std::erase_if(orphans_, [](const Orphan& orphan) { return orphan.poster->withdrawn(); });
  if (hides_breaks(fabric_->info())) look_for_losses();
  return any || posted;
}

bool Port::glows() const {
  return ends_late(fabric_->info()) && std::chrono::steady_clock::now() - last_event_ < kGlow;
}

void Port::look_for_losses() {
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_ < kLook) return;
  const bool waited = now - looked_ < 2 * kLook;
  looked_ = now;
  for (const auto& [key, peer] : peers_)
    if (waited) peer->look_for_losses();
}

bool Port::read() {
  std::array<fi_cq_msg_entry, kCompletionsPerRead> entries;
  const ssize_t count = fabric_->read(entries.data(), entries.size());
  if (count == -FI_EAVAIL) {
    read_errors();
    return true;
  }
  if (count < 0 && count != -FI_EAGAIN && status_.ok()) {
    status_ = Status(Code::kSystem, fmt::format("libfabric's completion queue failed: {}",
                                                fabric_->text(static_cast<int>(-count))));
  }
  for (ssize_t index = 0; index < count; ++index) {
    const fi_cq_msg_entry& entry = entries[static_cast<std::size_t>(index)];
    auto& operation = *static_cast<Operation*>(entry.op_context);
    operation.poster->completed(operation, entry.len);
    enlist(*operation.poster);
  }
  return count > 0;
}

void Port::read_errors() {
  fi_cq_err_entry entry{};
  while (fabric_->read_error(entry)) {
    if (entry.op_context != nullptr) {
      auto& operation = *static_cast<Operation*>(entry.op_context);
      operation.poster->failed(operation, entry);
    } else if (status_.ok()) {
      status_ = Status(Code::kSystem, fmt::format("libfabric: {}", fabric_->text(entry)));
    }
    entry = {};
  }
}

}  // namespace hansa::libfabric
