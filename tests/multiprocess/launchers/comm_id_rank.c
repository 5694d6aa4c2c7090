/* One rank of a program that has no launcher's help but its number: all meet at NCCL_COMM_ID.
 *
 *   comm_id_rank RANK RANKS   the names of the variables that say which rank this is, and of how many */
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>

static int number(const char* name) {
  const char* value = getenv(name);
  return value == NULL ? -1 : atoi(value);
}

static int fail(int rank, ncclComm_t comm) {
  fprintf(stderr, "rank %d: %s\n", rank, ncclGetLastError(comm));
  return 1;
}

int main(int argc, char** argv) {
  ncclUniqueId id;
  ncclComm_t comm;
  long long mine, sum;
  if (argc != 3) return 2;
  const int rank = number(argv[1]), ranks = number(argv[2]);
  if (ncclGetUniqueId(&id) != ncclSuccess) return fail(rank, NULL);
  if (ncclCommInitRank(&comm, ranks, id, rank) != ncclSuccess) return fail(rank, NULL);
  mine = rank + 1;
  if (ncclAllReduce(&mine, &sum, 1, ncclInt64, ncclSum, comm, NULL) != ncclSuccess) return fail(rank, comm);
  if (ncclCommDestroy(comm) != ncclSuccess) return fail(rank, NULL);
  printf("rank %d of %d: sum %lld\n", rank, ranks, sum);
  return 0;
}
