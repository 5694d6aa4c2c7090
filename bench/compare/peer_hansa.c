/* Hansa, by nothing but nccl.h. Forks the ranks itself, unless a launcher has started them and says in
 * PMI_RANK which this is. Memory is "malloc" or "library", which is ncclMemAlloc's. */
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bare.h"
#include "measure.h"

static ncclComm_t comm;

static void must(ncclResult_t result) {
  if (result == ncclSuccess) return;
  fprintf(stderr, "%s\n", ncclGetLastError(comm));
  exit(1);
}

static void run(int operation, const float* in, float* out, size_t count) {
  switch (operation) {
    case kAllReduce:
      return must(ncclAllReduce(in, out, count, ncclFloat, ncclSum, comm, NULL));
    case kReduceScatter:
      return must(ncclReduceScatter(in, out, count, ncclFloat, ncclSum, comm, NULL));
    case kAllGather:
      return must(ncclAllGather(in, out, count, ncclFloat, comm, NULL));
    case kAllToAll:
      return must(ncclAlltoAll(in, out, count, ncclFloat, comm, NULL));
    case kBroadcast:
      return must(ncclBroadcast(out, out, count, ncclFloat, 0, comm, NULL));
    case kReduce:
      return must(ncclReduce(in, out, count, ncclFloat, ncclSum, 0, comm, NULL));
    default:
      return bare_run(operation, count);
  }
}

static void* allocate(size_t bytes) {
  void* memory;
  must(ncclMemAlloc(&memory, bytes));
  return memory;
}

int main(int argc, char** argv) {
  struct peer peer = {.run = run, .ranks = argc > kMemory ? atoi(argv[kRanks]) : 0};
  if (peer.ranks < 1) return 1;
  if (strcmp(argv[kMemory], "library") == 0)
    peer.allocate = allocate, peer.show = bare_show, peer.look = bare_look;
  ncclUniqueId id;
  must(ncclGetUniqueId(&id));
  const char* const launched = getenv("PMI_RANK");
  if (launched != NULL) peer.rank = atoi(launched);
  for (int rank = 1; rank < peer.ranks && peer.rank == 0 && launched == NULL; ++rank)
    if (fork() == 0) peer.rank = rank;
  must(ncclCommInitRank(&comm, peer.ranks, id, peer.rank));
  const int result = measure(&peer, argc, argv);
  must(ncclCommDestroy(comm));
  while (peer.rank == 0 && wait(NULL) > 0) {
  }
  return result;
}
