// Configurations of any version, as bytes; and what reads them.
#include <array>
#include <cstddef>

#include "nccl_ranks.hpp"

namespace hansa::test {
namespace {

// ncclConfig_t as of 2.32.3, in words.
struct Bytes {
  alignas(8) std::array<std::byte, 120> bytes{};
  template <class T>
  void put(std::size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }
  ncclConfig_t* config() { return reinterpret_cast<ncclConfig_t*>(bytes.data()); }
};

constexpr int kUndefined = NCCL_CONFIG_UNDEF_INT;
constexpr std::size_t kBlocking = 16, kNetName = 32, kSplitShare = 40, kTrafficClass = 44, kCommName = 48,
                      kNvlsCtas = 68, kMaxP2pPeers = 88, kGraphStreamOrdering = 92, kNvlsHostMode = 112;

// As that version's initializer makes it.
Bytes made_by(unsigned version, std::size_t size) {
  Bytes config;
  for (std::size_t at = kBlocking; at < 120; at += 4) config.put(at, kUndefined);
  config.put<const char*>(kNetName, nullptr);
  config.put<const char*>(kCommName, nullptr);
  config.put(0, size);
  config.put(8, 0xcafebeefu);
  config.put(12, version);
  return config;
}

ncclResult_t init(Bytes& config, ncclComm_t* comm) {
  ncclUniqueId id;
  EXPECT_DONE(ncclGetUniqueId(&id));
  return ncclCommInitRankConfig(comm, 1, id, 0, config.config());
}

void expect(ncclResult_t wanted, Bytes config, const char* what) {
  ncclComm_t comm = nullptr;
  EXPECT_EQ(wanted, init(config, &comm)) << what << ": " << last_error();
  EXPECT_EQ(wanted == ncclSuccess || wanted == ncclInProgress, comm != nullptr) << what;
  if (comm != nullptr) {
    EXPECT_EQ(ncclSuccess, settled(comm));
  }
  EXPECT_DONE(ncclCommDestroy(comm));
}

TEST(Config, OfEveryVersion) {
  constexpr struct {
    unsigned version;
    std::size_t size;
  } kVersions[] = {{21400, 24}, {21700, 40}, {21805, 48}, {22606, 48},  {22707, 72},  {22809, 80},
                   {22902, 88}, {23003, 96}, {23007, 96}, {23102, 112}, {23203, 120}, {29999, 120}};
  for (const auto& [version, size] : kVersions) {
    Bytes config = made_by(version, size);
    expect(ncclSuccess, config, "as made");
    config.put(kBlocking, 0);
    expect(ncclInProgress, config, "non-blocking");
    config.put(kBlocking, 2);
    expect(ncclInvalidArgument, config, "blocking = 2");
  }
  // From a later one than any that is known.
  expect(ncclSuccess, made_by(24000, 4096), "later");
}

// Fields were put where earlier versions had padding, whose content nobody has set.
TEST(Config, LooksAtTheVersionToo) {
  Bytes config = made_by(21805, 48);
  config.put(kTrafficClass, -7);
  expect(ncclSuccess, config, "padding of 2.18");
  config.put(12, 22606u);
  expect(ncclInvalidArgument, config, "trafficClass of 2.26");
  config = made_by(23003, 96);
  config.put(kGraphStreamOrdering, 77);
  expect(ncclSuccess, config, "padding of 2.30.3");
  config.put(12, 23007u);
  expect(ncclInvalidArgument, config, "graphStreamOrdering of 2.30.7");
}

// And at the size: beyond it is other memory.
TEST(Config, LooksAtTheSize) {
  Bytes config = made_by(23203, 72);
  config.put(kMaxP2pPeers, -1);
  config.put(kNvlsHostMode, -1);
  expect(ncclSuccess, config, "short");
  config.put(kNvlsCtas, 0);
  expect(ncclInvalidArgument, config, "nvlsCTAs = 0");
  config = made_by(22707, 15);
  expect(ncclInvalidArgument, config, "no room for the version");
}

TEST(Config, RefusesWhatNoInitializerMade) {
  Bytes config = made_by(22707, 72);
  config.put(8, 0u);
  expect(ncclInvalidArgument, config, "no magic");
  config = made_by(22707, 72);
  config.put(kSplitShare, 2);
  expect(ncclInvalidArgument, config, "splitShare = 2");
  config = made_by(22707, 72);
  config.put(24, 8);  // minCTAs
  config.put(28, 4);  // maxCTAs
  expect(ncclInvalidArgument, config, "minCTAs above maxCTAs");
  config = made_by(22707, 72);
  config.put<const char*>(kNetName, "carrier pigeons");
  expect(ncclInvalidUsage, config, "no such network");
  config.put<const char*>(kNetName, "AWS Libfabric");
  config.put<const char*>(kCommName, "tensor parallel");
  expect(ncclSuccess, config, "names");
}

TEST(CallConfig, IsJudgedAndIgnored) {
  Ranks ranks(2);
  ranks.each([](int rank, ncclComm_t comm) {
    ncclCollConfig_t config = NCCL_COLLCONFIG_INITIALIZER;
    int value = rank + 1, many[2] = {}, pair[2] = {rank, rank + 10};
    EXPECT_DONE(ncclAllReduceConfig(&value, &value, 1, ncclInt, ncclSum, comm, nullptr, &config));
    EXPECT_EQ(3, value);
    EXPECT_DONE(ncclAllReduceConfig(&value, &value, 1, ncclInt, ncclSum, comm, nullptr, nullptr));
    EXPECT_EQ(6, value);
    EXPECT_DONE(ncclReduceConfig(&value, &value, 1, ncclInt, ncclMax, 1, comm, nullptr, &config));
    EXPECT_DONE(ncclBroadcastConfig(&value, &value, 1, ncclInt, 1, comm, nullptr, &config));
    EXPECT_EQ(6, value);
    EXPECT_DONE(ncclReduceScatterConfig(pair, &value, 1, ncclInt, ncclSum, comm, nullptr, &config));
    EXPECT_EQ(rank == 0 ? 1 : 21, value);
    EXPECT_DONE(ncclAllGatherConfig(&value, many, 1, ncclInt, comm, nullptr, &config));
    EXPECT_EQ(1, many[0]);
    EXPECT_EQ(21, many[1]);
    EXPECT_DONE(ncclAlltoAllConfig(pair, many, 1, ncclInt, comm, nullptr, &config));
    EXPECT_EQ(rank == 0 ? 0 : 10, many[0]);
    EXPECT_DONE(ncclGatherConfig(&value, many, 1, ncclInt, 0, comm, nullptr, &config));
    EXPECT_DONE(ncclScatterConfig(many, &value, 1, ncclInt, 0, comm, nullptr, &config));
    EXPECT_EQ(rank == 0 ? 1 : 21, value);
    config.algSelection = "ring";
    EXPECT_REFUSED(ncclInvalidUsage,
                   ncclAllReduceConfig(&value, &value, 1, ncclInt, ncclSum, comm, nullptr, &config));
    config.forceAlgSelection = 0;
    EXPECT_DONE(ncclAllReduceConfig(&value, &value, 1, ncclInt, ncclSum, comm, nullptr, &config));
    config.magic = 0;
    EXPECT_REFUSED(ncclInvalidArgument,
                   ncclAllReduceConfig(&value, &value, 1, ncclInt, ncclSum, comm, nullptr, &config));
  });
}

TEST(Refused, SaysSo) {
  Ranks ranks(2);
  EXPECT_REFUSED(ncclInvalidUsage, ncclCommSuspend(ranks[0], NCCL_SUSPEND_MEM));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommSuspend(ranks[0], 0));
  EXPECT_REFUSED(ncclInvalidUsage, ncclCommResume(ranks[0]));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommResume(nullptr));
  ncclEncryptionConfig_t encryption = NCCL_ENCRYPTION_CONFIG_INITIALIZER;
  EXPECT_DONE(ncclSetEncryption(&encryption));
  encryption.mode = NCCL_ENCRYPTION_MODE_PSK;
  EXPECT_REFUSED(ncclInvalidUsage, ncclSetEncryption(&encryption));
  encryption.magic = 1;
  EXPECT_REFUSED(ncclInvalidArgument, ncclSetEncryption(&encryption));
  EXPECT_REFUSED(ncclInvalidArgument, ncclSetEncryption(nullptr));
}

TEST(MemStats, TellWhatIsThere) {
  Ranks ranks(2);
  std::uint64_t total = 0, persistent = 1, other = 1;
  EXPECT_DONE(ncclCommMemStats(ranks[0], ncclStatGpuMemTotal, &total));
  EXPECT_DONE(ncclCommMemStats(ranks[0], ncclStatGpuMemPersist, &persistent));
  EXPECT_GT(total, 0u);
  EXPECT_EQ(total, persistent);
  EXPECT_DONE(ncclCommMemStats(ranks[0], ncclStatGpuMemSuspend, &other));
  EXPECT_EQ(0u, other);
  EXPECT_DONE(ncclCommMemStats(ranks[0], ncclStatGpuMemSuspended, &other));
  EXPECT_EQ(0u, other);
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommMemStats(ranks[0], static_cast<ncclCommMemStat_t>(9), &total));
  EXPECT_REFUSED(ncclInvalidArgument, ncclCommMemStats(ranks[0], ncclStatGpuMemTotal, nullptr));
}

}  // namespace
}  // namespace hansa::test
