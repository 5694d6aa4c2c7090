// A soak: random operations on random communicators for a given time, every result compared with what one
// rank works out alone. All is thrown from one seed, by every rank alike.
//
//   soak [--seconds N] [--seed S] [--ranks R] [--threads T] [--lanes L] [--lane I] [--epoch E]
#include <getopt.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "board.hpp"
#include "player.hpp"

namespace hansa::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kHeartbeat = std::chrono::seconds(10);
#ifdef HANSA_SANITIZED
constexpr auto kStall = std::chrono::seconds(240);
#else
constexpr auto kStall = std::chrono::seconds(60);
#endif

struct Sum {
  std::uint64_t operations = 0, bytes = 0, communicators = 0;
};

template <class Use>
void for_each_tally(const Run& run, Board& board, Use use) {
  for (int lane = 0; lane < run.lanes; ++lane)
    for (int rank = 0; rank < run.ranks; ++rank) use(lane, rank, board.lanes[lane].tallies[rank]);
}

Sum sum_of(const Run& run, Board& board) {
  Sum sum;
  for_each_tally(run, board, [&](int, int, const Tally& tally) {
    sum.operations += tally.operations.load();
    sum.bytes += tally.bytes.load();
    sum.communicators += tally.communicators.load();
  });
  return sum;
}

// Of one process, which has some ranks of every lane.
void play(const Run& run, Board& board, int first_rank) {
  std::vector<std::thread> threads;
  for (int lane = 0; lane < run.lanes; ++lane) {
    if (run.only_lane >= 0 && lane != run.only_lane) continue;
    for (int rank = first_rank; rank < std::min(first_rank + run.threads, run.ranks); ++rank)
      threads.emplace_back([&run, &board, lane, rank] { Player({run, board, lane, rank}).play(); });
  }
  for (std::thread& thread : threads) thread.join();
}

void print_stacks(const std::vector<pid_t>& children) {
  for (const pid_t child : children) {
    const std::string command =
        "gdb -p " + std::to_string(child) + " -batch -nx -ex 'thread apply all bt 24' 2>&1";
    std::printf("==== stacks of process %d\n", child);
    std::fflush(nullptr);
    if (std::system(command.c_str()) != 0) std::printf("gdb failed\n");
  }
}

// Kills all that are still there.
void end(std::vector<pid_t>& children) {
  for (const pid_t child : children) kill(child, SIGKILL);
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  children.clear();
}

// Waits for all processes; ends them all when one fails or nothing moves any more.
bool watch(const Run& run, Board& board, std::vector<pid_t> children) {
  const auto start = Clock::now();
  auto said = start, moved = start;
  std::uint64_t seen = 0;
  while (!children.empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto now = Clock::now();
    if (now - start > std::chrono::duration<double>(run.seconds)) board.stop.store(true);
    int status = 0;
    if (const pid_t child = waitpid(-1, &status, WNOHANG); child > 0) {
      std::erase(children, child);
      if (status == 0) continue;
      if (WIFSIGNALED(status)) std::printf("a process died of %s\n", strsignal(WTERMSIG(status)));
      end(children);
      return false;
    }
    const Sum sum = sum_of(run, board);
    if (std::uint64_t steps = sum.operations + sum.communicators; steps != seen) {
      seen = steps;
      moved = now;
    }
    if (now - moved > kStall) {
      std::printf("nothing moves:\n");
      for_each_tally(run, board, [](int lane, int rank, const Tally& tally) {
        std::printf("  lane %d rank %d epoch %llu step %llu: %s\n", lane, rank,
                    static_cast<unsigned long long>(tally.epoch.load()),
                    static_cast<unsigned long long>(tally.step.load()), tally.doing.load());
      });
      print_stacks(children);
      end(children);
      return false;
    }
    if (now - said < kHeartbeat) continue;
    said = now;
    std::printf(
        "%.0f s: %llu operations, %llu communicators\n", std::chrono::duration<double>(now - start).count(),
        static_cast<unsigned long long>(sum.operations), static_cast<unsigned long long>(sum.communicators));
    std::fflush(stdout);
  }
  return true;
}

bool soak(const Run& run) {
  void* memory = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("mmap");
    return false;
  }
  Board& board = *new (memory) Board;
  std::printf("soak --seed %llu --ranks %d --threads %d --lanes %d, %g s\n",
              static_cast<unsigned long long>(run.seed), run.ranks, run.threads, run.lanes, run.seconds);
  std::fflush(nullptr);
  std::vector<pid_t> children;
  for (int rank = 0; rank < run.ranks; rank += run.threads) {
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      play(run, board, rank);
      std::exit(0);  // not _exit: sanitizers report leaks from there
    }
    if (child < 0) {
      std::perror("fork");
      end(children);
      return false;
    }
    children.push_back(child);
  }
  const bool well = watch(run, board, children);
  const Sum sum = sum_of(run, board);
  std::printf("operations %llu\nbytes %llu\ncommunicators %llu, failures %d\n",
              static_cast<unsigned long long>(sum.operations), static_cast<unsigned long long>(sum.bytes),
              static_cast<unsigned long long>(sum.communicators), well ? 0 : 1);
  munmap(memory, sizeof(Board));
  return well;
}

bool read_options(int argc, char** argv, Run& run) {
  constexpr option kOptions[] = {
      {"seconds", required_argument, nullptr, 'n'}, {"seed", required_argument, nullptr, 's'},
      {"ranks", required_argument, nullptr, 'r'},   {"threads", required_argument, nullptr, 't'},
      {"lanes", required_argument, nullptr, 'l'},   {"lane", required_argument, nullptr, 'i'},
      {"epoch", required_argument, nullptr, 'e'},   {}};
  for (int option; (option = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    if (option == 'n')
      run.seconds = std::atof(optarg);
    else if (option == 's')
      run.seed = std::strtoull(optarg, nullptr, 10);
    else if (option == 'r')
      run.ranks = std::atoi(optarg);
    else if (option == 't')
      run.threads = std::atoi(optarg);
    else if (option == 'l')
      run.lanes = std::atoi(optarg);
    else if (option == 'i')
      run.only_lane = std::atoi(optarg);
    else if (option == 'e')
      run.first_epoch = std::strtoull(optarg, nullptr, 10);
    else
      return false;
  }
  return optind == argc && run.seconds > 0 && run.ranks >= 1 && run.ranks <= kMostRanks && run.threads >= 1 &&
         run.lanes >= 1 && run.lanes <= kMostLanes && run.only_lane < run.lanes;
}

}  // namespace
}  // namespace hansa::test

int main(int argc, char** argv) {
  hansa::test::Run run;
  if (!hansa::test::read_options(argc, argv, run)) {
    std::fprintf(stderr,
                 "usage: %s [--seconds N] [--seed S] [--ranks R, at most %d] [--threads RANKS OF A PROCESS]\n"
                 "       [--lanes AT ONCE, at most %d] [--lane ONLY THIS] [--epoch FIRST]\n",
                 argv[0], hansa::test::kMostRanks, hansa::test::kMostLanes);
    return 2;
  }
  return hansa::test::soak(run) ? 0 : 1;
}
