/* Any libnccl in host mode: forks the ranks itself. The first argument is their number. */
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"

static ncclComm_t comm;
static int self, all;

static void must(ncclResult_t result) {
  if (result == ncclSuccess) return;
  fprintf(stderr, "rank %d: %s\n", self, ncclGetLastError(comm));
  exit(1);
}

int peer_join(int* argc, char*** argv, int* ranks) {
  all = *argc > 1 ? atoi((*argv)[1]) : 2;
  ncclUniqueId id;
  must(ncclGetUniqueId(&id));
  for (int rank = 1; rank < all && self == 0; ++rank)
    if (fork() == 0) self = rank;
  must(ncclCommInitRank(&comm, all, id, self));
  *ranks = all;
  return self;
}

void peer_allreduce(const float* in, float* out, size_t count) {
  must(ncclAllReduce(in, out, count, ncclFloat, ncclSum, comm, NULL));
}

void peer_leave(void) {
  must(ncclCommDestroy(comm));
  while (self == 0 && wait(NULL) > 0) {
  }
}
