#include "core/one_sided.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace hansa {
namespace {

// A piece of a put, between two looks at whether it is still wanted.
constexpr std::size_t kPiece = std::size_t{1} << 20;

Status out_of_reach(Rank peer) {
  return Status(
      Code::kRemote,
      fmt::format("the window of rank {} cannot be reached any more: has it ended, or freed its buffer?",
                  peer));
}

}  // namespace

OneSided::OneSided(Rank self, Rank ranks, Memory& memory, std::span<Endpoint* const> endpoints)
    : self_(self), ranks_(ranks), memory_(memory), endpoints_(endpoints) {}

OneSided::~OneSided() {
  if (own_signals_ != nullptr) (void)memory_.free(own_signals_);
}

std::size_t OneSided::bytes_of_signals() const {
  return static_cast<std::size_t>(ranks_) * kCounters * sizeof(Counter);
}

// Asked every time: mappings that were not used for long are given up.
std::byte* OneSided::mapped(Rank peer, const Descriptor& memory, std::byte* own) const {
  return peer == self_ ? own : endpoints_[static_cast<std::size_t>(peer)]->map(memory);
}

// Whether all say yes.
Result<bool> OneSided::everybody(Session* session, bool good) {
  if (session == nullptr) return good;
  const std::byte mine{good};
  HANSA_ASSIGN_OR_RETURN(const auto said, session->allgather(std::span(&mine, 1)));
  return std::all_of(said.begin(), said.end(),
                     [](const auto& one) { return one.size() == 1 && one[0] == std::byte{1}; });
}

// Tells everybody where this rank's memory is, in each one's words, and learns where theirs is. False, on all
// ranks alike, where some rank cannot reach another's.
Result<bool> OneSided::reach(Session& session, BytesView mine, std::vector<Descriptor>& theirs, bool must_map,
                             std::mutex& turn) {
  const auto n = static_cast<std::size_t>(ranks_), self = static_cast<std::size_t>(self_);
  std::vector<Descriptor> words(n);
  std::unique_lock used(turn);
  for (std::size_t rank = 0; rank < n; ++rank)
    if (rank != self) words[rank] = endpoints_[rank]->describe(mine);
  used.unlock();
  HANSA_ASSIGN_OR_RETURN(const auto said, session.allgather(std::as_bytes(std::span(words))));
  theirs.resize(n);
  bool good = true;
  used.lock();
  for (std::size_t rank = 0; rank < n; ++rank) {
    if (said[rank].size() != n * sizeof(Descriptor))
      return Status(Code::kInvalidUsage,
                    fmt::format("rank {} makes another call than ncclCommWindowRegister", rank));
    std::memcpy(&theirs[rank], said[rank].data() + self * sizeof(Descriptor), sizeof(Descriptor));
    if (rank == self) continue;
    Endpoint& endpoint = *endpoints_[rank];
    if (endpoint.map(theirs[rank]) == nullptr && (must_map || !endpoint.capabilities().direct)) good = false;
  }
  used.unlock();
  return everybody(&session, good);
}

// What every rank must be able to do for there to be windows at all.
bool OneSided::prepare() {
  if (own_signals_ == nullptr) {
    auto memory = memory_.allocate(bytes_of_signals());
    if (!memory.ok()) return false;
    own_signals_ = memory.value();
    waited_.resize(static_cast<std::size_t>(ranks_) * kCounters);
  }
  return std::all_of(endpoints_.begin(), endpoints_.end(), [](const Endpoint* endpoint) {
    return endpoint == nullptr || endpoint->capabilities().direct || endpoint->capabilities().direct_own;
  });
}

Result<std::unique_ptr<Window>> OneSided::show(Session* session, void* buffer, std::size_t bytes,
                                               std::mutex& turn) {
  auto window = std::make_unique<Window>();
  window->buffer = buffer;
  HANSA_ASSIGN_OR_RETURN(const bool possible, everybody(session, prepare()));
  if (!possible) return std::unique_ptr<Window>();
  if (session != nullptr) {
    if (signals_.empty()) {
      std::vector<Descriptor> signals;
      HANSA_ASSIGN_OR_RETURN(const bool signalled,
                             reach(*session, {own_signals_, bytes_of_signals()}, signals, true, turn));
      if (!signalled) return std::unique_ptr<Window>();
      const std::scoped_lock used(turn);
      signals_ = std::move(signals);
    }
    const BytesView memory(static_cast<const std::byte*>(buffer), bytes);
    HANSA_ASSIGN_OR_RETURN(const bool reached, reach(*session, memory, window->targets, false, turn));
    if (!reached) return std::unique_ptr<Window>();
  }
  const auto n = static_cast<std::size_t>(ranks_);
  signals_.resize(n);
  window->targets.resize(n);
  window->targets[static_cast<std::size_t>(self_)].bytes = bytes;
  return window;
}

std::size_t OneSided::index_of(const OneSidedCall& call) {
  return static_cast<std::size_t>(call.context) * kSignals + static_cast<std::size_t>(call.signal);
}

// By the endpoint, which lets nothing in any more once its owner has shut its memory.
Status OneSided::put(const OneSidedCall& call, std::size_t offset, BytesView piece) {
  if (call.peer == self_) {
    std::memcpy(static_cast<std::byte*>(call.window->buffer) + call.offset + offset, piece.data(),
                piece.size());
    return {};
  }
  const Descriptor& target = call.window->targets[static_cast<std::size_t>(call.peer)];
  Completion completion;
  endpoints_[static_cast<std::size_t>(call.peer)]->put(target, call.offset + offset, piece, completion);
  return completion.state == Completion::State::kDone ? Status() : out_of_reach(call.peer);
}

Result<bool> OneSided::advance(const OneSidedCall& call, std::size_t& done, bool& progress) {
  const auto peer = static_cast<std::size_t>(call.peer);
  const auto counter_of = [&](std::byte* table, std::size_t from) {
    return std::atomic_ref<Counter>(reinterpret_cast<Counter*>(table)[from * kCounters + index_of(call)]);
  };
  if (call.kind == OneSidedCall::Kind::kWait) {
    Counter& waited = waited_[peer * kCounters + index_of(call)];
    if (counter_of(own_signals_, peer).load(std::memory_order_acquire) - waited < call.times) return false;
    waited += call.times;
    progress = true;
    return true;
  }
  progress = true;
  if (done < call.input.size()) {
    const std::size_t bytes = std::min(kPiece, call.input.size() - done);
    HANSA_RETURN_IF_ERROR(put(call, done, call.input.subspan(done, bytes)));
    done += bytes;
    if (done < call.input.size()) return false;
  }
  std::byte* const there = mapped(call.peer, signals_[peer], own_signals_);
  if (there == nullptr) return out_of_reach(call.peer);
  counter_of(there, static_cast<std::size_t>(self_)).fetch_add(1, std::memory_order_release);
  return true;
}

}  // namespace hansa
