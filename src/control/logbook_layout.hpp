// What lies where in a logbook: the memory in which a process keeps what its communicators do, for itself and
// for whoever of the same user looks.
//
//   0                 LogbookHeader
//   kSectionsAt       Section 0, Section 1, ...: one for each communicator of several ranks
//
// Every word has one writer at a time and any number of readers, whom no writer ever waits for. Readers learn
// by sequence words whether what they got is whole. Pages that nobody wrote take no memory.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "hansa/types.hpp"

namespace hansa::control {

inline constexpr char kLogbookName[] = "hansa-logbook";
inline constexpr std::uint64_t kLogbookMagic = 0x6b6f6f62676f6c48;  // "Hlogbook"
inline constexpr std::uint64_t kLogbookVersion = 3;

using Word = std::atomic<std::uint64_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == 8);

// Text that a reader gets whole or not at all. Writers exclude each other. Too long a text is cut.
template <std::size_t kBytes>
class SharedText {
 public:
  void write(std::string_view text, std::uint64_t since = 0) noexcept {
    const std::uint64_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    const std::size_t length = std::min(text.size(), kBytes);
    length_.store(length, std::memory_order_relaxed);
    since_.store(since, std::memory_order_relaxed);
    for (std::size_t at = 0; at < length; at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, text.data() + at, std::min<std::size_t>(8, length - at));
      words_[at / 8].store(word, std::memory_order_relaxed);
    }
    version_.store(version + 2, std::memory_order_release);
  }
  // False while it is being written: try again.
  bool read(std::string& text, std::uint64_t* since = nullptr) const {
    const std::uint64_t version = version_.load(std::memory_order_acquire);
    if (version % 2 != 0) return false;
    text.resize(std::min<std::size_t>(length_.load(std::memory_order_relaxed), kBytes));
    if (since != nullptr) *since = since_.load(std::memory_order_relaxed);
    for (std::size_t at = 0; at < text.size(); at += 8) {
      const std::uint64_t word = words_[at / 8].load(std::memory_order_relaxed);
      std::memcpy(text.data() + at, &word, std::min<std::size_t>(8, text.size() - at));
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    return version_.load(std::memory_order_relaxed) == version;
  }

 private:
  static_assert(kBytes % 8 == 0);
  Word version_, length_, since_;
  std::array<Word, kBytes / 8> words_;
};

// One operation. `sequence` is its place in the communicator's history, from 1; 0 while the rest is being
// written. `ended` is written on its own afterwards.
struct Record {
  Word sequence;
  Word what;    // see LogEntry
  Word number;  // of its class, and the signature above it
  std::array<Word, 3> details;
  Word started;  // ticks
  Word ended;    // 0, or ticks with the lowest bit saying whether it failed
};
static_assert(sizeof(Record) == 64);

// How a communicator stands: as in core's life cycle.
enum class Standing : std::uint8_t { kConnecting, kReady, kFinalizing, kRevoked, kFailed };

constexpr std::string_view name_of(Standing standing) {
  constexpr std::string_view kNames[] = {"connecting", "ready", "finalizing", "revoked", "failed"};
  return kNames[static_cast<std::size_t>(standing)];
}

struct SectionHeader {
  Word life;    // never the same for two communicators of a process: odd while it is one's, 0: never was
  Word number;  // the communicator's, equal on all its ranks; 0: not known yet
  Word parent, parent_rank;  // the one it was split from, and this rank's place there; 0: none
  Word rank, ranks;
  Word standing;
  Word crowded;         // more ranks than cores on this host
  Word opened, closed;  // ticks
  Word begun;           // operations: the newest Record's sequence
  Word few;             // 1: there was no memory for more records than the first page's
  Word bytes;           // of operations that ended well, as this rank's share of the traffic counts them
  std::array<Word, 3> numbers;  // the newest of each OperationClass
  std::array<Word, 5> rails;    // RailCounts, in their order
  SharedText<64> name;
  SharedText<96> transports;
  SharedText<512> failure;
  SharedText<512> late;  // who is late, and when that was told; empty: nobody
};

inline constexpr std::size_t kRecords = 2048;  // the newest of a communicator
inline constexpr std::size_t kSectionBytes = std::size_t{132} << 10;
inline constexpr std::size_t kRecordsAt = 1536;  // within a section
// With its header these fit into the first page.
inline constexpr std::size_t kFirstRecords = (4096 - kRecordsAt) / sizeof(Record);
static_assert(sizeof(SectionHeader) <= kRecordsAt);
static_assert(kRecordsAt + kRecords * sizeof(Record) <= kSectionBytes);

// Both are multiples of every page size there is, so that segments can be mapped one by one.
inline constexpr std::size_t kSectionsAt = std::size_t{64} << 10;
inline constexpr std::size_t kSegmentSections = 32;
inline constexpr std::size_t kSegmentBytes = kSegmentSections * kSectionBytes;
inline constexpr std::size_t kSegments = 128;
inline constexpr std::size_t kSections = kSegments * kSegmentSections;
inline constexpr std::size_t kLogbookBytes = kSectionsAt + kSegments * kSegmentBytes;

struct LogbookHeader {
  static constexpr std::size_t kAlgorithms = 96, kAlgorithmBytes = 24;

  Word magic, version, section_bytes, records;
  Word pid;      // as the process sees itself: a forked child inherits the memory, but it is not the child's
  Word counter;  // whether ticks are the processor's
  Word mark_ticks, mark_monotonic, mark_realtime;
  // A bit for each section that has something to read; the memory of others is not to be touched.
  std::array<Word, kSections / 64> readable;
  SharedText<64> host;
  std::array<SharedText<kAlgorithmBytes>, kAlgorithms> algorithms;  // by LogEntry's index
};

static_assert(sizeof(LogbookHeader) <= kSectionsAt && kSegmentBytes % (std::size_t{64} << 10) == 0);

inline SectionHeader& header_of(std::byte* section) { return *reinterpret_cast<SectionHeader*>(section); }
inline const SectionHeader& header_of(const std::byte* section) {
  return *reinterpret_cast<const SectionHeader*>(section);
}
inline Record* records_of(std::byte* section) { return reinterpret_cast<Record*>(section + kRecordsAt); }
inline const Record& record_of(const std::byte* section, std::uint64_t sequence) {
  const bool few = header_of(section).few.load(std::memory_order_relaxed) != 0;
  const std::size_t index = (sequence - 1) % (few ? kFirstRecords : kRecords);
  return reinterpret_cast<const Record*>(section + kRecordsAt)[index];
}

// What numbers count: each class has its own.
enum class OperationClass : std::uint8_t { kCollective, kMessages, kOneSided };

// One message or one-sided call, in a word. Peers and lengths beyond its fields are cut to the largest.
struct LoggedMessage {
  enum class Kind : std::uint8_t { kSend, kReceive, kPut, kSignal, kWait };
  static constexpr int kPeerBits = 21, kByteBits = 40;

  Kind kind = Kind::kSend;
  Rank peer = 0;
  std::uint64_t bytes = 0;

  constexpr std::uint64_t word() const {
    constexpr std::uint64_t kMostBytes = (std::uint64_t{1} << kByteBits) - 1,
                            kMostPeer = (1u << kPeerBits) - 1;
    return static_cast<std::uint64_t>(kind) << (kPeerBits + kByteBits) |
           std::min<std::uint64_t>(static_cast<std::uint64_t>(peer), kMostPeer) << kByteBits |
           std::min(bytes, kMostBytes);
  }
  static constexpr LoggedMessage of(std::uint64_t word) {
    return {static_cast<Kind>(word >> (kPeerBits + kByteBits)),
            static_cast<Rank>(word >> kByteBits & ((1u << kPeerBits) - 1)),
            word & ((std::uint64_t{1} << kByteBits) - 1)};
  }
};

constexpr std::string_view name_of(LoggedMessage::Kind kind) {
  constexpr std::string_view kNames[] = {"send", "receive", "put", "signal", "wait"};
  return kNames[static_cast<std::size_t>(kind)];
}

// What is known of an operation when it begins, as the words of its Record.
struct LogEntry {
  static constexpr std::size_t kMessages = 3;  // that are kept of a group
  static constexpr std::uint16_t kNoAlgorithm = 0xffff;

  OperationClass kind = OperationClass::kCollective;
  Collective collective = Collective::kPointToPoint;
  DataType type = DataType::kInt8;
  ReduceOp op = ReduceOp::kSum;
  std::uint16_t algorithm = kNoAlgorithm;
  std::uint16_t messages = 0;  // of a group: how many there were, those kept included
  std::uint32_t number = 0;    // of its class, from 1
  std::uint32_t stamp = 0;     // the signature that its messages carry
  // Of a collective: elements as the caller gave them, bytes this rank's share counts, the root. Of a group:
  // LoggedMessage::word() of the first ones.
  std::array<std::uint64_t, 3> details{};
  std::uint64_t bytes = 0;  // what it counts in SectionHeader::bytes

  constexpr std::uint64_t what() const {
    return static_cast<std::uint64_t>(kind) | static_cast<std::uint64_t>(collective) << 8 |
           static_cast<std::uint64_t>(type) << 16 | static_cast<std::uint64_t>(op) << 24 |
           static_cast<std::uint64_t>(algorithm) << 32 | static_cast<std::uint64_t>(messages) << 48;
  }
};

}  // namespace hansa::control
