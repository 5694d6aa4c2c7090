#define _GNU_SOURCE
#include "bare.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "board.h"

enum { kPid, kInFd, kInOffset, kOutFd, kOutOffset };

static int self, all;
static size_t bytes;
static float *ins[kMostRanks], *outs[kMostRanks];
volatile uint64_t bare_seen; /* so that reading is not optimised away */

/* This process's descriptor of the file mapped at `address`, and where in it that is; -1 if there is none. */
static int file_behind(const void* address, uint64_t* offset) {
  FILE* const maps = fopen("/proc/self/maps", "r");
  unsigned long first, last, inode = 0;
  char line[512];
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
    if (sscanf(line, "%lx-%lx %*s %lx %*s %lu", &first, &last, offset, &inode) == 4 &&
        (uintptr_t)address >= first && (uintptr_t)address < last)
      break;
    else
      inode = 0;
  if (maps != NULL) fclose(maps);
  *offset += (uintptr_t)address - first;
  DIR* const files = inode != 0 ? opendir("/proc/self/fd") : NULL;
  int found = -1;
  for (struct dirent* entry; files != NULL && found < 0 && (entry = readdir(files)) != NULL;) {
    struct stat about;
    const int fd = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fstat(fd, &about) == 0 && about.st_ino == inode) found = fd;
  }
  if (files != NULL) closedir(files);
  return found;
}

void bare_show(const struct peer* peer, float* in, float* out, size_t size, struct board* board) {
  self = peer->rank, all = peer->ranks;
  bytes = size;
  uint64_t* const words = board->words[self];
  words[kPid] = (uint64_t)getpid();
  words[kInFd] = (uint64_t)file_behind(in, &words[kInOffset]);
  words[kOutFd] = (uint64_t)file_behind(out, &words[kOutOffset]);
  ins[self] = in, outs[self] = out;
}

static float* map(const uint64_t* words, int fd_at) {
  char name[64];
  snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)words[kPid], (int)words[fd_at]);
  const int fd = open(name, O_RDWR);
  void* const at = fd < 0
                       ? MAP_FAILED
                       : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)words[fd_at + 1]);
  if (at == MAP_FAILED) board_fail("cannot map another rank's buffer for the bare loops");
  madvise(at, bytes, MADV_HUGEPAGE);
  close(fd);
  return at;
}

void bare_look(const struct board* board) {
  for (int rank = 0; rank < all; ++rank) {
    if (rank == self) continue;
    ins[rank] = map(board->words[rank], kInFd);
    outs[rank] = map(board->words[rank], kOutFd);
  }
}

/* One cache line past the caches; elsewhere than on x86 an ordinary store. */
static void store_streamed(float* to, const float line[16]) {
#ifdef __SSE2__
  for (int i = 0; i < 16; i += 4) _mm_stream_ps(to + i, _mm_loadu_ps(line + i));
#else
  memcpy(to, line, 64);
#endif
}

static void end_stream(void) {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

/* Two ranks have loops of their own, which compilers turn into straight vector code; more go by blocks in the
 * cache. */
static void sum_two(const float* restrict a, const float* restrict b, float* restrict x, float* restrict y,
                    size_t count) {
  for (size_t i = 0; i < count; ++i) x[i] = y[i] = a[i] + b[i];
}

static void sum_two_streamed(const float* a, const float* b, float* x, float* y, size_t count) {
  float line[16];
  for (size_t i = 0; i + 16 <= count; i += 16) {
    for (size_t k = 0; k < 16; ++k) line[k] = a[i + k] + b[i + k];
    store_streamed(x + i, line), store_streamed(y + i, line);
  }
  sum_two(a + count / 16 * 16, b + count / 16 * 16, x + count / 16 * 16, y + count / 16 * 16, count % 16);
  end_stream();
}

static void sum_block(size_t at, size_t count) {
  float sum[1024];
  memcpy(sum, ins[0] + at, count * sizeof *sum);
  for (int rank = 1; rank < all; ++rank)
    for (size_t i = 0; i < count; ++i) sum[i] += ins[rank][at + i];
  for (int rank = 0; rank < all; ++rank) memcpy(outs[rank] + at, sum, count * sizeof *sum);
}

static void bare_all_reduce(size_t count, int streamed) {
  const size_t share = count / (size_t)all / 16 * 16, first = share * (size_t)self;
  const size_t mine = self == all - 1 ? count - first : share;
  if (all == 2) {
    (streamed ? sum_two_streamed : sum_two)(ins[0] + first, ins[1] + first, outs[0] + first, outs[1] + first,
                                            mine);
  } else {
    for (size_t at = first; at < first + mine; at += 1024)
      sum_block(at, first + mine - at < 1024 ? first + mine - at : 1024);
  }
}

/* The sum of four streams of words keeps enough lines under way. */
static uint64_t read_all(const float* from, size_t count) {
  const uint64_t* const words = (const uint64_t*)from;
  const size_t quarter = count / 2 / 4;
  uint64_t a = 0, b = 0, c = 0, d = 0;
  for (size_t i = 0; i < quarter; ++i)
    a += words[i], b += words[quarter + i], c += words[2 * quarter + i], d += words[3 * quarter + i];
  return a ^ b ^ c ^ d;
}

static void write_all(float* to, size_t count, int streamed) {
  static const float line[16] = {1};
  if (!streamed) {
    for (size_t i = 0; i < count; ++i) to[i] = 1;
    return;
  }
  for (size_t i = 0; i + 16 <= count; i += 16) store_streamed(to + i, line);
  end_stream();
}

static void copy_all(const float* from, float* to, size_t count, int streamed) {
  if (!streamed) {
    memcpy(to, from, count * sizeof *to);
    return;
  }
  for (size_t i = 0; i + 16 <= count; i += 16) store_streamed(to + i, from + i);
  end_stream();
}

static void gather(size_t count, int shares) {
  for (int k = 1; k <= all; ++k) {
    const int rank = (self + k) % all;
    memcpy(outs[self] + (size_t)rank * count, ins[rank] + (shares ? (size_t)self * count : 0),
           count * sizeof(float));
  }
}

void bare_run(int operation, size_t count) {
  switch (operation) {
    case kBareAllReduce:
    case kBareAllReduceStreamed:
      bare_all_reduce(count, operation == kBareAllReduceStreamed);
      return board_barrier(kSymmetric);
    case kBareAllGather:
    case kBareAllToAll:
      gather(count, operation == kBareAllToAll);
      return board_barrier(kSymmetric);
    case kRead:
      bare_seen = read_all(ins[self], count) + read_all(outs[self], count);
      return;
    case kWrite:
    case kWriteStreamed:
      write_all(ins[self], count, operation == kWriteStreamed);
      return write_all(outs[self], count, operation == kWriteStreamed);
    case kCopy:
    case kCopyStreamed:
      return copy_all(ins[self], outs[self], count, operation == kCopyStreamed);
    default:
      board_fail("no such operation");
  }
}
