// Unique ids, handshake, frames and messages as bytes: what goes out comes in, and nothing else does.
#include <gtest/gtest.h>

#include "bootstrap/frame.hpp"
#include "bootstrap/handshake.hpp"
#include "bootstrap/messages.hpp"
#include "bootstrap/unique_id.hpp"
#include "bootstrap/withdrawal.hpp"

namespace hansa::bootstrap {
namespace {

class Wire : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(prepare_cryptography().ok()); }
};

NetworkAddress some_address(bool v6 = false) {
  NetworkAddress address = choose_address(v6 ? "fd00::17" : "10.1.2.3").value();
  address.port = 4711;
  return address;
}

TEST_F(Wire, UniqueIdsComeBackAndNoBitMayChange) {
  for (const bool v6 : {false, true}) {
    const Invitation invitation = invite(some_address(v6));
    const UniqueId id = to_unique_id(invitation);
    const auto parsed = parse_unique_id(id);
    ASSERT_TRUE(parsed.ok()) << parsed.status().c_str();
    EXPECT_EQ(invitation.root.text(), parsed.value().root.text());
    EXPECT_EQ(v6 ? "[fd00::17]:4711" : "10.1.2.3:4711", parsed.value().root.text());
    EXPECT_EQ(invitation.key(), parsed.value().key());
    for (std::size_t bit = 0; bit < 8 * id.size(); ++bit) {
      UniqueId damaged = id;
      damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      EXPECT_EQ(Code::kInvalidArgument, parse_unique_id(damaged).status().code()) << "bit " << bit;
    }
    EXPECT_FALSE(parse_unique_id(BytesView(id).first(127)).ok());
  }
  EXPECT_FALSE(parse_unique_id({}).ok());
  EXPECT_NE(to_unique_id(invite(some_address())), to_unique_id(invite(some_address())));
}

TEST_F(Wire, HandshakeOpensForTheSameKeyOnly) {
  const Key key = random_key(), other = random_key();
  Transcript dialer{door_of(key, "root", ""), random_key(), {}}, acceptor{{}, {}, random_key()};
  ASSERT_TRUE(parse_hello(make_hello(dialer), &acceptor));
  EXPECT_EQ(dialer.door, acceptor.door);
  const auto challenge = make_challenge(key, acceptor);
  Transcript wrong = dialer;
  EXPECT_FALSE(check_challenge(challenge, other, &wrong));
  ASSERT_TRUE(check_challenge(challenge, key, &dialer));
  EXPECT_TRUE(check_answer(make_answer(key, dialer), key, acceptor));
  EXPECT_FALSE(check_answer(make_answer(other, dialer), key, acceptor));
  // The acceptor's own proof, sent back to it, proves nothing.
  EXPECT_FALSE(check_answer(BytesView(challenge).subspan(sizeof(Nonce)), key, acceptor));
  EXPECT_EQ(frame_key(key, dialer, Side::kDialer), frame_key(key, acceptor, Side::kDialer));
  EXPECT_NE(frame_key(key, dialer, Side::kDialer), frame_key(key, dialer, Side::kAcceptor));
  EXPECT_FALSE(parse_hello({}, &wrong));
  EXPECT_FALSE(parse_hello(std::array<std::byte, kHelloBytes>{}, &wrong));
}

TEST_F(Wire, DoorsDifferByServiceAndHost) {
  const Key key = random_key();
  EXPECT_NE(door_of(key, "hub", "a"), door_of(key, "hub", "b"));
  EXPECT_NE(door_of(key, "hub", "a"), door_of(key, "huba", ""));
  EXPECT_NE(door_of(key, "hub", "a"), door_of(random_key(), "hub", "a"));
}

TEST_F(Wire, FramesComeInOrderOnceAndUnchanged) {
  const Key key = random_key();
  const std::vector<std::byte> payload(257, std::byte{7});
  FrameSealer sealer(key);
  const auto first = sealer.seal(1, payload), second = sealer.seal(2, {});
  Frame frame;
  std::size_t used = 0;
  {
    FrameOpener opener(key);
    for (std::size_t size = 0; size < first.size(); ++size) {
      ASSERT_EQ(FrameOpener::Outcome::kNeedsMore,
                opener.open(BytesView(first).first(size), 1000, &frame, &used));
    }
    ASSERT_EQ(FrameOpener::Outcome::kFrame, opener.open(first, 257, &frame, &used));
    EXPECT_EQ(first.size(), used);
    EXPECT_EQ(1, frame.type);
    EXPECT_EQ(payload, std::vector<std::byte>(frame.payload.begin(), frame.payload.end()));
    EXPECT_EQ(FrameOpener::Outcome::kForged, FrameOpener(opener).open(first, 1000, &frame, &used))
        << "a second time";
    EXPECT_EQ(FrameOpener::Outcome::kFrame, opener.open(second, 1000, &frame, &used));
  }
  EXPECT_EQ(FrameOpener::Outcome::kForged, FrameOpener(key).open(first, 256, &frame, &used))
      << "over the limit";
  EXPECT_EQ(FrameOpener::Outcome::kForged, FrameOpener(key).open(second, 1000, &frame, &used))
      << "the first is missing";
  EXPECT_EQ(FrameOpener::Outcome::kForged, FrameOpener(random_key()).open(first, 1000, &frame, &used));
  for (std::size_t i = 0; i < first.size(); ++i) {
    auto changed = first;
    changed[i] ^= std::byte{1};
    changed.resize(changed.size() + 2);  // so that a longer length is complete as well
    EXPECT_EQ(FrameOpener::Outcome::kForged, FrameOpener(key).open(changed, 1000, &frame, &used))
        << "byte " << i;
  }
}

template <class T>
void comes_back(const T& message) {
  const auto bytes = message.encode();
  T parsed;
  ASSERT_TRUE(T::parse(bytes, &parsed));
  EXPECT_EQ(bytes, parsed.encode());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(T::parse(BytesView(bytes).first(size), &parsed)) << size;
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(T::parse(longer, &parsed));
}

TEST_F(Wire, MessagesComeBackWholeOrNotAtAll) {
  const Process process{3, 4711, 99, "n1"};
  const Neighbour neighbour{"host", some_address(true)};
  comes_back(Registration{process, neighbour});
  comes_back(Entry{kProtocol, 4, process});
  comes_back(Welcome{process});
  comes_back(Assignment{0, 1, 1, {}, {}});
  comes_back(Assignment{2, 5, 5, process, neighbour});
  comes_back(Attachment{2, process, neighbour});
  comes_back(Neighbours{{neighbour, neighbour, neighbour}});
  comes_back(Lateness{7, 2500});
  comes_back(Absence{7, {1, 2, 3}});
  comes_back(Withdrawal{3, 2500});
  comes_back(Dismissal{3, Status(Code::kRemote, "why")});
  comes_back(Failure{Status(Code::kRemote, "why")});
  Entry entry{kProtocol, 3, process};
  EXPECT_FALSE(Entry::parse(entry.encode(), &entry)) << "rank 3 of 3";
}

TEST_F(Wire, ContributionsAreOfOneRankEach) {
  const std::vector<std::byte> a(5, std::byte{1}), b;
  const auto bytes = encode_contributions(9, {{1, a}, {0, b}});
  std::uint64_t sequence = 0;
  std::vector<Contribution> list;
  ASSERT_TRUE(parse_contributions(bytes, 2, &sequence, &list));
  EXPECT_EQ(9u, sequence);
  ASSERT_EQ(2u, list.size());
  EXPECT_EQ(1, list[0].rank);
  EXPECT_EQ(5u, list[0].bytes.size());
  EXPECT_FALSE(parse_contributions(bytes, 1, &sequence, &list));
  EXPECT_FALSE(parse_contributions(encode_contributions(9, {{1, a}, {1, b}}), 2, &sequence, &list));
  EXPECT_FALSE(parse_contributions(encode_contributions(9, {{-1, a}}), 2, &sequence, &list));
  EXPECT_FALSE(parse_contributions(
      encode_contributions(9, {{0, std::vector<std::byte>(kMostContribution + 1)}}), 2, &sequence, &list));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(parse_contributions(BytesView(bytes).first(size), 2, &sequence, &list));
  }
}

TEST_F(Wire, RanksAndHostsReadWell) {
  EXPECT_EQ("rank 3", ranks_text({3}));
  EXPECT_EQ("ranks 3, 5-9, 11, 12", ranks_text({12, 3, 5, 6, 9, 8, 7, 11}));
  std::vector<Rank> odd;
  for (Rank rank = 1; rank < 2000; rank += 2) odd.push_back(rank);
  EXPECT_EQ("1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31 and 984 more", list_of(odd));
  EXPECT_EQ("host a", hosts_text({"a", "a"}));
  EXPECT_EQ("hosts a, b", hosts_text({"a", "b", "a"}));
}

}  // namespace
}  // namespace hansa::bootstrap
