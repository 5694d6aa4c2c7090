// The flight recorder: what is written is read, by whoever and whenever; what is no logbook is refused.
#include "control/logbook.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "base/shared_memory.hpp"
#include "control/logbook_reading.hpp"

namespace hansa::control {
namespace {

constexpr std::string_view kAlgorithms[] = {"ring", "tree"};

struct Book {
  Logbook book{process_generation(), kAlgorithms};
  std::unique_ptr<LogbookSection> section = book.open({"tensor parallel", 3, 8, 77, 5});

  LoggedProcess read(std::size_t newest = kRecords) const {
    auto all = read_logbook(book.file(), newest);
    EXPECT_TRUE(all.ok()) << all.status().message();
    return all.ok() ? std::move(all).value() : LoggedProcess();
  }
  LoggedCommunicator communicator(std::size_t newest = kRecords) const {
    LoggedProcess all = read(newest);
    EXPECT_EQ(1u, all.communicators.size());
    return all.communicators.empty() ? LoggedCommunicator() : all.communicators.front();
  }
};

// All that is kept of operation n follows from n.
LogEntry entry_for(std::uint32_t n) {
  LogEntry entry;
  entry.collective = n % 2 == 0 ? Collective::kAllReduce : Collective::kBroadcast;
  entry.type = DataType::kFloat32;
  entry.algorithm = n % 2;
  entry.number = n;
  entry.stamp = n * 0x9e3779b9u;
  entry.details = {n, 4 * std::uint64_t{n}, n % 5};
  entry.bytes = 4 * std::uint64_t{n};
  return entry;
}

void expect_operation(std::uint32_t n, const LoggedOperation& found) {
  EXPECT_EQ(n, found.sequence);
  EXPECT_EQ(n, found.number);
  EXPECT_EQ(n * 0x9e3779b9u, found.stamp);
  EXPECT_EQ(n % 2 == 0 ? Collective::kAllReduce : Collective::kBroadcast, found.collective);
  EXPECT_EQ(n, found.count);
  EXPECT_EQ(4 * std::uint64_t{n}, found.bytes);
  EXPECT_EQ(static_cast<Rank>(n % 5), found.root);
  EXPECT_EQ(n, found.started);
}

TEST(Logbook, KeepsACommunicator) {
  Book mine;
  mine.section->set_number(42);
  mine.section->describe("shm to 7 ranks", true);
  mine.section->set_standing(Standing::kReady);
  const LoggedProcess all = mine.read();
  EXPECT_EQ(getpid(), all.pid);
  ASSERT_EQ(1u, all.communicators.size());
  const LoggedCommunicator& found = all.communicators[0];
  EXPECT_TRUE(found.exists());
  EXPECT_EQ("tensor parallel", found.name);
  EXPECT_EQ(3, found.rank);
  EXPECT_EQ(8, found.ranks);
  EXPECT_EQ(77u, found.parent);
  EXPECT_EQ(5, found.parent_rank);
  EXPECT_EQ(42u, found.number);
  EXPECT_EQ("shm to 7 ranks", found.transports);
  EXPECT_TRUE(found.crowded);
  EXPECT_EQ(Standing::kReady, found.standing);
  EXPECT_EQ("", found.late);
  EXPECT_EQ("", found.failure);
  EXPECT_TRUE(found.operations.empty());
}

TEST(Logbook, KeepsOperations) {
  Book mine;
  for (std::uint32_t n = 1; n <= 3; ++n) {
    mine.section->begin(entry_for(n), n);
    if (n < 3) mine.section->end(n == 2);
  }
  const LoggedProcess all = mine.read();
  const LoggedCommunicator found = mine.communicator();
  ASSERT_EQ(3u, found.operations.size());
  for (std::uint32_t n = 1; n <= 3; ++n) expect_operation(n, found.operations[n - 1]);
  EXPECT_EQ(LoggedOperation::State::kDone, found.operations[0].state);
  EXPECT_EQ(LoggedOperation::State::kFailed, found.operations[1].state);
  EXPECT_EQ(LoggedOperation::State::kStarted, found.operations[2].state);
  EXPECT_EQ(3u, found.begun);
  EXPECT_EQ(4u, found.bytes) << "what ended well";
  EXPECT_EQ("tree", all.algorithm(found.operations[0]));
  EXPECT_EQ("ring", all.algorithm(found.operations[1]));
  EXPECT_EQ("broadcast #1 of 1 float, root 1", found.operations[0].text());
  EXPECT_EQ("allreduce #2 of 2 float, sum", found.operations[1].text());
  EXPECT_EQ(1u, mine.communicator(1).operations.size());
}

TEST(Logbook, KeepsMessages) {
  Book mine;
  LogEntry group{.kind = OperationClass::kMessages, .messages = 1, .number = 1};
  group.details[0] = LoggedMessage{LoggedMessage::Kind::kSend, 5, 100}.word();
  mine.section->begin(group, 1);
  mine.section->end(false);
  group.messages = 20;
  group.number = 2;
  group.details[1] = LoggedMessage{LoggedMessage::Kind::kReceive, 1 << 20, std::uint64_t{1} << 39}.word();
  group.details[2] = LoggedMessage{LoggedMessage::Kind::kReceive, 1 << 30, std::uint64_t{1} << 50}.word();
  mine.section->begin(group, 1);
  const auto operations = mine.communicator().operations;
  ASSERT_EQ(2u, operations.size());
  EXPECT_EQ("send #1 of 100 bytes to rank 5", operations[0].text());
  EXPECT_EQ(
      "group of messages #2: send 100 bytes to rank 5, receive 549755813888 bytes from rank 1048576, receive "
      "1099511627775 bytes from rank 2097151, and 17 more",
      operations[1].text());
  LogEntry put{.kind = OperationClass::kOneSided, .messages = 2, .number = 1};
  put.details[0] = LoggedMessage{LoggedMessage::Kind::kPut, 2, 8}.word();
  put.details[1] = LoggedMessage{LoggedMessage::Kind::kWait, 0, 3}.word();
  mine.section->end(false);
  mine.section->begin(put, 1);
  EXPECT_EQ("one-sided calls #1: put 8 bytes into rank 2's window, wait for 3 signals of rank 0",
            newest_operation(mine.section->memory())->text());
  EXPECT_EQ((std::array<std::uint64_t, 3>{0, 2, 1}), mine.communicator().numbers);
}

TEST(Logbook, KeepsTheNewest) {
  Book mine;
  for (std::uint32_t n = 1; n <= 2 * kRecords + 5; ++n) {
    mine.section->begin(entry_for(n), n);
    mine.section->end(false);
    EXPECT_EQ(n, newest_operation(mine.section->memory())->number);
  }
  const auto operations = mine.communicator().operations;
  ASSERT_EQ(kRecords, operations.size());
  for (std::size_t i = 0; i < kRecords; ++i)
    expect_operation(static_cast<std::uint32_t>(kRecords + 6 + i), operations[i]);
}

TEST(Logbook, FindsBySignature) {
  Book mine;
  EXPECT_FALSE(newest_operation(mine.section->memory()));
  EXPECT_FALSE(find_operation(mine.section->memory(), 1));
  for (std::uint32_t n = 1; n <= kRecords + 10; ++n) mine.section->begin(entry_for(n), n);
  const auto found = [&](std::uint32_t n) {
    return find_operation(mine.section->memory(), entry_for(n).stamp);
  };
  for (const std::uint32_t n : {11u, 12u, 2000u, 2058u}) {
    ASSERT_TRUE(found(n)) << n;
    expect_operation(n, *found(n));
  }
  EXPECT_FALSE(found(10)) << "written over";
  EXPECT_FALSE(find_operation(mine.section->memory(), 12345));
}

TEST(Logbook, KeepsWhoIsLate) {
  Book mine;
  mine.section->begin(entry_for(1), 900);
  mine.section->set_late("rank 5 is late", 1000);
  mine.section->set_failure(std::string(1000, 'x'));
  EXPECT_EQ("rank 5 is late", mine.communicator().late);
  EXPECT_EQ(1000u, mine.communicator().late_told);
  EXPECT_EQ(std::string(512, 'x'), mine.communicator().failure);
  mine.section->set_late("", 0);
  EXPECT_EQ("", mine.communicator().late);
  // Of an operation that is over nobody is late.
  mine.section->set_late("rank 5 is late", 1000);
  mine.section->end(false);
  EXPECT_EQ("", mine.communicator().late);
}

TEST(Logbook, CountsWhatBecameOfRails) {
  Book mine;
  EXPECT_EQ(0u, mine.communicator().rails.rails);
  mine.section->set_rails({2, 1, 3, 4, 5});
  const RailCounts found = mine.communicator().rails;
  EXPECT_EQ(2u, found.rails);
  EXPECT_EQ(1u, found.down);
  EXPECT_EQ(3u, found.lost);
  EXPECT_EQ(4u, found.back);
  EXPECT_EQ(5u, found.resent);
}

TEST(Logbook, TellsTimes) {
  Book mine;
  const std::int64_t before = clock_ns(CLOCK_REALTIME);
  mine.section->begin(entry_for(1), ticks());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  mine.section->end(false);
  const std::int64_t after = clock_ns(CLOCK_REALTIME);
  const LoggedProcess all = mine.read();
  const TickScale scale(all.mark);
  const LoggedOperation& operation = all.communicators[0].operations[0];
  constexpr std::int64_t kSlack = 2'000'000;  // a virtual machine's clocks are adjusted now and then
  EXPECT_GE(scale.realtime_ns(operation.started), before - kSlack);
  EXPECT_LE(scale.realtime_ns(operation.ended), after + kSlack);
  EXPECT_GE(scale.duration_ns(operation.started, operation.ended), 20'000'000 - kSlack);
}

long blocks_of(const Logbook& book) {
  struct stat about {};
  EXPECT_EQ(0, fstat(book.file(), &about));
  return about.st_blocks / 2;  // KiB
}

TEST(Logbook, KeepsTheLastWordsOfACommunicator) {
  Book mine;
  mine.section->begin(entry_for(1), 1);
  mine.section->end(true);
  mine.section->set_failure("rank 2 died");
  mine.section.reset();
  const LoggedCommunicator found = mine.communicator();
  EXPECT_FALSE(found.exists());
  EXPECT_NE(0u, found.closed);
  EXPECT_EQ("rank 2 died", found.failure);
  EXPECT_EQ(1u, found.operations.size());
}

TEST(Logbook, TakesLittleMemory) {
  Logbook book(process_generation(), kAlgorithms);
  const long page = static_cast<long>(page_bytes() >> 10);
  std::vector<std::unique_ptr<LogbookSection>> many;
  for (int i = 0; i < 200; ++i) many.push_back(book.open({"", 0, 2}));
  for (const auto& section : many) {
    ASSERT_TRUE(section);
    section->begin(entry_for(1), 1);
  }
  EXPECT_LE(blocks_of(book), 202 * std::max(page, 8L));
  many.clear();
  for (int i = 0; i < 1000; ++i) {
    const auto section = book.open({"", 0, 2});
    for (std::uint32_t n = 1; n <= kRecords; ++n) section->begin(entry_for(n), n);
  }
  EXPECT_LE(blocks_of(book), 20 * 132 + page) << "ended communicators' memory is used again";
  const auto all = read_logbook(book.file());
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(16u, all.value().communicators.size());
  EXPECT_LE(blocks_of(book), 20 * 132 + page) << "reading takes none";
}

TEST(Logbook, StopsRatherThanCrash) {
  rlimit before{}, none{};
  getrlimit(RLIMIT_FSIZE, &before);
  none = before;
  none.rlim_cur = 1 << 20;
  setrlimit(RLIMIT_FSIZE, &none);
  Logbook book(process_generation(), kAlgorithms);
  EXPECT_EQ(nullptr, book.open({"", 0, 2}));
  EXPECT_EQ(-1, book.file());
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_NE(nullptr, book.open({"", 0, 2}));
}

// What it does now counts most: who is late is told by it.
TEST(Logbook, KeepsTheNewestWhereThereIsNoMemoryForMore) {
  Book mine;
  const int number = mine.book.file(), file = dup(number);
  close(number);  // no page can be had any more
  constexpr std::uint32_t kMany = 3 * kFirstRecords + 5;
  for (std::uint32_t n = 1; n <= kMany; ++n) {
    mine.section->begin(entry_for(n), n);
    mine.section->end(false);
  }
  mine.section->begin(entry_for(kMany + 1), kMany + 1);
  EXPECT_EQ(number, dup2(file, number));
  close(file);
  const auto newest = newest_operation(mine.section->memory());
  ASSERT_TRUE(newest.has_value());
  expect_operation(kMany + 1, *newest);
  EXPECT_EQ(LoggedOperation::State::kStarted, newest->state);
  const LoggedCommunicator found = mine.communicator();
  EXPECT_EQ(kMany + 1, found.begun);
  ASSERT_EQ(kFirstRecords, found.operations.size());
  std::uint32_t n = kMany + 2 - static_cast<std::uint32_t>(kFirstRecords);
  for (const LoggedOperation& operation : found.operations) expect_operation(n++, operation);
}

// A reader never sees half of an operation, however often the ring is written over.
TEST(Logbook, IsReadWhileItIsWritten) {
  Book mine;
  std::atomic<bool> over{false};
  std::thread writer([&] {
    for (std::uint32_t n = 1; !over; ++n) {
      mine.section->begin(entry_for(n), n);
      mine.section->end(n % 3 == 0);
      const std::uint32_t length = n / 10 % 250;
      if (n % 10 == 0) mine.section->set_late(std::string(length, 'l'), length);
    }
  });
  std::size_t seen = 0;
  for (int round = 0; (round < 200 || seen == 0) && !HasFailure(); ++round) {
    const LoggedCommunicator found = mine.communicator();
    for (const LoggedOperation& operation : found.operations) {
      expect_operation(static_cast<std::uint32_t>(operation.sequence), operation);
      ++seen;
    }
    EXPECT_EQ(found.late.size(), found.late_told);
    if (const auto newest = newest_operation(mine.section->memory()))
      expect_operation(static_cast<std::uint32_t>(newest->sequence), *newest);
  }
  over = true;
  writer.join();
  EXPECT_GT(seen, 0u);
}

TEST(Logbook, RefusesWhatIsNone) {
  const auto refused = [](int file) { return std::string(read_logbook(file).status().message()); };
  EXPECT_NE("", refused(-1));
  const auto small = create_shared_memory("small", 4096);
  EXPECT_NE(std::string::npos, refused(small.value()).find("not a sealed memfd"));
  const auto empty = create_shared_memory(kLogbookName, kLogbookBytes);
  EXPECT_NE(std::string::npos, refused(empty.value()).find("no logbook"));
  close(small.value());
  close(empty.value());
  Book mine;
  const auto memory = map_shared_memory(mine.book.file(), 0, kSectionsAt);
  ASSERT_TRUE(memory.ok());
  auto& header = *reinterpret_cast<LogbookHeader*>(memory.value());
  header.version = kLogbookVersion + 1;
  EXPECT_NE(std::string::npos, refused(mine.book.file()).find("another version"));
  header.version = kLogbookVersion;
  header.counter = kHasCounter ? 0 : 1;
  EXPECT_NE(std::string::npos, refused(mine.book.file()).find("clock"));
  munmap(memory.value(), kSectionsAt);
}

TEST(Logbook, SurvivesGarbage) {
  Book mine;
  for (std::uint32_t n = 1; n <= 100; ++n) mine.section->begin(entry_for(n), n);
  const auto memory = map_shared_memory(mine.book.file(), kSectionsAt, kSectionBytes);
  ASSERT_TRUE(memory.ok());
  const auto words = std::span(reinterpret_cast<Word*>(memory.value()), kSectionBytes / sizeof(Word));
  std::mt19937_64 random(20261121);
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 50; ++i) words[random() % (round % 2 == 0 ? 128 : words.size())] = random();
    const LoggedProcess all = mine.read();
    for (const LoggedCommunicator& found : all.communicators) {
      EXPECT_LT(found.rank, found.ranks);
      for (const LoggedOperation& operation : found.operations) EXPECT_NE("", operation.text());
    }
  }
  munmap(memory.value(), kSectionBytes);
}

}  // namespace
}  // namespace hansa::control
