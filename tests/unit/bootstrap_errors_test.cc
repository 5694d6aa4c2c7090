// What goes wrong while joining is told to every rank, in words that name who and what to do.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "bootstrap/identity.hpp"
#include "bootstrap/link.hpp"
#include "bootstrap/unique_id.hpp"
#include "hansa/bootstrap.hpp"

namespace hansa::bootstrap {
namespace {

using std::chrono::milliseconds;

SessionOptions on_host(int host, milliseconds timeout = milliseconds(20'000)) {
  SessionOptions options;
  options.interface = "127.0.0." + std::to_string(host + 1);
  options.host_id = "h" + std::to_string(host);
  options.timeout = timeout;
  return options;
}

UniqueId new_id(const SessionOptions& options = on_host(0)) {
  auto id = create_unique_id(options);
  EXPECT_TRUE(id.ok()) << id.status().c_str();
  return id.ok() ? id.value() : UniqueId{};
}

bool says(const Status& status, std::string_view words) {
  return status.message().find(words) != std::string_view::npos;
}

struct Comer {
  Rank rank, ranks;
  int host;
};

// Joins them all at once; what each was told, by position. Sessions live until all have returned.
std::vector<Status> join_all(const UniqueId& id, const std::vector<Comer>& comers, milliseconds timeout) {
  std::vector<Status> told(comers.size());
  std::vector<std::unique_ptr<Session>> sessions(comers.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < comers.size(); ++i) {
    threads.emplace_back([&, i] {
      auto session = join(id, comers[i].rank, comers[i].ranks, on_host(comers[i].host, timeout));
      told[i] = session.status();
      if (session.ok()) sessions[i] = std::move(session).value();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return told;
}

TEST(Joining, NamesTheMissingRanksOnEveryRank) {
  const auto told = join_all(new_id(), {{0, 8, 0}, {1, 8, 0}, {2, 8, 0}, {4, 8, 1}, {6, 8, 1}, {7, 8, 2}},
                             milliseconds(700));
  for (const Status& status : told) {
    EXPECT_EQ(Code::kRemote, status.code());
    EXPECT_TRUE(says(
        status, "2 of 8 ranks did not join within 0.7 s: ranks 3, 5 (joined: 6 ranks on hosts h0, h1, h2); "))
        << status.c_str();
    EXPECT_TRUE(says(status, "HANSA_INIT_TIMEOUT")) << status.c_str();
  }
}

TEST(Joining, TellsAllWhereOneBelievesInAnotherNumberOfRanks) {
  for (const Rank odd : {2, 3})
    for (const int host : {0, 1})
      for (const Status& status :
           join_all(new_id(), {{0, 3, 0}, {1, 3, 0}, {odd, 4, host}}, milliseconds(20'000))) {
        EXPECT_EQ(Code::kInvalidUsage, status.code()) << status.c_str();
        EXPECT_TRUE(says(status, "all ranks must pass the same number")) << status.c_str();
      }
}

TEST(Joining, TellsAllWhereARankComesTwice) {
  for (const int host : {0, 1}) {
    for (const Status& status :
         join_all(new_id(), {{0, 3, 0}, {1, 3, 0}, {1, 3, host}}, milliseconds(20'000))) {
      EXPECT_EQ(Code::kInvalidUsage, status.code()) << status.c_str();
      EXPECT_TRUE(says(status, "rank 1 joined twice: pid ")) << status.c_str();
    }
  }
}

// One rank cannot even listen: the others hear why, long before their time is over.
TEST(Joining, TellsAllWhereOneCannotBegin) {
  const UniqueId id = new_id();
  const auto before = std::chrono::steady_clock::now();
  Status lame, other;
  std::thread one([&] { other = join(id, 0, 2, on_host(0, milliseconds(60'000))).status(); });
  std::thread two([&] {
    SessionOptions options = on_host(1, milliseconds(60'000));
    options.interface = "nosuch7";
    lame = join(id, 1, 2, options).status();
  });
  one.join();
  two.join();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(20));
  EXPECT_EQ(Code::kInvalidArgument, lame.code()) << lame.c_str();
  EXPECT_EQ(Code::kRemote, other.code()) << other.c_str();
  EXPECT_TRUE(says(other, "rank 1 of 2 could not join") && says(other, "nosuch7")) << other.c_str();
}

// A leader that talks another protocol.
struct Foreigner : LinkOwner {
  Process self;
  void on_open(Link& link) override {
    NetworkAddress gate;
    gate.port = 1;
    link.send(Message::kRegister, Registration{self, {"foreign", gate}}.encode());
    link.send(Message::kEnter, Entry{kProtocol + 1, 2, self}.encode());
  }
  void on_message(Link&, Message, BytesView) override {}
  void on_closed(Link&, int) override {}
};

TEST(Joining, TellsAllWhereVersionsDiffer) {
  const UniqueId id = new_id();
  const Invitation invitation = parse_unique_id(id).value();
  control::EventLoop& loop = *control::EventLoop::of_this_process().value();
  auto foreigner = std::make_shared<Foreigner>();
  foreigner->self = {1, 77, 78, "foreign"};
  std::shared_ptr<Link> link;
  loop.run([&] {
    link = Link::dial(loop, connect_tcp(invitation.root).value(), true, invitation.key(),
                      door_of(invitation.key(), "root", ""), foreigner);
  });
  const auto told = join_all(id, {{0, 2, 0}}, milliseconds(20'000));
  EXPECT_EQ(Code::kInvalidUsage, told[0].code());
  EXPECT_TRUE(says(told[0], "rank 1 (host foreign, pid 77) speaks protocol " + std::to_string(kProtocol + 1)))
      << told[0].c_str();
  loop.run([&] { link.reset(); });
}

TEST(Joining, EndsSoonWhenCancelledAndTellsTheOthersWhy) {
  const UniqueId id = new_id();
  std::atomic<bool> cancelled{false};
  Status mine, other;
  std::thread one([&] {
    SessionOptions options = on_host(0);
    options.cancelled = &cancelled;
    mine = join(id, 0, 3, options).status();
  });
  std::thread two([&] { other = join(id, 1, 3, on_host(1)).status(); });
  std::this_thread::sleep_for(milliseconds(100));
  const auto before = std::chrono::steady_clock::now();
  cancelled = true;
  one.join();
  printf("cancelled after %.1f ms\n",
         std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - before).count());
  two.join();
  EXPECT_EQ(Code::kAborted, mine.code()) << mine.c_str();
  EXPECT_EQ(Code::kRemote, other.code());
  EXPECT_TRUE(says(other, "rank 0 (host h0, pid ") && says(other, "aborted")) << other.c_str();
}

TEST(Joining, EndsAtOnceWhenNobodyServesTheId) {
  int pipe_ends[2];
  ASSERT_EQ(0, pipe2(pipe_ends, O_CLOEXEC));
  const pid_t child = fork();
  if (child == 0) {
    const UniqueId id = new_id();
    _exit(write(pipe_ends[1], id.data(), id.size()) == static_cast<ssize_t>(id.size()) ? 0 : 1);
  }
  UniqueId id;
  ASSERT_EQ(static_cast<ssize_t>(id.size()), read(pipe_ends[0], id.data(), id.size()));
  ASSERT_EQ(child, waitpid(child, nullptr, 0));
  const Status status = join(id, 0, 2, on_host(0, milliseconds(1'000'000))).status();
  EXPECT_EQ(Code::kRemote, status.code());
  EXPECT_TRUE(says(status, "cannot reach the process that made the unique id at 127.0.0.1:"))
      << status.c_str();
  close(pipe_ends[0]);
  close(pipe_ends[1]);

  // A process is there, but it does not know this secret.
  Invitation other = parse_unique_id(new_id()).value();
  other.secret = random_key();
  const Status unknown = join(to_unique_id(other), 0, 2, on_host(0, milliseconds(1'000'000))).status();
  EXPECT_EQ(Code::kRemote, unknown.code());
  EXPECT_TRUE(says(unknown, "does not serve this unique id")) << unknown.c_str();
}

TEST(Joining, IsRefusedToOneTooMany) {
  const UniqueId id = new_id();
  std::unique_ptr<Session> first, second;
  std::thread one([&] { first = std::move(join(id, 0, 2, on_host(0))).value(); });
  second = std::move(join(id, 1, 2, on_host(1))).value();
  one.join();
  for (const int host : {0, 1, 2}) {
    const Status status = join(id, 1, 2, on_host(host)).status();
    EXPECT_EQ(Code::kInvalidUsage, status.code());
    EXPECT_TRUE(says(status, "all 2 ranks of this unique id have joined already")) << status.c_str();
  }
}

TEST(Joining, ChecksItsArguments) {
  const UniqueId id = new_id();
  EXPECT_EQ(Code::kInvalidArgument, join(id, 0, 0, on_host(0)).status().code());
  EXPECT_EQ(Code::kInvalidArgument, join(id, -1, 2, on_host(0)).status().code());
  EXPECT_EQ(Code::kInvalidArgument, join(id, 2, 2, on_host(0)).status().code());
  EXPECT_EQ(Code::kInvalidArgument, join(UniqueId{}, 0, 2, on_host(0)).status().code());
  SessionOptions options = on_host(0);
  options.interface = "nosuch7";
  const Status status = create_unique_id(options).status();
  EXPECT_EQ(Code::kInvalidArgument, status.code());
  EXPECT_TRUE(says(status, "'nosuch7'") && says(status, "lo")) << status.c_str();
  options.interface = "203.0.113.7";
  EXPECT_EQ(Code::kSystem, create_unique_id(options).status().code());
}

TEST(Ports, AreTakenFromTheRange) {
  // Ports that were free just now; another process may take one meanwhile, so any of several will do.
  NetworkAddress address = choose_address("127.0.0.9").value();
  std::uint16_t first;
  {
    const auto probe = listen_tcp(&address, 0, 0);
    ASSERT_TRUE(probe.ok());
    first = std::min<std::uint16_t>(address.port, 65'000);
  }
  SessionOptions options = on_host(8);
  options.port_first = first;
  options.port_last = static_cast<std::uint16_t>(first + 400);
  const auto port = parse_unique_id(new_id(options)).value().root.port;
  EXPECT_LE(options.port_first, port);
  EXPECT_GE(options.port_last, port);

  NetworkAddress taken = choose_address("127.0.0.8").value();
  const auto holder = listen_tcp(&taken, 0, 0);
  options.interface = "127.0.0.8";
  options.port_first = options.port_last = taken.port;
  const Status status = create_unique_id(options).status();
  EXPECT_EQ(Code::kSystem, status.code());
  EXPECT_TRUE(says(status, "HANSA_PORT_RANGE")) << status.c_str();
  options.port_last = static_cast<std::uint16_t>(taken.port - 1);
  EXPECT_EQ(Code::kInvalidArgument, create_unique_id(options).status().code());
}

TEST(Descriptors, ThatRunOutAreNamedWithTheirLimit) {
  new_id();  // the control thread runs, with its own descriptors
  rlimit before{};
  ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
  int refusals = 0;
  bool joined = false;
  for (rlim_t more = 0; more < 40 && !joined; ++more) {
    const int next = dup(0);
    close(next);
    rlimit low = before;
    low.rlim_cur = static_cast<rlim_t>(next) + more;
    setrlimit(RLIMIT_NOFILE, &low);
    Status status;
    const auto id = create_unique_id(on_host(20 + static_cast<int>(more)));
    if (id.ok()) {
      auto session = join(id.value(), 0, 1, on_host(20 + static_cast<int>(more)));
      joined = session.ok();
      status = session.status();
    } else {
      status = id.status();
    }
    setrlimit(RLIMIT_NOFILE, &before);
    if (joined) break;
    ++refusals;
    EXPECT_EQ(Code::kSystem, status.code()) << status.c_str();
    EXPECT_TRUE(says(status, "RLIMIT_NOFILE")) << status.c_str();
  }
  EXPECT_TRUE(joined);
  EXPECT_LT(3, refusals);
}

}  // namespace
}  // namespace hansa::bootstrap
