/* What a program of another project does with the library: two ranks, each a process, add what they have.
 * Prints the sum, the versions, and the file that the library was loaded from. */
#include <dlfcn.h>
#include <hansa/hansa.h>
#include <nccl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(ncclUniqueId id, int rank) {
  ncclComm_t comm;
  if (ncclCommInitRank(&comm, 2, id, rank) != ncclSuccess) {
    fprintf(stderr, "rank %d: %s\n", rank, ncclGetLastError(NULL));
    return 1;
  }
  const long long mine[3] = {rank + 1, 10 * (rank + 1), -5};
  long long sum[3] = {0, 0, 0};
  if (ncclAllReduce(mine, sum, 3, ncclInt64, ncclSum, comm, NULL) != ncclSuccess) {
    fprintf(stderr, "rank %d: %s\n", rank, ncclGetLastError(comm));
    return 1;
  }
  printf("rank %d: %lld %lld %lld\n", rank, sum[0], sum[1], sum[2]);
  return ncclCommDestroy(comm) != ncclSuccess;
}

int main(void) {
  ncclUniqueId id;
  int hansa = 0, nccl = 0;
  Dl_info loaded;
  if (ncclGetUniqueId(&id) != ncclSuccess || hansaVersion(&hansa) != ncclSuccess ||
      ncclGetVersion(&nccl) != ncclSuccess)
    return 1;
  if (dladdr(dlsym(RTLD_DEFAULT, "ncclAllReduce"), &loaded) == 0) return 1;
  const pid_t child = fork();
  const int status = run(id, child == 0);
  if (child == 0) return status;
  int other = 0;
  if (waitpid(child, &other, 0) != child) return 1;
  printf("hansa %d, header %d\nnccl %d, header %d\nlibrary %s\n", hansa, HANSA_VERSION, nccl,
         NCCL_VERSION_CODE, loaded.dli_fname);
  return status != 0 || other != 0;
}
