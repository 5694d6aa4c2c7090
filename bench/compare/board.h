/* The memory that the measuring ranks of one job share, and their barrier: the harness's own, the same code
   for every library. Where ranks outnumber cores it yields at every look. */
#ifndef HANSA_BENCH_BOARD_H
#define HANSA_BENCH_BOARD_H

#include "measure.h"

enum barrier {
  kSymmetric,
  kRootFirst
}; /* root first: rank 0 learns last that all are there, and leaves first */

/* Maps FILE, keeps the calling thread on one core. Ends the program where it cannot. */
struct board* board_join(const char* file, int rank, int ranks);
void board_barrier(enum barrier kind);
/* Rank 0's number, for all. */
uint64_t board_agree(uint64_t number);
/* The largest of all ranks for each of `count` times; in place, on rank 0 alone. At most board_most_times().
 */
void board_slowest(double* times, int count);
int board_most_times(void);
/* Ends this rank and all that wait for it. */
void board_fail(const char* why);

#endif
