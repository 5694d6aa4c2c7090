// What the stand-in for cxi answers and does where no rule is broken.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "tests/unit/cxi_rules_bed.hpp"

namespace hansa::test {
namespace {

TEST(CxiInfo, IsCxis) {
  const Info info = ask(*hints());
  ASSERT_NE(info, nullptr);
  EXPECT_STREQ(info->fabric_attr->prov_name, "cxi");
  EXPECT_STREQ(info->domain_attr->name, "cxi0");
  EXPECT_EQ(info->addr_format, std::uint32_t{FI_ADDR_CXI});
  EXPECT_EQ(info->domain_attr->mr_mode, FI_MR_ENDPOINT | FI_MR_ALLOCATED | FI_MR_PROV_KEY);
  EXPECT_EQ(info->ep_attr->mem_tag_format, 0x0000aaaaaaaaaaaau);
  EXPECT_EQ(info->ep_attr->max_msg_size, 0xffffffffu);
  EXPECT_EQ(info->tx_attr->inject_size, 192u);
  EXPECT_EQ(info->tx_attr->iov_limit, 1u);
  EXPECT_EQ(info->rx_attr->iov_limit, 1u);
  EXPECT_EQ(info->tx_attr->msg_order & (FI_ORDER_RAW | FI_ORDER_WAR | FI_ORDER_RMA_RAW), 0u);
  EXPECT_EQ(info->domain_attr->data_progress, FI_PROGRESS_MANUAL);
  EXPECT_EQ(info->rx_attr->size, 512u);
}

TEST(CxiInfo, OfTheProtocolWithoutOrder) {
  const Variables set(Values{{"CXI_RULES_RNR", "1"}});
  const Info info = ask(*hints());
  ASSERT_NE(info, nullptr);
  EXPECT_EQ(info->ep_attr->mem_tag_format, 0x000000aaaaaaaaaau);
  EXPECT_EQ(info->tx_attr->inject_size, 0u);
  EXPECT_EQ(ask(*hints([](fi_info& wanted) { wanted.tx_attr->msg_order = FI_ORDER_SAS; })), nullptr);
}

TEST(CxiInfo, IsNotGivenForWhatCxiLacks) {
  const std::map<std::string, std::function<void(fi_info&)>> wishes = {
      {"another provider", [](fi_info& wanted) { wanted.fabric_attr->prov_name = strdup("tcp;ofi_rxm"); }},
      {"another NIC", [](fi_info& wanted) { wanted.domain_attr->name = strdup("cxi7"); }},
      {"reads behind writes", [](fi_info& wanted) { wanted.tx_attr->msg_order = FI_ORDER_RAW; }},
      {"writes behind reads", [](fi_info& wanted) { wanted.tx_attr->msg_order = FI_ORDER_WAR; }},
      {"automatic progress", [](fi_info& wanted) { wanted.domain_attr->data_progress = FI_PROGRESS_AUTO; }},
      {"threads by endpoint", [](fi_info& wanted) { wanted.domain_attr->threading = FI_THREAD_ENDPOINT; }},
      {"regions without endpoints", [](fi_info& wanted) { wanted.domain_attr->mr_mode &= ~FI_MR_ENDPOINT; }},
      {"two buffers", [](fi_info& wanted) { wanted.tx_attr->iov_limit = 2; }},
      {"larger injects", [](fi_info& wanted) { wanted.tx_attr->inject_size = 193; }},
      {"longer queues", [](fi_info& wanted) { wanted.rx_attr->size = 16385; }},
      {"datagrams", [](fi_info& wanted) { wanted.ep_attr->type = FI_EP_DGRAM; }},
  };
  for (const auto& [what, wish] : wishes) EXPECT_EQ(ask(*hints(wish)), nullptr) << what;
  EXPECT_EQ(ask(*hints(), "127.0.0.1"), nullptr) << "an IP address";
  EXPECT_NE(ask(*hints(), "cxi0"), nullptr);
}

std::vector<char> content(std::size_t bytes) {
  std::vector<char> made(bytes);
  std::iota(made.begin(), made.end(), static_cast<char>(bytes));
  return made;
}

void carry(Pair& pair, std::uint64_t tag, std::size_t bytes) {
  const std::vector<char> sent = content(bytes);
  std::vector<char> got(bytes);
  int sending = 0, receiving = 0;
  fid_mr* const from = pair.a.enroll(const_cast<char*>(sent.data()), bytes, bytes != 0);
  fid_mr* const into = pair.b.enroll(got.data(), bytes, bytes != 0);
  ASSERT_EQ(pair.post([&] {
    return fi_trecv(pair.b.endpoint, got.data(), bytes, fi_mr_desc(into), pair.b.peer, tag, 0, &receiving);
  }),
            0);
  ASSERT_EQ(pair.post([&] {
    return fi_tsend(pair.a.endpoint, sent.data(), bytes, fi_mr_desc(from), pair.a.peer, tag, &sending);
  }),
            0);
  EXPECT_EQ(pair.wait(&sending).error, 0);
  const Outcome outcome = pair.wait(&receiving);
  EXPECT_EQ(outcome.error, 0);
  EXPECT_EQ(outcome.bytes, bytes);
  EXPECT_EQ(got, sent);
  for (Side* side : {&pair.a, &pair.b}) {
    EXPECT_EQ(fi_close(&side->regions.back()->fid), 0);
    side->regions.pop_back();
  }
}

TEST(CxiBehaviour, CarriesMessagesInEveryMode) {
  for (const char* mode : {"CXI_RULES_PLAIN", "CXI_RULES_RNR", "CXI_RULES_LOCAL"}) {
    const Variables set(Values{{mode, "1"}, {"CXI_RULES_SEED", "3"}, {"CXI_RULES_UNEXPECTED", "0"}});
    Pair pair;
    std::uint64_t tag = 0;
    for (const std::size_t bytes : {0, 1, 63, 64, 65, 192, 193, 4096, 16384, 65536, 1 << 20})
      carry(pair, ++tag, bytes);
  }
}

TEST(CxiBehaviour, InjectsWhatItSays) {
  Pair pair;
  std::vector<char> sent = content(192), got(192);
  ASSERT_EQ(
      pair.post([&] { return fi_trecv(pair.b.endpoint, got.data(), 192, nullptr, pair.b.peer, 1, 0, &got); }),
      0);
  ASSERT_EQ(pair.post([&] { return fi_tinject(pair.a.endpoint, sent.data(), 192, pair.a.peer, 1); }), 0);
  std::fill(sent.begin(), sent.end(), 0);
  EXPECT_EQ(pair.wait(&got).error, 0);
  EXPECT_EQ(got, content(192));
  EXPECT_TRUE(pair.outcomes.empty()) << "what is injected has no completion";
}

TEST(CxiBehaviour, ServesAReadBeforeTheWriteInFrontOfIt) {
  Pair pair;
  std::uint64_t there = 1, seen = 0, wanted = 2;
  fid_mr* const region = pair.b.enroll(&there, sizeof there, true);
  const std::uint64_t key = fi_mr_key(region);
  const auto read = [&](std::uint64_t& into) {
    return pair.post([&] { return fi_read(pair.a.endpoint, &into, 8, nullptr, pair.a.peer, 0, key, &into); });
  };
  // The connection comes up with the first.
  ASSERT_EQ(read(seen), 0);
  ASSERT_EQ(pair.wait(&seen).error, 0);
  ASSERT_EQ(fi_write(pair.a.endpoint, &wanted, 8, nullptr, pair.a.peer, 0, key, &wanted), 0);
  ASSERT_EQ(fi_read(pair.a.endpoint, &seen, 8, nullptr, pair.a.peer, 0, key, &seen), 0);
  EXPECT_EQ(pair.wait(&seen).error, 0);
  EXPECT_EQ(seen, 1u);
  EXPECT_EQ(pair.wait(&wanted).error, 0);
  ASSERT_EQ(read(seen), 0);
  EXPECT_EQ(pair.wait(&seen).error, 0);
  EXPECT_EQ(seen, 2u);
}

TEST(CxiBehaviour, SendsOutOfOrderWhereNoOrderIsPromised) {
  const Variables set(Values{{"CXI_RULES_RNR", "1"}});
  Pair pair;
  carry(pair, 1, 1);  // the connection is up
  std::array<char, 3> sent{1, 2, 3}, got{};
  constexpr std::uint64_t kAny = (std::uint64_t{1} << 40) - 1;
  for (char& byte : got)
    ASSERT_EQ(
        pair.post([&] { return fi_trecv(pair.b.endpoint, &byte, 1, nullptr, pair.b.peer, 0, kAny, &byte); }),
        0);
  for (char& byte : sent)
    ASSERT_EQ(
        fi_tsend(pair.a.endpoint, &byte, 1, nullptr, pair.a.peer, static_cast<std::uint64_t>(byte), &byte),
        0);
  for (char& byte : got) EXPECT_EQ(pair.wait(&byte).error, 0);
  EXPECT_EQ(got, (std::array<char, 3>{3, 2, 1}));
  for (char& byte : sent) EXPECT_EQ(pair.wait(&byte).error, 0);
}

TEST(CxiBehaviour, RefusesMoreThanItsQueuesHold) {
  const Variables set(Values{{"CXI_RULES_QUEUE", "4"}});
  Pair pair;
  std::array<char, 5> bytes;
  const auto receive = [&](std::size_t index) {
    return fi_trecv(pair.b.endpoint, &bytes[index], 1, nullptr, pair.b.peer, index, 0, &bytes[index]);
  };
  for (std::size_t index = 0; index < 4; ++index) ASSERT_EQ(receive(index), 0);
  EXPECT_EQ(receive(4), -FI_EAGAIN);
  ASSERT_EQ(fi_cancel(&pair.b.endpoint->fid, &bytes[2]), 0);
  EXPECT_EQ(pair.wait(&bytes[2]).error, FI_ECANCELED);
  EXPECT_EQ(receive(4), 0);
}

TEST(CxiBehaviour, ClosesWithWorkInFlight) {
  Pair pair;
  // Of a rendezvous that is cut off, tcp;ofi_rxm 1.17 keeps a region, and its domain does not close.
  std::vector<char> large(8 << 10), sink(1);
  ASSERT_EQ(
      pair.post([&] { return fi_trecv(pair.b.endpoint, sink.data(), 1, nullptr, pair.b.peer, 1, 0, &sink); }),
      0);
  ASSERT_EQ(pair.post([&] {
    return fi_tsend(pair.a.endpoint, large.data(), large.size(), nullptr, pair.a.peer, 2, &large);
  }),
            0);
  pair.a.close_endpoint();
  pair.b.close_endpoint();
  pair.read();
}

}  // namespace
}  // namespace hansa::test
