// The cell protocol and the gate of the shm transport: the production code itself, run through every
// interleaving and every value that a weak memory lets its loads see.
#include <gtest/gtest.h>

#include "tests/support/weak_memory.hpp"
#include "transports/shm/gate.hpp"
#include "transports/shm/ring.hpp"

namespace hansa::test {
namespace {

constexpr int kSender = 0, kReceiver = 1;

// Which memory orders are taken away, to see that the search notices.
enum class Weakened { kNothing, kFlagStore, kFlagLoad, kReleasedStore, kReleasedLoad };

struct Orders {
  ModelWord word;
  Weakened store_mutant, load_mutant, mutant;
  std::uint64_t load(std::memory_order order) const {
    return word.load(mutant == load_mutant ? std::memory_order_relaxed : order);
  }
  void store(std::uint64_t value, std::memory_order order) const {
    word.store(value, mutant == store_mutant ? std::memory_order_relaxed : order);
  }
};

// Flags are the words 0..cells-1, the count of releases is word `cells`.
struct ModelCells {
  WeakMemory* memory = nullptr;
  int thread = 0;
  std::uint32_t cells = 2;
  Weakened mutant = Weakened::kNothing;
  std::uint32_t count() const { return cells; }
  Orders flag(std::uint32_t cell) const {
    return {{memory, thread, static_cast<int>(cell)}, Weakened::kFlagStore, Weakened::kFlagLoad, mutant};
  }
  Orders released() const {
    return {
        {memory, thread, static_cast<int>(cells)}, Weakened::kReleasedStore, Weakened::kReleasedLoad, mutant};
  }
  void prefetch(std::uint32_t, std::uint32_t) const {}
};

std::uint64_t payload_of(std::uint32_t message) { return 1000 + message; }
std::uint32_t stamp_of(std::uint32_t message) { return 70 + message; }

// A sender of `messages` in groups of `group` (reserved ahead, filled, committed) and a receiver that takes
// groups likewise (peeked ahead, read, released), each action a step.
struct RingState {
  RingState(std::uint32_t cells, std::uint32_t all, std::uint32_t together, Weakened mutant)
      : messages(all),
        group(together),
        sender(ModelCells{nullptr, kSender, cells, mutant}),
        receiver(ModelCells{nullptr, kReceiver, cells, mutant}) {}

  WeakMemory memory;
  std::uint32_t messages, group;
  shm::Sender<ModelCells> sender;
  shm::Receiver<ModelCells> receiver;
  // Each side goes through: ask (0), fill or read (1..group), commit or release (group+1..2*group).
  std::uint32_t sent = 0, send_phase = 0, received = 0, receive_phase = 0;

  bool finished() const { return sent == messages && received == messages; }
  std::string key() const {
    std::string key;
    memory.append_key(key);
    auto out = sender;
    auto in = receiver;
    out.cells().memory = in.cells().memory = nullptr;
    key.append(reinterpret_cast<const char*>(&out), sizeof out);
    key.append(reinterpret_cast<const char*>(&in), sizeof in);
    for (const std::uint32_t n : {sent, send_phase, received, receive_phase})
      key.push_back(static_cast<char>(n));
    return key;
  }
  void step(int thread) {
    sender.cells().memory = receiver.cells().memory = &memory;
    if (thread == kSender && sent < messages) send();
    if (thread == kReceiver && received < messages) receive();
  }

 private:
  void send() {
    if (send_phase == 0) {
      if (sender.reserve(group - 1) != sender.kNone) send_phase = 1;
    } else if (send_phase <= group) {
      const std::uint32_t ahead = group - send_phase++;  // filled from the last to the first
      const std::uint32_t cell = sender.reserve(ahead);
      if (cell == sender.kNone) memory.failure = "a cell that was free is free no more";
      if (memory.failure.empty())
        memory.write_plain(kSender, static_cast<int>(cell), payload_of(sent + ahead));
    } else {
      sender.commit(sent, stamp_of(sent));
      ++sent;
      if (++send_phase > 2 * group) send_phase = 0;
    }
  }
  void receive() {
    if (receive_phase == 0) {
      if (receiver.peek(group - 1).arrived) receive_phase = 1;
    } else if (receive_phase <= group) {
      const std::uint32_t ahead = group - receive_phase++;
      const auto message = receiver.peek(ahead);
      const std::uint32_t number = received + ahead;
      if (!message.arrived) {
        memory.failure = "a message that had arrived, or an earlier one, is gone";
      } else if (shm::bytes_in(message.flag) != number || shm::stamp_in(message.flag) != stamp_of(number)) {
        memory.failure = "a flag is of another message";
      } else if (memory.read_plain(kReceiver, static_cast<int>(message.cell)) != payload_of(number)) {
        memory.failure = "a payload is of another message";
      }
    } else {
      receiver.release();
      ++received;
      if (++receive_phase > 2 * group) receive_phase = 0;
    }
  }
};

TEST(ShmRing, NoInterleavingLosesDoublesTearsOrBlocks) {
  for (const std::uint32_t cells : {2u, 4u, 8u}) {
    for (std::uint32_t group = 1; group <= 3 && group <= cells; ++group) {
      const std::uint32_t messages = 12;
      const Exploration all = explore(RingState(cells, messages, group, Weakened::kNothing));
      EXPECT_EQ(all.failure, "") << cells << " cells, groups of " << group;
      EXPECT_GT(all.ends, 0u);
      printf("%u messages through %u cells in groups of %u: %zu states, %zu steps\n", messages, cells, group,
             all.states, all.steps);
    }
  }
}

TEST(ShmRing, EveryMemoryOrderIsNeeded) {
  for (const Weakened mutant :
       {Weakened::kFlagStore, Weakened::kFlagLoad, Weakened::kReleasedStore, Weakened::kReleasedLoad}) {
    EXPECT_NE(explore(RingState(2, 4, 1, mutant)).failure, "") << static_cast<int>(mutant);
  }
}

TEST(ShmRing, FlagsTellTheirMessageApartFromTheOneBefore) {
  for (const std::uint64_t cells : {2u, 16u, 1u << 13}) {
    for (const std::uint64_t message : {1u, 2u, 16383u, 16384u, 16385u, 65536u, 1u << 31}) {
      const std::uint64_t flag = shm::flag_of(message, 65536, 0xdeadbeef);
      EXPECT_TRUE(shm::is_message(flag, message));
      EXPECT_FALSE(shm::is_message(flag, message + cells)) << message << " in a ring of " << cells;
      EXPECT_EQ(shm::bytes_in(flag), 65536u);
      EXPECT_EQ(shm::stamp_in(flag), 0xdeadbeefu);
    }
    EXPECT_FALSE(shm::is_message(0, cells)) << "a cell never written";
  }
}

// The gate: words 0 (closed) and 1 (inside), memory 0. With `ordered` false the accesses lose their total
// order.
struct ModelGate {
  WeakMemory* memory;
  int thread;
  bool ordered;
  struct Word {
    ModelWord word;
    bool ordered;
    std::uint64_t load(std::memory_order order) const {
      return word.load(ordered ? order : std::memory_order_acquire);
    }
    void store(std::uint64_t value, std::memory_order order) const {
      word.store(value, ordered ? order : std::memory_order_release);
    }
  };
  Word closed() const { return {{memory, thread, 0}, ordered}; }
  Word inside() const { return {{memory, thread, 1}, ordered}; }
};

// A visitor that comes three times, and an owner that closes, waits and then uses the memory itself.
struct GateState {
  explicit GateState(bool in_order) : ordered(in_order) {}
  WeakMemory memory;
  bool ordered;
  std::uint8_t visits = 0, visit_phase = 0, owner_phase = 0;

  bool finished() const { return visits == 3 && owner_phase == 3; }
  std::string key() const {
    std::string key;
    memory.append_key(key);
    for (const std::uint8_t n : {visits, visit_phase, owner_phase}) key.push_back(static_cast<char>(n));
    return key;
  }
  void step(int thread) {
    if (thread == 0 && visits < 3) visit();
    if (thread == 1) own();
  }

 private:
  void visit() {
    shm::Visitor visitor(ModelGate{&memory, 0, ordered});
    switch (visit_phase++) {
      case 0:
        return visitor.enter();
      case 1:
        if (!visitor.admitted()) ++visit_phase;
        return;
      case 2:
        return memory.write_plain(0, 0, visits);
      default:
        visitor.leave();
        ++visits;
        visit_phase = 0;
    }
  }
  void own() {
    shm::Doorkeeper doorkeeper(ModelGate{&memory, 1, ordered});
    switch (owner_phase) {
      case 0:
        doorkeeper.close();
        break;
      case 1:
        if (!doorkeeper.empty()) return;
        break;
      case 2:
        memory.write_plain(1, 0, 99);
        break;
      default:
        return;
    }
    ++owner_phase;
  }
};

TEST(ShmGate, NobodyIsInsideOnceItIsEmpty) {
  const Exploration all = explore(GateState(true));
  EXPECT_EQ(all.failure, "");
  EXPECT_GT(all.ends, 0u);
  printf("gate: %zu states, %zu steps\n", all.states, all.steps);
}

TEST(ShmGate, NeedsTheTotalOrder) { EXPECT_NE(explore(GateState(false)).failure, ""); }

}  // namespace
}  // namespace hansa::test
