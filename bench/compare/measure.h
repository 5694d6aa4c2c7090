/* The loops that every library goes through, and a library as they see it. */
#ifndef HANSA_BENCH_MEASURE_H
#define HANSA_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

enum { kMostRanks = 64 };

/* Sizes count the larger buffer of a rank; `count` is what a call takes: floats of the smaller one. Those
   after kCollectives are bare loops over the same memory, without any library: see bare.h. */
enum operation {
  kAllReduce,
  kReduceScatter,
  kAllGather,
  kAllToAll,
  kBroadcast, /* in place, in `out`, from rank 0 */
  kReduce,    /* to rank 0 */
  kCollectives,
  kBareAllReduce = kCollectives,
  kBareAllReduceStreamed,
  kBareAllGather,
  kBareAllToAll,
  kRead,
  kWrite,
  kWriteStreamed,
  kCopy,
  kCopyStreamed,
  kOperations
};

/* What ranks can show one another before the loops start. */
struct board {
  uint64_t words[kMostRanks][8];
};

struct peer {
  int rank, ranks;
  void (*run)(int operation, const float* in, float* out, size_t count);
  void* (*allocate)(size_t bytes); /* null: malloc */
  /* When the buffers are there this rank's words may be written; after a barrier all may be read. Null:
   * neither. */
  void (*show)(const struct peer* peer, float* in, float* out, size_t bytes, struct board* board);
  void (*look)(const struct board* board);
};

/* PROGRAM RANKS FILE TURNS MILLISECONDS CALLS LOOPS MEMORY OPERATION:BYTES... as main() got them: FILE is
   where the ranks' barrier lies, the same for all, zeroes at first; TURNS a fifo from which every rank reads
   a byte before each loop, or "-"; MILLISECONDS go into each loop, but at least CALLS calls; LOOPS are names
   with commas between, or "all"; MEMORY is for who allocates. Rank 0 prints lines "OPERATION BYTES LOOP
   MEDIAN LOW HIGH BUSY": microseconds of the median call and of the first and the last tenth, and the share
   of the machine's cores that were busy; before each turn "next OPERATION BYTES LOOP". Results are checked; a
   wrong one ends all ranks. Returns what main() shall return. */
int measure(const struct peer* peer, int argc, char** argv);
/* Where they stand in argv. */
enum measure_argument { kRanks = 1, kFile, kTurns, kMilliseconds, kCalls, kLoopNames, kMemory, kCells };

#endif
