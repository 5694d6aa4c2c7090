#include "control/logbook.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "base/log.hpp"
#include "base/shared_memory.hpp"

namespace hansa::control {
namespace {

void store(Word& word, std::uint64_t value) noexcept { word.store(value, std::memory_order_relaxed); }

}  // namespace

Logbook::Logbook(std::uint64_t generation, std::span<const std::string_view> algorithms)
    : generation_(generation), algorithms_(algorithms.begin(), algorithms.end()) {}

Logbook::~Logbook() {
  for (std::byte* segment : segments_) munmap(segment, kSegmentBytes);
  if (header_ != nullptr) munmap(header_, kSectionsAt);
}

int Logbook::file() const noexcept {
  const std::scoped_lock lock(mutex_);
  return header_ != nullptr ? file_.get() : -1;
}

Status Logbook::create() {
  HANSA_ASSIGN_OR_RETURN(const int file, create_shared_memory(kLogbookName, kLogbookBytes));
  Descriptor owned(file);
  HANSA_RETURN_IF_ERROR(back_shared_memory(file, 0, sizeof(LogbookHeader)));
  HANSA_ASSIGN_OR_RETURN(header_, map_shared_memory(file, 0, kSectionsAt));
  file_ = std::move(owned);
  auto& header = *reinterpret_cast<LogbookHeader*>(header_);
  store(header.version, kLogbookVersion);
  store(header.section_bytes, kSectionBytes);
  store(header.records, kRecords);
  store(header.pid, static_cast<std::uint64_t>(getpid()));
  store(header.counter, kHasCounter ? 1 : 0);
  store(header.mark_ticks, mark_.at);
  store(header.mark_monotonic, static_cast<std::uint64_t>(mark_.monotonic_ns));
  store(header.mark_realtime, static_cast<std::uint64_t>(mark_.realtime_ns));
  char host[64] = {};
  gethostname(host, sizeof host - 1);
  header.host.write(host);
  for (std::size_t i = 0; i < std::min(algorithms_.size(), LogbookHeader::kAlgorithms); ++i)
    header.algorithms[i].write(algorithms_[i]);
  header.magic.store(kLogbookMagic, std::memory_order_release);
  return {};
}

std::size_t Logbook::offset_of(const std::byte* at) const noexcept {
  for (std::size_t i = 0; i < segments_.size(); ++i)
    if (at >= segments_[i] && at < segments_[i] + kSegmentBytes)
      return kSectionsAt + i * kSegmentBytes + static_cast<std::size_t>(at - segments_[i]);
  return 0;
}

void Logbook::set_readable(const std::byte* section, bool readable) noexcept {
  const std::size_t index = (offset_of(section) - kSectionsAt) / kSectionBytes;
  Word& word = reinterpret_cast<LogbookHeader*>(header_)->readable[index / 64];
  const std::uint64_t bit = std::uint64_t{1} << index % 64;
  if (readable)
    word.fetch_or(bit, std::memory_order_release);
  else
    word.fetch_and(~bit, std::memory_order_relaxed);
}

Status Logbook::back(const std::byte* from, std::size_t bytes) {
  const std::scoped_lock lock(mutex_);
  return back_shared_memory(file_.get(), offset_of(from), bytes);
}

Result<std::byte*> Logbook::take() {
  if (!free_.empty()) {
    std::byte* const section = free_.back();
    free_.pop_back();
    return section;
  }
  if (used_ == kSections)
    return Status(Code::kSystem, "this process has more communicators than its logbook has room for");
  if (used_ == segments_.size() * kSegmentSections) {
    HANSA_ASSIGN_OR_RETURN(
        std::byte* const segment,
        map_shared_memory(file_.get(), kSectionsAt + segments_.size() * kSegmentBytes, kSegmentBytes));
    segments_.push_back(segment);
  }
  return segments_.back() + used_++ % kSegmentSections * kSectionBytes;
}

std::unique_ptr<LogbookSection> Logbook::open(const SectionOptions& options) try {
  std::unique_lock lock(mutex_);
  const auto refused = [](const Status& status) {
    HANSA_INFO_ON(kInit, "this communicator is missing from `hansa status` and `hansa dump`: {}",
                  status.message());
    return nullptr;
  };
  if (header_ == nullptr)
    if (const Status status = create(); !status.ok()) return refused(status);
  const auto taken = take();
  if (!taken.ok()) return refused(taken.status());
  std::byte* const section = taken.value();
  if (const Status status =
          back_shared_memory(file_.get(), offset_of(section), kRecordsAt + kFirstRecords * sizeof(Record));
      !status.ok()) {
    free_.push_back(section);
    return refused(status);
  }
  SectionHeader& header = header_of(section);
  for (Word* word : {&header.number, &header.begun, &header.few, &header.bytes, &header.closed,
                     &header.crowded, &header.numbers[0], &header.numbers[1], &header.numbers[2]})
    store(*word, 0);
  for (Word& word : header.rails) store(word, 0);
  store(header.parent, options.parent);
  store(header.parent_rank, static_cast<std::uint64_t>(options.parent_rank));
  store(header.rank, static_cast<std::uint64_t>(options.rank));
  store(header.ranks, static_cast<std::uint64_t>(options.ranks));
  store(header.standing, static_cast<std::uint64_t>(Standing::kConnecting));
  store(header.opened, ticks());
  header.name.write(options.name);
  header.transports.write("");
  header.failure.write("");
  header.late.write("");
  header.life.store(2 * ++openings_ - 1, std::memory_order_release);
  set_readable(section, true);
  return std::make_unique<LogbookSection>(*this, section);
} catch (const std::bad_alloc&) {
  return nullptr;
}

void Logbook::close(std::byte* section) noexcept try {
  if (generation_ != process_generation()) return;  // the memory is the parent's
  const std::scoped_lock lock(mutex_);
  SectionHeader& header = header_of(section);
  store(header.closed, ticks());
  header.life.store(header.life.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  ended_.push_back(section);
  if (ended_.size() <= kKept) return;
  set_readable(ended_.front(), false);
  drop_shared_memory(file_.get(), offset_of(ended_.front()), kSectionBytes);
  free_.push_back(ended_.front());
  ended_.pop_front();
} catch (const std::bad_alloc&) {
  // It is never used again.
}

LogbookSection::~LogbookSection() { book_.close(at_); }

// After the first page comes the rest, if there is memory for it; else the first page's records are used
// again.
void LogbookSection::turn_over() noexcept {
  Record* const first = records_of(at_);
  constexpr std::size_t kFrom = kRecordsAt + kFirstRecords * sizeof(Record);
  const bool tried = end_ != first + kFirstRecords || header_of(at_).few.load(std::memory_order_relaxed) != 0;
  if (!tried && book_.back(at_ + kFrom, kSectionBytes - kFrom).ok()) {
    end_ = first + kRecords;
    return;
  }
  if (!tried) store(header_of(at_).few, 1);
  next_ = first;
}

void LogbookSection::set_number(std::uint64_t number) noexcept { store(header_of(at_).number, number); }

void LogbookSection::set_standing(Standing standing) noexcept {
  store(header_of(at_).standing, static_cast<std::uint64_t>(standing));
}

void LogbookSection::describe(std::string_view transports, bool crowded) noexcept {
  const std::scoped_lock lock(texts_);
  store(header_of(at_).crowded, crowded ? 1 : 0);
  header_of(at_).transports.write(transports);
}

void LogbookSection::set_failure(std::string_view text) noexcept {
  const std::scoped_lock lock(texts_);
  header_of(at_).failure.write(text, ticks());
}

void LogbookSection::set_rails(const RailCounts& counts) noexcept {
  const std::array<std::uint64_t, 5> words{counts.rails, counts.down, counts.lost, counts.back,
                                           counts.resent};
  for (std::size_t i = 0; i < words.size(); ++i) store(header_of(at_).rails[i], words[i]);
}

void LogbookSection::set_late(std::string_view text, std::uint64_t at) noexcept {
  const std::scoped_lock lock(texts_);
  header_of(at_).late.write(text, at);
}

}  // namespace hansa::control
