#include "acts.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iterator>

namespace hansa::test {
namespace {

constexpr auto kUntouched = static_cast<std::byte>(0xa5);
constexpr std::size_t kGuard = 64;

// Mostly small, seldom beyond what one chunk holds.
std::size_t throw_bytes(Dice& dice) {
  const std::size_t kind = dice.below(32);
  if (kind < 2) return 0;
  if (kind < 16) return 1 + dice.below(256);
  if (kind < 25) return 1 + dice.below(8192);
  if (kind < 31) return 1 + dice.below(128 * 1024);
  return 1 + dice.below(std::size_t{2} << 20);
}

// Ranks choose each for itself, from dice thrown alike: so mixed that every pairing comes up.
Source source_of(std::uint64_t word, int rank) {
  return (word >> (2 * rank) & 3) == 0 ? Source::kLibrary : Source::kHeap;
}

class Collective final : public Act {
 public:
  Collective(const Case& what, const Seat& seat, const Circle& circle, std::size_t shift, Source source)
      : seat_(seat),
        circle_(circle),
        what_(what),
        trial_(what, circle.place(seat.rank), shift, source),
        op_(builtin(what.op)) {
    if (what.op != Op::kMulSum) return;
    std::byte scalar[8];
    encode(type_of(what.type), scalar_of(circle.rank_of(seat.rank)), scalar);
    seat.demand(ncclRedOpCreatePreMulSum(&op_, scalar, what.type, ncclScalarHostImmediate, circle.comm),
                "ncclRedOpCreatePreMulSum");
  }
  ncclResult_t start(cudaStream_t stream) override {
    const ncclResult_t result = trial_.start(op_, circle_.comm, stream);
    // An operator may go as soon as the call that uses it has returned.
    if (what_.op == Op::kMulSum)
      seat_.demand(ncclRedOpDestroy(op_, circle_.comm), "ncclRedOpDestroy", circle_.comm);
    return result;
  }
  bool judge() const override { return trial_.judge(); }
  std::size_t bytes() const override { return trial_.bytes(); }

 private:
  const Seat& seat_;
  const Circle circle_;
  const Case what_;
  Trial trial_;
  ncclRedOp_t op_;
};

Case throw_case(Dice& dice, int ranks) {
  Case what;
  const bool reduces = dice.one_in(2);
  what.kind = reduces ? dice.one_of(kReducing) : dice.one_of(kMoving);
  what.op = reduces ? dice.one_of(kReductions) : Op::kMove;
  what.type = dice.one_of(types()).id;
  what.count = throw_bytes(dice) / type_of(what.type).size;
  const bool whole =
      what.kind == Kind::kAllReduce || what.kind == Kind::kReduce || what.kind == Kind::kBroadcast;
  if (!whole)
    what.count = (what.count + static_cast<std::size_t>(ranks) - 1) / static_cast<std::size_t>(ranks);
  what.root = dice.rank_below(ranks);
  what.in_place = dice.one_in(2) && can_be_in_place(what.kind);
  what.salt = dice.below(std::size_t{1} << 40);
  return what;
}

struct Message {
  int from, to;
  ncclDataType_t type;
  std::size_t count, salt;
};

// One end of a message, between guards.
class Parcel {
 public:
  Parcel(const Message& message, bool outgoing, Source source)
      : message_(message),
        outgoing_(outgoing),
        size_(type_of(message.type).size),
        memory_(allocate(source, total())) {
    std::memset(memory_.get(), static_cast<int>(kUntouched), total());
    if (outgoing) write_content(memory_.get() + kGuard);
  }
  ncclResult_t start(ncclComm_t comm, cudaStream_t stream) {
    std::byte* const at = memory_.get() + kGuard;
    return outgoing_ ? ncclSend(at, message_.count, message_.type, message_.to, comm, stream)
                     : ncclRecv(at, message_.count, message_.type, message_.from, comm, stream);
  }
  bool judge() const {
    std::vector<std::byte> wanted(total(), kUntouched);
    write_content(wanted.data() + kGuard);
    if (std::memcmp(wanted.data(), memory_.get(), total()) == 0) return true;
    const auto wrong = std::mismatch(wanted.begin(), wanted.end(), memory_.get()).first - wanted.begin();
    std::fprintf(stderr, "message of %zu %s from rank %d to %d, the %s's buffer: byte %td is wrong\n",
                 message_.count, type_of(message_.type).name, message_.from, message_.to,
                 outgoing_ ? "sender" : "receiver", wrong - static_cast<std::ptrdiff_t>(kGuard));
    return false;
  }
  std::size_t bytes() const { return message_.count * size_; }

 private:
  std::size_t total() const { return bytes() + 2 * kGuard; }
  void write_content(std::byte* at) const {
    for (std::size_t i = 0; i < message_.count; ++i)
      write_input(type_of(message_.type), Op::kMove, message_.from, 0, message_.salt + i, at + i * size_);
  }

  Message message_;
  bool outgoing_;
  std::size_t size_;
  Buffer memory_;
};

class Messages final : public Act {
 public:
  Messages(ncclComm_t comm, std::vector<Parcel> parcels) : comm_(comm), parcels_(std::move(parcels)) {}
  ncclResult_t start(cudaStream_t stream) override {
    ncclResult_t result = ncclGroupStart();
    for (Parcel& parcel : parcels_)
      if (result == ncclSuccess || result == ncclInProgress) result = parcel.start(comm_, stream);
    const ncclResult_t ended = ncclGroupEnd();
    return result == ncclSuccess || result == ncclInProgress ? ended : result;
  }
  bool judge() const override {
    return std::all_of(parcels_.begin(), parcels_.end(), [](const Parcel& parcel) { return parcel.judge(); });
  }
  std::size_t bytes() const override {
    std::size_t sum = 0;
    for (const Parcel& parcel : parcels_) sum += parcel.bytes();
    return sum;
  }

 private:
  ncclComm_t comm_;
  std::vector<Parcel> parcels_;
};

}  // namespace

int Circle::rank_of(int member) const {
  const auto found = std::find(members.begin(), members.end(), member);
  return found == members.end() ? -1 : static_cast<int>(found - members.begin());
}

std::unique_ptr<Act> throw_collective(Dice& dice, const Seat& seat, const Circle& circle) {
  const Case what = throw_case(dice, circle.ranks());
  const std::uint64_t word = dice.word();
  const int self = circle.rank_of(seat.rank);
  if (self < 0) return nullptr;
  return std::make_unique<Collective>(what, seat, circle, word >> 60, source_of(word, self));
}

std::unique_ptr<Act> throw_messages(Dice& dice, const Seat& seat, const Circle& circle) {
  std::vector<Message> messages(1 + dice.below(6));
  for (Message& message : messages) {
    message = {dice.rank_below(circle.ranks()), dice.rank_below(circle.ranks()), dice.one_of(types()).id, 0,
               dice.below(std::size_t{1} << 40)};
    message.count = throw_bytes(dice) / type_of(message.type).size;
  }
  const std::uint64_t word = dice.word();
  const int self = circle.rank_of(seat.rank);
  if (self < 0) return nullptr;
  std::vector<Parcel> parcels;
  for (const Message& message : messages) {
    if (message.from == self) parcels.emplace_back(message, true, source_of(word, self));
    if (message.to == self) parcels.emplace_back(message, false, source_of(word >> 1, self));
  }
  return std::make_unique<Messages>(circle.comm, std::move(parcels));
}

std::unique_ptr<Act> throw_meeting(Dice& dice, const Seat& seat, const Circle& circle) {
  Case what = throw_case(dice, circle.ranks());
  what.kind = Kind::kAllReduce;
  what.op = Op::kMax;
  what.count += 1;
  if (circle.rank_of(seat.rank) < 0) return nullptr;
  return std::make_unique<Collective>(what, seat, circle, 0, Source::kHeap);
}

}  // namespace hansa::test
