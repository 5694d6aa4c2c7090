#define _GNU_SOURCE
#include "board.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kMostTimes = 20000, kApart = 128 };

struct seat {
  _Alignas(kApart) atomic_uint arrived;
};

struct shared {
  struct seat seats[kMostRanks];
  _Alignas(kApart) atomic_uint released;
  _Alignas(kApart) atomic_uint failed;
  uint64_t agreed;
  struct board board;
  double times[][kMostTimes];
};

static struct shared* shared;
static unsigned epoch;
static int self, all, crowded;

struct board* board_join(const char* file, int rank, int ranks) {
  self = rank, all = ranks;
  cpu_set_t cores;
  sched_getaffinity(0, sizeof cores, &cores);
  crowded = ranks > CPU_COUNT(&cores);
  for (int core = 0, left = rank % CPU_COUNT(&cores); core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &cores) || left-- > 0) continue;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    break;
  }
  sched_setaffinity(0, sizeof cores, &cores);
  const size_t bytes = sizeof *shared + (size_t)ranks * sizeof shared->times[0];
  const int fd = open(file, O_RDWR);
  void* const at = fd < 0 || ftruncate(fd, (off_t)bytes) != 0
                       ? MAP_FAILED
                       : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (ranks > kMostRanks || at == MAP_FAILED) {
    fprintf(stderr, "rank %d: cannot map %s for %d ranks\n", rank, file, ranks);
    _exit(1);
  }
  close(fd);
  shared = at;
  return &shared->board;
}

void board_fail(const char* why) {
  fprintf(stderr, "rank %d: %s\n", self, why);
  atomic_store(&shared->failed, 1);
  _exit(1);
}

static void wait_for(atomic_uint* word) {
  while ((int)(atomic_load_explicit(word, memory_order_acquire) - epoch) < 0) {
    if (atomic_load_explicit(&shared->failed, memory_order_relaxed)) _exit(1);
    if (crowded) sched_yield();
  }
}

void board_barrier(enum barrier kind) {
  atomic_store_explicit(&shared->seats[self].arrived, ++epoch, memory_order_release);
  if (kind == kRootFirst && self != 0) return wait_for(&shared->released);
  for (int rank = 0; rank < all; ++rank) wait_for(&shared->seats[rank].arrived);
  if (kind == kRootFirst) atomic_store_explicit(&shared->released, epoch, memory_order_release);
}

uint64_t board_agree(uint64_t number) {
  if (self == 0) shared->agreed = number;
  board_barrier(kSymmetric);
  const uint64_t agreed = shared->agreed;
  board_barrier(kSymmetric);
  return agreed;
}

int board_most_times(void) { return kMostTimes; }

void board_slowest(double* times, int count) {
  memcpy(shared->times[self], times, (size_t)count * sizeof *times);
  board_barrier(kSymmetric);
  for (int rank = 1; self == 0 && rank < all; ++rank)
    for (int k = 0; k < count; ++k)
      if (shared->times[rank][k] > times[k]) times[k] = shared->times[rank][k];
  board_barrier(kSymmetric);
}
