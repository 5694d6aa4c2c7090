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

// From word `base` on: the flags, then the count of releases.
struct ModelCells {
  WeakMemory* memory = nullptr;
  int thread = 0;
  std::uint32_t cells = 2;
  Weakened mutant = Weakened::kNothing;
  int base = 0;
  std::uint32_t count() const { return cells; }
  Orders flag(std::uint32_t cell) const {
    return {
        {memory, thread, base + static_cast<int>(cell)}, Weakened::kFlagStore, Weakened::kFlagLoad, mutant};
  }
  Orders released() const {
    return {{memory, thread, base + static_cast<int>(cells)},
            Weakened::kReleasedStore,
            Weakened::kReleasedLoad,
            mutant};
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

// One place for posts, plain word 0, that two receivers read, each told by a ring of its own, which is so
// long that nobody waits for a cell.
struct PostState {
  PostState(std::uint32_t all, Weakened mutant)
      : messages(all),
        senders{shm::Sender(cells_of(kSender, 0, mutant)), shm::Sender(cells_of(kSender, 1, mutant))},
        receivers{shm::Receiver(cells_of(1, 0, mutant)), shm::Receiver(cells_of(2, 1, mutant))} {}
  static ModelCells cells_of(int thread, int ring, Weakened mutant) {
    return {nullptr, thread, 4, mutant, 5 * ring};
  }

  WeakMemory memory;
  std::uint32_t messages;
  shm::Sender<ModelCells> senders[2];
  shm::Receiver<ModelCells> receivers[2];
  // The sender reserves two cells (0, 1), waits for two readers (2, 3), writes (4) and commits twice (5, 6);
  // each receiver looks (0), reads (1) and releases (2).
  std::uint32_t sent = 0, send_phase = 0, received[2] = {}, receive_phase[2] = {};

  bool finished() const { return sent == messages && received[0] == messages && received[1] == messages; }
  std::string key() const {
    std::string key;
    memory.append_key(key);
    PostState plain = *this;
    plain.reach(nullptr);
    key.append(reinterpret_cast<const char*>(&plain.senders), sizeof senders);
    key.append(reinterpret_cast<const char*>(&plain.receivers), sizeof receivers);
    for (const std::uint32_t n :
         {sent, send_phase, received[0], received[1], receive_phase[0], receive_phase[1]})
      key.push_back(static_cast<char>(n));
    return key;
  }
  void step(int thread) {
    reach(&memory);
    if (thread == kSender && sent < messages) send();
    if (thread != kSender && received[thread - 1] < messages) receive(thread - 1);
  }

 private:
  void reach(WeakMemory* of) {
    for (int i = 0; i < 2; ++i) senders[i].cells().memory = receivers[i].cells().memory = of;
  }
  void send() {
    const std::uint32_t which = send_phase % 2;
    if (send_phase < 2) {
      if (senders[which].reserve(0) != shm::Sender<ModelCells>::kNone) ++send_phase;
    } else if (send_phase < 4) {
      if (sent == 0 || senders[which].is_released(sent - 1)) ++send_phase;
    } else if (send_phase == 4) {
      memory.write_plain(kSender, 0, payload_of(sent));
      ++send_phase;
    } else {
      senders[send_phase - 5].commit(sent, stamp_of(sent));
      if (++send_phase < 7) return;
      send_phase = 0;
      ++sent;
    }
  }
  void receive(int i) {
    if (receive_phase[i] == 0) {
      if (receivers[i].peek(0).arrived) receive_phase[i] = 1;
    } else if (receive_phase[i] == 1) {
      if (memory.read_plain(i + 1, 0) != payload_of(received[i]))
        memory.failure = "a post is of another message";
      receive_phase[i] = 2;
    } else {
      receivers[i].release();
      receive_phase[i] = 0;
      ++received[i];
    }
  }
};

TEST(ShmPost, NoInterleavingOverwritesWhatSomebodyReads) {
  const Exploration all = explore(PostState(3, Weakened::kNothing));
  EXPECT_EQ(all.failure, "");
  EXPECT_GT(all.ends, 0u);
  printf("3 posts to 2 readers: %zu states, %zu steps\n", all.states, all.steps);
  for (const Weakened mutant :
       {Weakened::kFlagStore, Weakened::kFlagLoad, Weakened::kReleasedStore, Weakened::kReleasedLoad})
    EXPECT_NE(explore(PostState(3, mutant)).failure, "") << static_cast<int>(mutant);
}

// A receiver that writes anything.
TEST(ShmPost, ACellThatIsFreeStaysFreeWhateverItsReceiverSays) {
  WeakMemory memory;
  Choices choices;
  memory.choices = &choices;
  for (const std::uint64_t wild : {std::uint64_t{1} << 63, ~std::uint64_t{0}, std::uint64_t{2}}) {
    memory = WeakMemory();
    memory.choices = &choices;
    shm::Sender<ModelCells> sender({&memory, kSender, 2});
    ASSERT_NE(sender.reserve(0), sender.kNone);
    sender.commit(0, 0);
    ASSERT_NE(sender.reserve(0), sender.kNone);
    memory.store(kSender, 2, wild, std::memory_order_release);
    EXPECT_EQ(sender.reserve(1), sender.kNone) << wild;  // looks, as the next does
    EXPECT_FALSE(sender.is_released(0)) << wild;
    EXPECT_NE(sender.reserve(0), sender.kNone) << wild;
    EXPECT_LT(sender.next(), 2u);
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
