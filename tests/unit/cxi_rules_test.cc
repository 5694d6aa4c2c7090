// The stand-in for cxi: each rule is broken once, what keeps them works, and it answers as cxi does.
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "tests/support/cxi_rules/rules.hpp"
#include "tests/unit/cxi_rules_bed.hpp"

namespace hansa::test {
namespace {

using namespace cxi_rules;

struct Breach {
  const char* name;
  const Rule& rule;
  int (*commit)();  // returns what the caller sees, negated
  Values variables = {};
};

int before_it_is_enabled() {
  Side side(false);
  char byte;
  return static_cast<int>(fi_trecv(side.endpoint, &byte, 1, nullptr, FI_ADDR_UNSPEC, 1, 0, &byte));
}

int two_buffers() {
  Pair pair;
  char bytes[2];
  const iovec parts[] = {{bytes, 1}, {bytes + 1, 1}};
  return static_cast<int>(fi_tsendv(pair.a.endpoint, parts, nullptr, 2, pair.a.peer, 1, bytes));
}

int two_buffers_in_a_region() {
  Side side;
  char bytes[2];
  const iovec parts[] = {{bytes, 1}, {bytes + 1, 1}};
  fid_mr* region = nullptr;
  return fi_mr_regv(side.domain, parts, 2, FI_REMOTE_READ, 0, 1, 0, &region, nullptr);
}

int inject(std::size_t bytes) {
  Pair pair;
  const std::vector<char> buffer(bytes);
  return static_cast<int>(fi_tinject(pair.a.endpoint, buffer.data(), bytes, pair.a.peer, 1));
}
int one_byte_too_many() { return inject(193); }
int one_byte_without_order() { return inject(1); }

int send(std::uint64_t tag, std::size_t bytes = 1) {
  Pair pair;
  char byte = 0;
  return static_cast<int>(fi_tsend(pair.a.endpoint, &byte, bytes, nullptr, pair.a.peer, tag, &byte));
}
int the_49th_bit() { return send(std::uint64_t{1} << 48); }
int the_41st_bit() { return send(std::uint64_t{1} << 40); }
int four_gibibytes() { return send(1, std::size_t{1} << 32); }
int no_descriptor() { return send(1); }

int a_descriptor_of_other_memory() {
  Pair pair;
  char bytes[2];
  fid_mr* const region = pair.a.enroll(bytes, 1, true);
  return static_cast<int>(fi_tsend(pair.a.endpoint, bytes + 1, 1, fi_mr_desc(region), pair.a.peer, 1, bytes));
}

int bound_too_early() {
  Side side(false);
  char byte;
  fid_mr* const region = side.enroll(&byte, 1, false);
  return fi_mr_bind(region, &side.endpoint->fid, 0);
}

int bound_twice() {
  Side side;
  char byte;
  fid_mr* const region = side.enroll(&byte, 1, true);
  return fi_mr_bind(region, &side.endpoint->fid, 0);
}

int bound_elsewhere() {
  Side side, other;
  char byte;
  fid_mr* const region = side.enroll(&byte, 1, false);
  return fi_mr_bind(region, &other.endpoint->fid, 0);
}

int enabled_unbound() {
  Side side;
  char byte;
  return fi_mr_enable(side.enroll(&byte, 1, false));
}

int no_pages() {
  Side side;
  constexpr std::size_t kBytes = 1 << 16;
  void* const memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_EQ(munmap(memory, kBytes), 0);
  fid_mr* const region = side.enroll(memory, kBytes, false);
  EXPECT_EQ(fi_mr_bind(region, &side.endpoint->fid, 0), 0);
  return fi_mr_enable(region);
}

int a_key_of_33_bits() {
  Side side(true, [](fi_info& wanted) { wanted.domain_attr->mr_mode = FI_MR_ENDPOINT | FI_MR_ALLOCATED; });
  char byte;
  fid_mr* region = nullptr;
  return fi_mr_reg(side.domain, &byte, 1, FI_REMOTE_READ, 0, std::uint64_t{1} << 32, 0, &region, nullptr);
}

int a_key_before_its_time() {
  Pair pair;
  std::uint64_t there = 0, here = 0;
  const std::uint64_t key = fi_mr_key(pair.b.enroll(&there, sizeof there, false));
  return static_cast<int>(fi_read(pair.a.endpoint, &here, sizeof here, nullptr, pair.a.peer, 0, key, &here));
}

int a_pointer_for_an_offset() {
  Pair pair;
  std::uint64_t there = 0, here = 0;
  const std::uint64_t key = fi_mr_key(pair.b.enroll(&there, sizeof there, true));
  EXPECT_EQ(pair.post([&] {
    return fi_read(pair.a.endpoint, &here, sizeof here, nullptr, pair.a.peer,
                   reinterpret_cast<std::uintptr_t>(&there), key, &here);
  }),
            0);
  return -pair.wait(&here).error;
}

int one_byte_past_the_end() {
  Pair pair;
  char there[8] = "", here[8] = "";
  const std::uint64_t key = fi_mr_key(pair.b.enroll(there, sizeof there, true));
  EXPECT_EQ(fi_read(pair.a.endpoint, here, sizeof here, nullptr, pair.a.peer, 1, key, here), 0);
  return -pair.wait(here).error;
}

int a_write_with_data() {
  Pair pair;
  std::uint64_t there = 0, here = 0;
  const std::uint64_t key = fi_mr_key(pair.b.enroll(&there, sizeof there, true));
  return static_cast<int>(
      fi_writedata(pair.a.endpoint, &here, sizeof here, nullptr, 7, pair.a.peer, 0, key, &here));
}

int closed_while_posted() {
  Pair pair;
  char byte;
  fid_mr* const region = pair.a.enroll(&byte, 1, true);
  EXPECT_EQ(fi_trecv(pair.a.endpoint, &byte, 1, fi_mr_desc(region), pair.a.peer, 1, 0, &byte), 0);
  const int result = fi_close(&region->fid);
  EXPECT_EQ(fi_cancel(&pair.a.endpoint->fid, &byte), 0);
  EXPECT_EQ(pair.wait(&byte).error, FI_ECANCELED);
  return result;
}

int closed_before_its_regions() {
  Side side;
  char byte;
  side.enroll(&byte, 1, true);
  return fi_close(&side.endpoint->fid);
}

int two_threads() {
  Side side;
  std::atomic<bool> seen{false};
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto read = [&] {
    fi_cq_tagged_entry entry;
    while (!seen && std::chrono::steady_clock::now() < end) {
      if (fi_cq_read(side.queue, &entry, 1) == -FI_EBUSY) seen = true;
    }
  };
  std::thread other(read);
  read();
  other.join();
  return seen ? -FI_EBUSY : 0;
}

int spun_without_reading() {
  Side side;
  char byte;
  int result = 0;
  // The first is refused sooner or later, and then all are.
  for (int tries = 0; tries < 1100; ++tries)
    result = static_cast<int>(fi_trecv(side.endpoint, &byte, 1, nullptr, FI_ADDR_UNSPEC, 1, 0, &byte));
  return result;
}

int flooded() {
  Pair pair;
  char last = 0, early[3] = "";
  EXPECT_EQ(pair.post([&] { return fi_trecv(pair.b.endpoint, &last, 1, nullptr, pair.b.peer, 9, 0, &last); }),
            0);
  for (const std::uint64_t tag : {1, 2, 3, 9})
    EXPECT_EQ(pair.post([&] { return fi_tinject(pair.a.endpoint, &last, 1, pair.a.peer, tag); }), 0);
  // In order, so the others have come by then.
  EXPECT_EQ(pair.wait(&last).error, 0);
  const auto receive = [&](std::uint64_t tag) {
    char& byte = early[tag - 1];
    return static_cast<int>(fi_trecv(pair.b.endpoint, &byte, 1, nullptr, pair.b.peer, tag, 0, &byte));
  };
  EXPECT_EQ(receive(1), 0);
  EXPECT_EQ(receive(2), 0);
  const int result = receive(3);
  EXPECT_EQ(fi_tinject(pair.b.endpoint, &last, 1, pair.b.peer, 4), -FI_EAGAIN) << "flow control is for good";
  return result;
}

const Breach kBreaches[] = {
    {"State", kState, before_it_is_enabled},
    {"Iov", kIov, two_buffers},
    {"IovOfRegion", kIov, two_buffers_in_a_region},
    {"Inject", kInject, one_byte_too_many},
    {"InjectRnr", kInject, one_byte_without_order, {{"CXI_RULES_RNR", "1"}}},
    {"Tag", kTag, the_49th_bit},
    {"TagRnr", kTag, the_41st_bit, {{"CXI_RULES_RNR", "1"}}},
    {"Message", kMessage, four_gibibytes},
    {"Descriptor", kDescriptor, no_descriptor, {{"CXI_RULES_LOCAL", "1"}}},
    {"DescriptorOfOther", kDescriptor, a_descriptor_of_other_memory},
    {"BindEarly", kBind, bound_too_early},
    {"BindTwice", kBind, bound_twice},
    {"BindElsewhere", kBind, bound_elsewhere},
    {"Enable", kEnable, enabled_unbound},
    {"Allocated", kAllocated, no_pages},
    {"KeySize", kKeySize, a_key_of_33_bits},
    {"Key", kKey, a_key_before_its_time},
    {"Offset", kOffset, a_pointer_for_an_offset},
    {"OffsetPastEnd", kOffset, one_byte_past_the_end},
    {"WriteData", kWriteData, a_write_with_data},
    {"Posted", kPosted, closed_while_posted},
    {"Close", kClose, closed_before_its_regions},
    {"Thread", kThread, two_threads},
    {"Storm", kStorm, spun_without_reading, {{"CXI_RULES_SEED", "1"}}},
    {"Unexpected", kUnexpected, flooded, {{"CXI_RULES_UNEXPECTED", "2"}}},
};

class CxiRule : public testing::TestWithParam<Breach> {};

TEST_P(CxiRule, IsCaughtWhenBroken) {
  const Breach& breach = GetParam();
  const Variables set(breach.variables);
  testing::internal::CaptureStderr();
  EXPECT_EQ(breach.commit(), -breach.rule.error);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find(std::string("breaks rule '") + breach.rule.name + "'"), std::string::npos) << said;
  EXPECT_NE(said.find(breach.rule.why), std::string::npos) << said;
}

INSTANTIATE_TEST_SUITE_P(Each, CxiRule, testing::ValuesIn(kBreaches),
                         [](const auto& breach) { return std::string(breach.param.name); });

TEST(CxiRules, AreAllBrokenHere) {
  std::set<const Rule*> broken;
  for (const Breach& breach : kBreaches) broken.insert(&breach.rule);
  EXPECT_EQ(broken, std::set<const Rule*>(std::begin(kRules), std::end(kRules)));
}

TEST(CxiRules, KillWhereTheyAreToldTo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // psm2, which libfabric loads, would leave a file behind.
  const Variables set(Values{{"CXI_RULES_ABORT", "1"}, {"IPATH_NO_BACKTRACE", "1"}});
  EXPECT_DEATH(one_byte_too_many(), "fi_tinject breaks rule 'inject': 193 bytes, 192 at most; on cxi ");
}

}  // namespace
}  // namespace hansa::test
