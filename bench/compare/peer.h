/* A message-passing library as the loop sees it: two or more processes that can add float vectors. */
#ifndef HANSA_BENCH_PEER_H
#define HANSA_BENCH_PEER_H

#include <stddef.h>

/* Joins all processes; the rank of this one. Ends the program where it cannot. */
int peer_join(int* argc, char*** argv, int* ranks);
/* Memory as programs have it from malloc(). */
void peer_allreduce(const float* in, float* out, size_t count);
void peer_leave(void);

#endif
