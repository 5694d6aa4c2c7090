// How many instructions a small call takes outside waiting: the rank is stepped through one by one. Steps are
// so slow that the other rank has always sent its part before this one looks; should it not have, the call
// takes more, and of several calls the one with the fewest counts.
#include <sys/uio.h>
#include <sys/user.h>

#include <algorithm>
#include <vector>

#include "tests/counted/traced_ranks.hpp"

extern "C" {
// Where a call begins and ends; the tracer knows their addresses, which a fork does not change.
__attribute__((noinline)) void counted_begin() { asm volatile("nop"); }
__attribute__((noinline)) void counted_end() { asm volatile("nop;nop"); }
__attribute__((noinline)) void counted_over() { asm volatile("nop;nop;nop"); }
// The linker's: where this program's code lies.
extern const char __executable_start, etext;
}

namespace hansa::test {
namespace {

// What they take, and a little more, so that nothing creeps in unseen.
constexpr int kCalls = 16, kMostOfAllreduce = 400, kMost = 450;

// Of this program, which is no part of the call.
bool is_own(std::uintptr_t address) {
  return address >= reinterpret_cast<std::uintptr_t>(&__executable_start) &&
         address < reinterpret_cast<std::uintptr_t>(&etext);
}

std::uintptr_t program_counter(pid_t pid) {
  user_regs_struct registers{};
  iovec all{&registers, sizeof registers};
  EXPECT_EQ(0, ptrace(PTRACE_GETREGSET, pid, 1 /* NT_PRSTATUS */, &all));
#if defined(__x86_64__)
  return registers.rip;
#else
  return registers.pc;
#endif
}

void call_again_and_again(const CountedCall& call, std::size_t count, int rank, ncclComm_t comm) {
  std::vector<float> in(2 * count, 1), out(2 * count);
  for (int i = 0; i < 50; ++i) must(call.make(in.data(), out.data(), count, comm));
  if (rank == 0) TracedRanks::trace_me();
  for (int i = 0; i < kCalls; ++i) {
    if (rank == 0) counted_begin();
    const ncclResult_t result = call.make(in.data(), out.data(), count, comm);
    if (rank == 0) counted_end();
    must(result);
  }
  if (rank == 0) counted_over();
}

// The fewest of all calls.
int instructions(const CountedCall& call, std::size_t count) {
  TracedRanks ranks([&](int rank, ncclComm_t comm) { call_again_and_again(call, count, rank, comm); });
  int fewest = -1, steps = -1;  // negative outside calls
  while (ranks.resume(PTRACE_SINGLESTEP)) {
    const std::uintptr_t at = program_counter(ranks.traced());
    if (at == reinterpret_cast<std::uintptr_t>(&counted_over)) break;
    if (at == reinterpret_cast<std::uintptr_t>(&counted_end) && steps >= 0) {
      fewest = fewest < 0 ? steps : std::min(fewest, steps);
      steps = -1;
    } else if (at == reinterpret_cast<std::uintptr_t>(&counted_begin)) {
      steps = 0;
    } else if (steps >= 0 && !is_own(at)) {
      ++steps;
    }
  }
  return fewest;
}

TEST(Instructions, OfAnAllreduceOfEightBytes) {
  const int count = instructions(counted_calls()[0], 2);
  std::printf("allreduce of 8 bytes, 2 ranks: %d instructions\n", count);
  EXPECT_GT(count, 100) << "nothing was counted";
  EXPECT_LE(count, kMostOfAllreduce);
}

// Nothing is worked out again in a warm call, whatever the collective.
TEST(Instructions, OfEverySmallCall) {
  for (const CountedCall& call : counted_calls()) {
    const int count = instructions(call, 2);
    std::printf("%s of 8 bytes each, 2 ranks: %d instructions\n", call.name.c_str(), count);
    EXPECT_GT(count, 100) << call.name;
    EXPECT_LE(count, kMost) << call.name;
  }
}

}  // namespace
}  // namespace hansa::test
