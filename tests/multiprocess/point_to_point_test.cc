// Sends and receives: alone, in groups, to everybody, to oneself, of nothing and of much.
//
//   point_to_point_test LAYOUT
#include <cstdio>
#include <cstring>
#include <vector>

#include "ranks.hpp"

namespace hansa::test {
namespace {

using Bytes = std::vector<unsigned char>;

constexpr std::size_t kSizes[] = {0, 1, 7, 8, 64, 1009, 65537, (std::size_t{1} << 20) + 3};

// Message `number` from one rank to another: every byte says which it is.
Bytes message(int from, int to, int number, std::size_t bytes) {
  Bytes result(bytes);
  for (std::size_t i = 0; i < bytes; ++i)
    result[i] =
        static_cast<unsigned char>(i * 7 + i / 251 + static_cast<std::size_t>(from * 31 + to * 5 + number));
  return result;
}

class Suite {
 public:
  explicit Suite(const Place& place) : place_(place), comm_(join(place)) {}
  bool passed() const { return wrong_ == 0; }

  // Everybody sends to the next and receives from the one before; with one rank both are itself.
  void ring() {
    const int next = (place_.rank + 1) % place_.ranks,
              before = (place_.rank + place_.ranks - 1) % place_.ranks;
    for (const std::size_t bytes : kSizes) {
      const Bytes out = message(place_.rank, next, 0, bytes);
      Bytes in(bytes + 1);
      begin();
      send(out, next);
      receive(in, bytes, before);
      end();
      judge("ring", in, message(before, place_.rank, 0, bytes));
    }
  }

  // The receives stand before the sends, which only a group may do.
  void exchange() {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{5}, std::size_t{4099}, std::size_t{100003}}) {
      const auto size = [&](int from, int to) {
        return (from + 2 * to) % 3 == 0 ? 0 : bytes + static_cast<std::size_t>(from);
      };
      std::vector<Bytes> out, in;
      for (int peer = 0; peer < place_.ranks; ++peer) {
        out.push_back(message(place_.rank, peer, 1, size(place_.rank, peer)));
        in.emplace_back(size(peer, place_.rank) + 1);
      }
      begin();
      for (int peer = place_.ranks; peer-- > 0;) receive(in[at(peer)], size(peer, place_.rank), peer);
      begin();  // groups nest
      for (int peer = 0; peer < place_.ranks; ++peer) send(out[at(peer)], peer);
      end();
      end();
      for (int peer = 0; peer < place_.ranks; ++peer)
        judge("exchange", in[at(peer)], message(peer, place_.rank, 1, size(peer, place_.rank)));
    }
  }

  // Without groups: what one sends the other already receives.
  void alone() {
    const int peer = place_.rank ^ 1;
    if (peer >= place_.ranks) return;
    for (const std::size_t bytes : kSizes) {
      const Bytes out = message(place_.rank, peer, 2, bytes);
      Bytes in(bytes + 1);
      if (place_.rank < peer) send(out, peer);
      receive(in, bytes, peer);
      if (place_.rank > peer) send(out, peer);
      judge("alone", in, message(peer, place_.rank, 2, bytes));
    }
  }

  // Several messages between the same two keep their order, whatever their sizes.
  void order() {
    const int next = (place_.rank + 1) % place_.ranks,
              before = (place_.rank + place_.ranks - 1) % place_.ranks;
    constexpr std::size_t kRow[] = {100003, 1, 0, 65536, 3};
    std::vector<Bytes> out, in;
    for (const std::size_t bytes : kRow) {
      out.push_back(message(place_.rank, next, static_cast<int>(out.size()), bytes));
      in.emplace_back(bytes + 1);
    }
    begin();
    for (const Bytes& bytes : out) send(bytes, next);
    for (std::size_t i = 0; i < in.size(); ++i) receive(in[i], kRow[i], before);
    end();
    for (std::size_t i = 0; i < in.size(); ++i)
      judge("order", in[i], message(before, place_.rank, static_cast<int>(i), kRow[i]));
  }

 private:
  static std::size_t at(int rank) { return static_cast<std::size_t>(rank); }
  void begin() { require(ncclGroupStart(), place_, "ncclGroupStart"); }
  void end() { require(ncclGroupEnd(), place_, "ncclGroupEnd"); }
  void send(const Bytes& bytes, int peer) {
    require(ncclSend(bytes.data(), bytes.size(), ncclUint8, peer, comm_.get(), nullptr), place_, "ncclSend");
  }
  // `into` has one byte more, which must not change.
  void receive(Bytes& into, std::size_t bytes, int peer) {
    into.back() = 0xa5;
    require(ncclRecv(into.data(), bytes, ncclUint8, peer, comm_.get(), nullptr), place_, "ncclRecv");
  }

  void judge(const char* what, const Bytes& got, const Bytes& wanted) {
    if (got.back() == 0xa5 && std::equal(wanted.begin(), wanted.end(), got.begin())) return;
    ++wrong_;
    std::fprintf(stderr, "rank %d of %d: %s of %zu bytes: wrong data\n", place_.rank, place_.ranks, what,
                 wanted.size());
  }

  Place place_;
  Communicator comm_;
  int wrong_ = 0;
};

int run_rank(const Place& place) {
  Suite suite(place);
  suite.ring();
  suite.exchange();
  suite.alone();
  suite.order();
  return suite.passed() ? 0 : 1;
}

}  // namespace
}  // namespace hansa::test

int main(int argc, char** argv) { return hansa::test::run_main(argc, argv, hansa::test::run_rank); }
