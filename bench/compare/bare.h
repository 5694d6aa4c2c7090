/* What memory alone allows: loops of a few lines over the very pages that a library's calls have just used,
   on all ranks at once, without any library.

     bare_allreduce   each rank sums its share of all inputs into all outputs, in one pass
     bare_allgather   each rank copies all inputs into its output; bare_alltoall its shares of them
     read, write, copy  each rank alone, over both its buffers

   The first three end when all ranks have. All move twice the larger buffer a rank: what is read, and what is
   written once (or read for ownership). "Streamed" ones store past the caches. */
#ifndef HANSA_BENCH_BARE_H
#define HANSA_BENCH_BARE_H

#include "measure.h"

/* See struct peer. The buffers must be shared memory that this process holds a descriptor of. */
void bare_show(const struct peer* peer, float* in, float* out, size_t bytes, struct board* board);
void bare_look(const struct board* board);
void bare_run(int operation, size_t count);

#endif
