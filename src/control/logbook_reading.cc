#include "control/logbook_reading.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string_view>

namespace hansa::control {
namespace {

std::uint64_t load(const Word& word) noexcept { return word.load(std::memory_order_relaxed); }

// A writer is done within nanoseconds of running; one that is not by then has died.
template <std::size_t kBytes>
std::string text_of(const SharedText<kBytes>& shared, std::uint64_t* since = nullptr) {
  constexpr int kTries = 1000;
  std::string text;
  for (int i = 0; i < kTries; ++i) {
    if (shared.read(text, since)) return text;
    sched_yield();
  }
  if (since != nullptr) *since = 0;
  return {};
}

// False where the words make no sense.
bool interpret(std::uint64_t what, const std::array<std::uint64_t, 3>& details, LoggedOperation& into) {
  const auto field = [what](int shift) { return static_cast<std::uint8_t>(what >> shift & 0xff); };
  if (field(0) > static_cast<std::uint8_t>(OperationClass::kOneSided) || field(8) >= kCollectives ||
      field(16) >= kDataTypes || field(24) >= kReduceOps)
    return false;
  into.kind = static_cast<OperationClass>(field(0));
  into.collective = static_cast<Collective>(field(8));
  into.type = static_cast<DataType>(field(16));
  into.op = static_cast<ReduceOp>(field(24));
  into.algorithm = static_cast<std::uint16_t>(what >> 32);
  into.message_count = static_cast<std::uint16_t>(what >> 48);
  if (into.kind == OperationClass::kCollective) {
    into.count = details[0];
    into.bytes = details[1];
    into.root = static_cast<Rank>(details[2]);
    return true;
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(into.message_count, details.size()); ++i) {
    const LoggedMessage message = LoggedMessage::of(details[i]);
    if (message.kind > LoggedMessage::Kind::kWait) return false;
    into.messages.push_back(message);
    into.bytes += message.bytes;
  }
  return true;
}

// Nothing if it is being written over.
std::optional<LoggedOperation> read_operation(const std::byte* section, std::uint64_t sequence) {
  const Record& record = record_of(section, sequence);
  if (record.sequence.load(std::memory_order_acquire) != sequence) return std::nullopt;
  const std::uint64_t what = load(record.what), number = load(record.number);
  const std::array<std::uint64_t, 3> details{load(record.details[0]), load(record.details[1]),
                                             load(record.details[2])};
  LoggedOperation operation;
  operation.sequence = sequence;
  operation.number = static_cast<std::uint32_t>(number);
  operation.stamp = static_cast<std::uint32_t>(number >> 32);
  operation.started = load(record.started);
  operation.ended = record.ended.load(std::memory_order_acquire);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (load(record.sequence) != sequence || !interpret(what, details, operation)) return std::nullopt;
  if (operation.ended != 0)
    operation.state =
        operation.ended % 2 == 0 ? LoggedOperation::State::kDone : LoggedOperation::State::kFailed;
  return operation;
}

std::uint64_t oldest_of(std::uint64_t begun) { return begun > kRecords ? begun - kRecords + 1 : 1; }

std::string message_text(const LoggedMessage& message) {
  switch (message.kind) {
    case LoggedMessage::Kind::kSend:
      return fmt::format("{} bytes to rank {}", message.bytes, message.peer);
    case LoggedMessage::Kind::kReceive:
      return fmt::format("{} bytes from rank {}", message.bytes, message.peer);
    case LoggedMessage::Kind::kPut:
      return fmt::format("{} bytes into rank {}'s window", message.bytes, message.peer);
    case LoggedMessage::Kind::kSignal:
      return fmt::format("to rank {}", message.peer);
    case LoggedMessage::Kind::kWait:
      return fmt::format("for {} signals of rank {}", message.bytes, message.peer);
  }
  return {};
}

// Nothing where the section is no communicator's, or changes hands meanwhile.
std::optional<LoggedCommunicator> read_section(const std::byte* section, std::size_t newest) {
  const SectionHeader& header = header_of(section);
  LoggedCommunicator found;
  found.life = header.life.load(std::memory_order_acquire);
  if (found.life == 0) return std::nullopt;
  found.number = load(header.number);
  found.parent = load(header.parent);
  const std::uint64_t rank = load(header.rank), ranks = load(header.ranks), standing = load(header.standing);
  if (ranks > static_cast<std::uint64_t>(std::numeric_limits<Rank>::max()) || rank >= ranks ||
      standing > static_cast<std::uint64_t>(Standing::kFailed))
    return std::nullopt;
  found.parent_rank = static_cast<Rank>(load(header.parent_rank));
  found.rank = static_cast<Rank>(rank);
  found.ranks = static_cast<Rank>(ranks);
  found.standing = static_cast<Standing>(standing);
  found.crowded = load(header.crowded) != 0;
  found.opened = load(header.opened);
  found.closed = found.exists() ? 0 : load(header.closed);
  found.bytes = load(header.bytes);
  for (std::size_t i = 0; i < found.numbers.size(); ++i) found.numbers[i] = load(header.numbers[i]);
  found.rails = {static_cast<std::uint32_t>(load(header.rails[0])),
                 static_cast<std::uint32_t>(load(header.rails[1])), load(header.rails[2]),
                 load(header.rails[3]), load(header.rails[4])};
  found.name = text_of(header.name);
  found.transports = text_of(header.transports);
  found.failure = text_of(header.failure, &found.failed_at);
  found.late = text_of(header.late, &found.late_told);
  found.begun = header.begun.load(std::memory_order_acquire);
  // The newest first: meanwhile the oldest may be written over.
  const std::uint64_t kept = std::min({found.begun, std::uint64_t{kRecords}, std::uint64_t{newest}});
  for (std::uint64_t i = 0; i < kept; ++i)
    if (auto operation = read_operation(section, found.begun - i))
      found.operations.push_back(*std::move(operation));
  std::reverse(found.operations.begin(), found.operations.end());
  // What was said of an operation may have been written when that had ended.
  if (found.operations.empty() || found.operations.back().state != LoggedOperation::State::kStarted ||
      found.late_told < found.operations.back().started) {
    found.late.clear();
    found.late_told = 0;
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  if (load(header.life) != found.life) return std::nullopt;
  return found;
}

Status check(const LogbookHeader& header, std::size_t bytes) {
  if (bytes < kLogbookBytes || header.magic.load(std::memory_order_acquire) != kLogbookMagic)
    return Status(Code::kInvalidArgument, "this is no logbook, or it is only just being made");
  if (load(header.version) != kLogbookVersion || load(header.section_bytes) != kSectionBytes ||
      load(header.records) != kRecords)
    return Status(
        Code::kUnsupported,
        fmt::format("the logbook is of another version of this library (layout {}, this is {}): use "
                    "the `hansa` command that came with the library of that process",
                    load(header.version), kLogbookVersion));
  if ((load(header.counter) != 0) != kHasCounter)
    return Status(Code::kInvalidArgument, "the logbook's times are of a clock that this machine has not");
  return {};
}

}  // namespace

std::string LoggedOperation::text() const {
  if (kind == OperationClass::kCollective) {
    std::string text = fmt::format("{} #{}", name_of(collective), number);
    if (collective != Collective::kBarrier) text += fmt::format(" of {} {}", count, name_of(type));
    if (reduces(collective) && collective != Collective::kBarrier) text += fmt::format(", {}", name_of(op));
    if (rooted(collective)) text += fmt::format(", root {}", root);
    return text;
  }
  const std::string_view group = kind == OperationClass::kMessages ? "group of messages" : "one-sided calls";
  if (message_count == 1 && messages.size() == 1)
    return fmt::format("{} #{} {}{}", name_of(messages[0].kind), number,
                       messages[0].kind < LoggedMessage::Kind::kSignal ? "of " : "",
                       message_text(messages[0]));
  std::string text = fmt::format("{} #{}", group, number);
  for (std::size_t i = 0; i < messages.size(); ++i)
    text += fmt::format("{} {} {}", i == 0 ? ":" : ",", name_of(messages[i].kind), message_text(messages[i]));
  if (message_count > messages.size()) text += fmt::format(", and {} more", message_count - messages.size());
  return text;
}

std::optional<LoggedOperation> newest_operation(const std::byte* section) {
  // It is written over only when all others have been, so this hardly ever fails once.
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; ++i)
    if (const std::uint64_t begun = header_of(section).begun.load(std::memory_order_acquire); begun > 0)
      if (auto operation = read_operation(section, begun)) return operation;
  return std::nullopt;
}

std::optional<LoggedOperation> find_operation(const std::byte* section, std::uint32_t stamp) {
  const std::uint64_t begun = header_of(section).begun.load(std::memory_order_acquire);
  for (std::uint64_t sequence = begun; sequence >= oldest_of(begun) && sequence > 0; --sequence)
    if (load(record_of(section, sequence).number) >> 32 == stamp)
      if (auto operation = read_operation(section, sequence); operation && operation->stamp == stamp)
        return operation;
  return std::nullopt;
}

std::optional<LoggedOperation> find_operation(const std::byte* section, OperationClass kind,
                                              std::uint64_t number) {
  const std::uint64_t begun = header_of(section).begun.load(std::memory_order_acquire);
  for (std::uint64_t sequence = begun; sequence >= oldest_of(begun) && sequence > 0; --sequence) {
    const auto operation = read_operation(section, sequence);
    if (!operation || operation->kind != kind) continue;
    if (operation->number == number) return operation;
    if (operation->number < number) break;
  }
  return std::nullopt;
}

std::uint64_t newest_number(const std::byte* section, OperationClass kind) {
  return load(header_of(section).numbers[static_cast<std::size_t>(kind)]);
}

std::string LoggedProcess::algorithm(const LoggedOperation& operation) const {
  return operation.algorithm < algorithms.size() ? algorithms[operation.algorithm] : std::string();
}

Result<LoggedProcess> read_logbook(const std::byte* memory, std::size_t bytes, std::size_t newest) {
  const auto& header = *reinterpret_cast<const LogbookHeader*>(memory);
  HANSA_RETURN_IF_ERROR(check(header, bytes));
  LoggedProcess process;
  process.pid = static_cast<pid_t>(load(header.pid));
  process.mark = {load(header.mark_ticks), static_cast<std::int64_t>(load(header.mark_monotonic)),
                  static_cast<std::int64_t>(load(header.mark_realtime))};
  process.host = text_of(header.host);
  for (const auto& name : header.algorithms) process.algorithms.push_back(text_of(name));
  for (std::size_t i = 0; i < kSections; ++i)
    if ((header.readable[i / 64].load(std::memory_order_acquire) >> i % 64 & 1) != 0)
      if (auto found = read_section(memory + kSectionsAt + i * kSectionBytes, newest))
        process.communicators.push_back(*std::move(found));
  return process;
}

Result<LoggedProcess> read_logbook(int file, std::size_t newest) {
  struct stat about {};
  const int seals = fcntl(file, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(file, &about) != 0 ||
      static_cast<std::size_t>(about.st_size) < kLogbookBytes)
    return Status(Code::kInvalidArgument, "this is no logbook: it is not a sealed memfd of a logbook's size");
  void* const memory = mmap(nullptr, kLogbookBytes, PROT_READ, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED)
    return Status(Code::kSystem, "a logbook cannot be mapped: RLIMIT_AS may be too low");
  const std::unique_ptr<void, void (*)(void*)> unmap(memory, [](void* at) { munmap(at, kLogbookBytes); });
  return read_logbook(static_cast<const std::byte*>(memory), kLogbookBytes, newest);
}

}  // namespace hansa::control
