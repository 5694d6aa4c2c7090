/* loop RANKS [BYTES...]: the same loop for every library: allreduce of floats, back to back, a line "BYTES
   MICROSECONDS" per size from rank 0. The first results are checked, so that nobody is fast by doing nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "peer.h"

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Calls per measurement: the same on all ranks, about a quarter of a second on any machine of today. */
static int calls_for(size_t bytes) {
  if (bytes <= 1024) return 200000;
  if (bytes <= 65536) return 20000;
  if (bytes <= 1048576) return 1000;
  return bytes <= 16777216 ? 40 : 10;
}

int main(int argc, char** argv) {
  size_t sizes[64] = {8, 4096, 65536, 1048576, 16777216, 67108864};
  int ranks;
  const int rank = peer_join(&argc, &argv, &ranks);
  for (int i = 2; i < argc && i < 64; ++i) sizes[i - 2] = strtoull(argv[i], NULL, 10), sizes[i - 1] = 0;
  for (int s = 0; s < 64 && sizes[s] != 0; ++s) {
    const size_t count = sizes[s] / sizeof(float);
    float* const in = malloc(sizes[s]);
    float* const out = malloc(sizes[s]);
    if (in == NULL || out == NULL) return 1;
    for (size_t i = 0; i < count; ++i) in[i] = (float)(rank + 1), out[i] = 0;
    const int calls = calls_for(sizes[s]);
    for (int i = 0; i < calls / 10 + 2; ++i) peer_allreduce(in, out, count);
    for (size_t i = 0; i < count; ++i)
      if (out[i] != (float)(ranks * (ranks + 1) / 2)) {
        fprintf(stderr, "rank %d: wrong result\n", rank);
        return 1;
      }
    const double start = now();
    for (int i = 0; i < calls; ++i) peer_allreduce(in, out, count);
    const double each = (now() - start) / calls;
    if (rank == 0) printf("%zu %.3f\n", sizes[s], each * 1e6), fflush(stdout);
    free(in);
    free(out);
  }
  peer_leave();
  return 0;
}
