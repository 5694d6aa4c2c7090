// The flight recorder: what a process's communicators do and did last, always on. See logbook_layout.hpp for
// where it lies and logbook_reading.hpp for reading it, also from other processes.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/process.hpp"
#include "base/ticks.hpp"
#include "control/descriptor.hpp"
#include "control/logbook_layout.hpp"
#include "hansa/status.hpp"
#include "hansa/transport.hpp"

namespace hansa::control {

class Logbook;

// One communicator's part. begin() and end() are called by one thread at a time, the others by any.
class LogbookSection {
 public:
  LogbookSection(Logbook& book, std::byte* at)
      : book_(book), at_(at), next_(records_of(at)), end_(next_ + kFirstRecords) {}
  ~LogbookSection();
  LogbookSection(const LogbookSection&) = delete;
  LogbookSection& operator=(const LogbookSection&) = delete;

  // An operation begins to run, which began at `started` ticks. No allocation, no lock; one system call in
  // the life of a communicator, when the first page is full.
  void begin(const LogEntry& entry, std::uint64_t started) noexcept {
    const std::uint64_t sequence = ++begun_;
    if (next_ == end_) [[unlikely]]
      turn_over();
    Record& record = *next_++;
    record.sequence.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    record.what.store(entry.what(), std::memory_order_relaxed);
    record.number.store(entry.number | std::uint64_t{entry.stamp} << 32, std::memory_order_relaxed);
    for (std::size_t i = 0; i < entry.details.size(); ++i)
      record.details[i].store(entry.details[i], std::memory_order_relaxed);
    record.started.store(started, std::memory_order_relaxed);
    record.ended.store(0, std::memory_order_relaxed);
    record.sequence.store(sequence, std::memory_order_release);
    SectionHeader& header = header_of(at_);
    header.numbers[static_cast<std::size_t>(entry.kind)].store(entry.number, std::memory_order_relaxed);
    header.begun.store(sequence, std::memory_order_release);
    running_ = &record;
    running_bytes_ = entry.bytes;
  }
  // What was begun last is over.
  void end(bool failed) noexcept {
    if (running_ == nullptr) return;
    running_->ended.store((ticks() & ~std::uint64_t{1}) | (failed ? 1 : 0), std::memory_order_release);
    running_ = nullptr;
    if (!failed) header_of(at_).bytes.store(bytes_ += running_bytes_, std::memory_order_relaxed);
  }

  void set_number(std::uint64_t number) noexcept;
  void set_standing(Standing standing) noexcept;
  void describe(std::string_view transports, bool crowded) noexcept;
  void set_failure(std::string_view text) noexcept;
  void set_rails(const RailCounts& counts) noexcept;
  // Who is late, for people, as it is known `at` these ticks. Empty: nobody any more.
  void set_late(std::string_view text, std::uint64_t at) noexcept;

  // For logbook_reading.hpp.
  const std::byte* memory() const noexcept { return at_; }

 private:
  void turn_over() noexcept;

  Logbook& book_;
  std::byte* const at_;
  Record *next_, *end_;  // where there is memory, and it has to be taken anew
  Record* running_ = nullptr;
  std::uint64_t begun_ = 0, bytes_ = 0, running_bytes_ = 0;
  std::mutex texts_;
};

struct SectionOptions {
  std::string_view name;
  Rank rank = 0, ranks = 1;
  std::uint64_t parent = 0;  // number of the one it comes from; 0: none
  Rank parent_rank = 0;
};

// A process's. Made at first use; takes a descriptor and a page, and a page more for each communicator until
// that has done forty operations. Any thread.
class Logbook {
 public:
  // `algorithms` are the names behind LogEntry::algorithm.
  Logbook(std::uint64_t generation, std::span<const std::string_view> algorithms);
  ~Logbook();
  Logbook(const Logbook&) = delete;
  Logbook& operator=(const Logbook&) = delete;
  std::uint64_t generation() const noexcept { return generation_; }

  // Null where memory or descriptors are refused, or thousands are open: then that communicator goes without.
  std::unique_ptr<LogbookSection> open(const SectionOptions& options);
  // Turns ticks of what it holds into times. Where there is nothing yet, of no use.
  TickScale scale() const noexcept { return TickScale(mark_); }
  // The file, for logbook_reading.hpp; below 0 where there is none. It stays this object's.
  int file() const noexcept;

 private:
  friend class LogbookSection;

  // What ended communicators did last stays readable: of so many.
  static constexpr std::size_t kKept = 16;

  Status create();
  Result<std::byte*> take();
  Status back(const std::byte* from, std::size_t bytes);
  void close(std::byte* section) noexcept;
  void set_readable(const std::byte* section, bool readable) noexcept;
  std::size_t offset_of(const std::byte* at) const noexcept;

  const std::uint64_t generation_;
  const std::vector<std::string> algorithms_;
  mutable std::mutex mutex_;
  Descriptor file_;
  std::byte* header_ = nullptr;
  const TickMark mark_ = TickMark::now();
  std::uint64_t openings_ = 0;
  std::size_t used_ = 0;              // sections that were ever used
  std::vector<std::byte*> segments_;  // mapped, in order
  std::vector<std::byte*> free_;      // sections whose memory was given back
  std::deque<std::byte*> ended_;      // the longest ago first
};

}  // namespace hansa::control
