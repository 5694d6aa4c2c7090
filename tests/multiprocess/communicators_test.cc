// Communicators: several at once, several to a thread, grouped, non-blocking, with streams, come and gone.
//
//   communicators_test LAYOUT
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "hansa/hansa.h"
#include "trial.hpp"

namespace hansa::test {
namespace {

// A count in the hundreds keeps messages small, one above 100,000 takes several chunks.
Case reduction(std::size_t count) { return {Kind::kAllReduce, ncclFloat, Op::kSum, count, 0, false}; }

bool complain(const Place& place, const char* what) {
  std::fprintf(stderr, "rank %d of %d: %s\n", place.rank, place.ranks, what);
  return false;
}

bool queries(const Place& place) {
  const Communicator comm = join(place);
  int count = -1, rank = -1, version = 0;
  ncclResult_t state = ncclInternalError;
  require(ncclCommCount(comm.get(), &count), place, "ncclCommCount");
  require(ncclCommUserRank(comm.get(), &rank), place, "ncclCommUserRank");
  require(ncclCommGetAsyncError(comm.get(), &state), place, "ncclCommGetAsyncError");
  require(ncclGetVersion(&version), place, "ncclGetVersion");
  require(ncclCommFinalize(comm.get()), place, "ncclCommFinalize");
  return (count == place.ranks && rank == place.rank && state == ncclSuccess &&
          version == NCCL_VERSION_CODE) ||
         complain(place, "a query lies");
}

// Three communicators, of which the second numbers the ranks backwards, in one group.
bool grouped(const Place& place) {
  Place backwards = place;
  backwards.rank = place.ranks - 1 - place.rank;
  const Communicator a = join(place, 0), b = join(place, 1, backwards.rank), c = join(place, 2);
  bool right = true;
  for (const std::size_t count : {std::size_t{100}, std::size_t{100003}}) {
    Trial first(reduction(count), place), second(reduction(count + 1), backwards);
    Trial third({Kind::kAllGather, ncclInt64, Op::kMove, count, 0, false}, place);
    Trial fourth({Kind::kAllToAll, ncclUint8, Op::kMove, count, 0, false}, backwards);
    require(ncclGroupStart(), place, "ncclGroupStart");
    require(first.start(ncclSum, a.get()), place, "first");
    require(second.start(ncclSum, b.get()), place, "second");
    require(third.start(ncclSum, c.get()), place, "third");
    require(fourth.start(ncclSum, b.get()), place, "fourth");
    require(ncclGroupEnd(), place, "ncclGroupEnd");
    right = first.judge() && second.judge() && third.judge() && fourth.judge() && right;
  }
  return right;
}

// The first thread of each process is all ranks of the process, one after the other in one group.
bool one_thread(const Place& place) {
  if (place.thread != 0) return true;
  std::vector<Place> places;
  std::vector<ncclComm_t> handles(static_cast<std::size_t>(place.threads));
  std::vector<Communicator> comms;
  require(ncclGroupStart(), place, "ncclGroupStart");
  for (int i = 0; i < place.threads; ++i) {
    places.push_back(place);
    places.back().rank = place.rank + i;
    require(
        ncclCommInitRank(&handles[static_cast<std::size_t>(i)], place.ranks, place.ids[0], place.rank + i),
        place, "ncclCommInitRank");
  }
  require(ncclGroupEnd(), place, "ncclGroupEnd");
  for (const ncclComm_t handle : handles) comms.emplace_back(handle);
  bool right = true;
  for (const std::size_t count : {std::size_t{100}, std::size_t{100003}}) {
    std::vector<Trial> trials;
    for (const Place& each : places) trials.emplace_back(reduction(count), each);
    require(ncclGroupStart(), place, "ncclGroupStart");
    for (std::size_t i = 0; i < trials.size(); ++i)
      require(trials[i].start(ncclSum, handles[i]), places[i], "ncclAllReduce");
    require(ncclGroupEnd(), place, "ncclGroupEnd");
    for (const Trial& trial : trials) right = trial.judge() && right;
  }
  // Destroying waits for the other ranks at most as long as they need to come, so the order within a thread
  // is free.
  return right;
}

// All ranks by one call, where one process has them all.
bool all_at_once(const Place& place) {
  if (place.threads != place.ranks || place.thread != 0) return true;
  std::vector<ncclComm_t> handles(static_cast<std::size_t>(place.ranks));
  require(ncclCommInitAll(handles.data(), place.ranks, nullptr), place, "ncclCommInitAll");
  std::vector<Trial> trials;
  for (int rank = 0; rank < place.ranks; ++rank)
    trials.emplace_back(reduction(1009), Place{.rank = rank, .ranks = place.ranks});
  require(ncclGroupStart(), place, "ncclGroupStart");
  for (std::size_t i = 0; i < trials.size(); ++i)
    require(trials[i].start(ncclSum, handles[i]), place, "ncclAllReduce");
  require(ncclGroupEnd(), place, "ncclGroupEnd");
  bool right = true;
  for (const Trial& trial : trials) right = trial.judge() && right;
  for (const ncclComm_t handle : handles) require(ncclCommDestroy(handle), place, "ncclCommDestroy");
  return right;
}

// Two communicators on two streams, given work in opposite order by odd and even ranks.
bool streams(const Place& place) {
  const Communicator comms[] = {join(place, 0), join(place, 1)};
  hansaStream_t lines[2] = {};
  for (hansaStream_t& line : lines) require(hansaStreamCreate(&line), place, "hansaStreamCreate");
  std::vector<Trial> trials;
  std::atomic<int> calls{0};
  for (int i = 0; i < 8; ++i) trials.emplace_back(reduction(i % 4 < 2 ? 101 : 100003), place);
  for (int round = 0; round < 4; ++round)
    for (int k = 0; k < 2; ++k) {
      const int which = (place.rank + k) % 2;
      require(trials[static_cast<std::size_t>(2 * round + which)].start(ncclSum, comms[which].get(),
                                                                        hansaStreamAsCuda(lines[which])),
              place, "ncclAllReduce");
    }
  for (const hansaStream_t line : lines)
    require(hansaStreamAddCallback(
                line, [](void* count) { ++*static_cast<std::atomic<int>*>(count); }, &calls),
            place, "hansaStreamAddCallback");
  for (const hansaStream_t line : lines)
    require(hansaStreamSynchronize(line), place, "hansaStreamSynchronize");
  bool right = calls == 2 || complain(place, "callbacks were not called once each");
  for (const hansaStream_t line : lines) {
    right =
        (hansaStreamQuery(line) == ncclSuccess || complain(place, "a synchronised stream is not empty")) &&
        right;
    require(hansaStreamDestroy(line), place, "hansaStreamDestroy");
  }
  for (const Trial& trial : trials) right = trial.judge() && right;
  return right;
}

// A barrier lets nobody through before the last has come.
bool barrier(const Place& place) {
  const Communicator comm = join(place);
  bool right = true;
  for (int i = 0; i < 3; ++i) {
    if (place.rank == i % place.ranks) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ++place.counters[i];
    require(hansaBarrier(comm.get(), nullptr), place, "hansaBarrier");
    right =
        (place.counters[i] == place.ranks || complain(place, "the barrier let a rank through too early")) &&
        right;
  }
  return right;
}

bool settle(const Place& place, ncclComm_t comm) {
  ncclResult_t state = ncclInProgress;
  while (state == ncclInProgress) {
    require(ncclCommGetAsyncError(comm, &state), place, "ncclCommGetAsyncError");
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return state == ncclSuccess || complain(place, ncclGetLastError(comm));
}

bool non_blocking(const Place& place) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t handle = nullptr;
  const auto tolerate = [&](ncclResult_t result, const char* what) {
    require(result == ncclInProgress ? ncclSuccess : result, place, what);
  };
  tolerate(ncclCommInitRankConfig(&handle, place.ranks, place.ids[0], place.rank, &config),
           "ncclCommInitRankConfig");
  if (!settle(place, handle)) return false;
  bool right = true;
  for (const std::size_t count : {std::size_t{101}, std::size_t{100003}}) {
    Trial trial(reduction(count), place);
    tolerate(trial.start(ncclSum, handle), "ncclAllReduce");
    right = settle(place, handle) && trial.judge() && right;
  }
  tolerate(ncclCommFinalize(handle), "ncclCommFinalize");
  right = settle(place, handle) && right;
  require(ncclCommDestroy(handle), place, "ncclCommDestroy");
  return right;
}

// Buffers of the library's own on even ranks, others on odd ones.
bool own_memory(const Place& place) {
  const Communicator comm = join(place);
  constexpr std::size_t kCount = 300007;
  std::vector<float> plain(kCount);
  void* own = nullptr;
  require(ncclMemAlloc(&own, kCount * sizeof(float)), place, "ncclMemAlloc");
  bool right = true;
  for (const bool mixed : {false, true}) {
    float* buffer = mixed && place.rank % 2 != 0 ? plain.data() : static_cast<float*>(own);
    for (std::size_t i = 0; i < kCount; ++i)
      buffer[i] = static_cast<float>(i % 1000) + static_cast<float>(place.rank);
    require(ncclAllReduce(buffer, buffer, kCount, ncclFloat, ncclSum, comm.get(), nullptr), place,
            "ncclAllReduce");
    for (std::size_t i = 0; i < kCount && right; ++i)
      right = buffer[i] == static_cast<float>(static_cast<int>(i % 1000) * place.ranks +
                                              place.ranks * (place.ranks - 1) / 2) ||
              complain(place, "wrong sum in memory of the library's own");
  }
  require(ncclMemFree(own), place, "ncclMemFree");
  return right;
}

// An operator may go as soon as the call that uses it has returned.
bool short_lived_operator(const Place& place) {
  const Communicator comm = join(place);
  hansaStream_t line = nullptr;
  require(hansaStreamCreate(&line), place, "hansaStreamCreate");
  Trial trial({Kind::kAllReduce, ncclBfloat16, Op::kMulSum, 1009, 0, false}, place);
  {
    const Operators operators(place, comm.get());
    require(trial.start(operators.handle(Op::kMulSum, ncclBfloat16), comm.get(), hansaStreamAsCuda(line)),
            place, "ncclAllReduce");
  }
  require(hansaStreamDestroy(line), place, "hansaStreamDestroy");
  return trial.judge();
}

// All calls of one rank in a communicator that was split off, which it leaves at the end.
bool works(ncclComm_t child, const Place& place) {
  const Communicator owned(child);
  int rank = -1, count = -1;
  require(ncclCommUserRank(child, &rank), place, "ncclCommUserRank");
  require(ncclCommCount(child, &count), place, "ncclCommCount");
  if (rank != place.rank || count != place.ranks) return complain(place, "another place than expected");
  Trial sum(reduction(1003), place), all({Kind::kAllGather, ncclInt64, Op::kMove, 77, 0, false}, place);
  require(sum.start(ncclSum, child), place, "ncclAllReduce");
  require(all.start(ncclSum, child), place, "ncclAllGather");
  return sum.judge() && all.judge();
}

// The odd and the even ranks, each backwards; all but the last rank; and both at once in a group.
bool split(const Place& place) {
  const Communicator whole = join(place);
  const int fellows = (place.ranks + 1 - place.rank % 2) / 2;
  Place half = place, most = place;
  half.ranks = fellows;
  half.rank = fellows - 1 - place.rank / 2;
  most.ranks = place.ranks - 1;
  const bool last = place.rank == place.ranks - 1;
  bool right = true;
  for (const bool grouped : {false, true}) {
    ncclComm_t a = nullptr, b = nullptr;
    if (grouped) require(ncclGroupStart(), place, "ncclGroupStart");
    require(ncclCommSplit(whole.get(), place.rank % 2, -place.rank, &a, nullptr), place, "ncclCommSplit");
    require(ncclCommSplit(whole.get(), last ? NCCL_SPLIT_NOCOLOR : 7, 0, &b, nullptr), place,
            "ncclCommSplit");
    if (grouped) require(ncclGroupEnd(), place, "ncclGroupEnd");
    if (a == nullptr || (b == nullptr) != last) return complain(place, "a color without a communicator");
    right = works(a, half) && (last || works(b, most)) && right;
  }
  // The parent is as it was.
  Trial again(reduction(100003), place);
  require(again.start(ncclSum, whole.get()), place, "ncclAllReduce");
  return again.judge() && right;
}

struct Test {
  const char* name;
  bool (*run)(const Place&);
};
constexpr Test kTests[] = {
    {"queries", queries},
    {"grouped", grouped},
    {"one thread", one_thread},
    {"all at once", all_at_once},
    {"streams", streams},
    {"barrier", barrier},
    {"non-blocking", non_blocking},
    {"own memory", own_memory},
    {"short-lived operator", short_lived_operator},
    {"split", split},
};

}  // namespace
}  // namespace hansa::test

// Each test is a job of its own: ids serve once.
int main(int argc, char** argv) {
  using namespace hansa::test;
  int result = 0;
  for (const Test& test : kTests) {
    const auto start = std::chrono::steady_clock::now();
    const int status = run_main(argc, argv, [&](const Place& place) { return test.run(place) ? 0 : 1; });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("%-22s %s %.2f s\n", test.name, status == 0 ? "passed" : "FAILED", took.count());
    if (status != 0) result = status;
  }
  return result;
}
