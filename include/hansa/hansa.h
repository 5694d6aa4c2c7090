/* What Hansa offers beyond nccl.h: host streams, time-outs, collectives of uneven sizes, a barrier. What
 * nccl.h says of memory, order, threads and failure holds here too. */
#ifndef HANSA_HANSA_H_
#define HANSA_HANSA_H_

#include "nccl.h"

#if defined(__GNUC__)
#define HANSA_VISIBLE __attribute__((visibility("default")))
#else
#define HANSA_VISIBLE
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Library ---- */

#define HANSA_VERSION_MAJOR 0
#define HANSA_VERSION_MINOR 1
#define HANSA_VERSION_PATCH 0
#define HANSA_VERSION (HANSA_VERSION_MAJOR * 10000 + HANSA_VERSION_MINOR * 100 + HANSA_VERSION_PATCH)

/* The HANSA_VERSION of the library that is loaded. A program can ask dlsym for this name to tell Hansa from
 * other libraries of the name libnccl.so.2. */
HANSA_VISIBLE ncclResult_t hansaVersion(int* version);

/* ---- Host streams ---- */

/* In host mode, what a CUDA stream is on a GPU: operations run in the order they were given, each call
 * returns at once, and a thread of the stream's own does the work. Pass it, cast by hansaStreamAsCuda,
 * wherever a cudaStream_t is expected. A library in CUDA mode refuses to create one. */
typedef struct hansaStream* hansaStream_t;

static inline cudaStream_t hansaStreamAsCuda(hansaStream_t stream) { return (cudaStream_t)(void*)stream; }

HANSA_VISIBLE ncclResult_t hansaStreamCreate(hansaStream_t* stream);
/* Waits until the stream is empty, then frees it. NULL is legal. */
HANSA_VISIBLE ncclResult_t hansaStreamDestroy(hansaStream_t stream);
/* Waits until everything given to the stream so far is done. Returns the first failure among it, once. */
HANSA_VISIBLE ncclResult_t hansaStreamSynchronize(hansaStream_t stream);
/* ncclSuccess if the stream is empty, ncclInProgress if not, or the first failure, once. Never blocks. */
HANSA_VISIBLE ncclResult_t hansaStreamQuery(hansaStream_t stream);
/* Calls `function` on the stream's thread when everything before it is done, even if that has failed. It may
 * block, and holds up the stream while it does; it must not call into this library. */
HANSA_VISIBLE ncclResult_t hansaStreamAddCallback(hansaStream_t stream, void (*function)(void* argument),
                                                  void* argument);

/* ---- Time-outs. By default an operation may take for ever: lateness is reported (HANSA_LATE_REPORT), not an
 * error. With a time-out an operation that is not done in time fails with ncclRemoteError, on all ranks, and
 * the error names who is late; the communicator has failed then. Counted from when an operation begins to
 * run, not while it waits in its stream. ---- */

/* Seconds that each operation of `comm` which begins from now on may take: 0 is for ever, a negative number
 * what HANSA_TIMEOUT says, as at first. May be called by any thread at any time. */
HANSA_VISIBLE ncclResult_t hansaCommSetTimeout(ncclComm_t comm, double seconds);

/* The same for one call only: the next operation that the calling thread gives to any communicator, or all of
 * the next group (ncclGroupStart must follow first). Wins over hansaCommSetTimeout. */
HANSA_VISIBLE ncclResult_t hansaNextTimeout(double seconds);

/* ---- Collectives of uneven sizes. Counts and displacements are in elements of `datatype`; an entry of zero
 * is legal and exchanges nothing; tables are read during the call and not kept. ---- */

/* Rank r's `recvcounts[r]` elements land at recvbuff + displs[r], on every rank. recvcounts is the same on
 * all ranks and sendcount == recvcounts[rank]; displs may differ, and NULL means one after the other in rank
 * order. In place: sendbuff == recvbuff + displs[rank]. */
HANSA_VISIBLE ncclResult_t hansaAllGatherV(const void* sendbuff, size_t sendcount, void* recvbuff,
                                           const size_t recvcounts[], const size_t displs[],
                                           ncclDataType_t datatype, ncclComm_t comm, cudaStream_t stream);

/* The reduction of all sendbuffs, cut in rank order into blocks of recvcounts[r] elements: block r to rank r.
 * recvcounts is the same on all ranks. In place: recvbuff == sendbuff + the sum of the counts before this
 * rank's. */
HANSA_VISIBLE ncclResult_t hansaReduceScatterV(const void* sendbuff, void* recvbuff,
                                               const size_t recvcounts[], ncclDataType_t datatype,
                                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream);

/* sendcounts[p] elements from sendbuff + sdispls[p] go to rank p; recvcounts[p] from it land at recvbuff +
 * rdispls[p]. One rank's sendcounts[p] equals rank p's recvcounts[that rank]. Never in place. */
HANSA_VISIBLE ncclResult_t hansaAllToAllV(const void* sendbuff, const size_t sendcounts[],
                                          const size_t sdispls[], void* recvbuff, const size_t recvcounts[],
                                          const size_t rdispls[], ncclDataType_t datatype, ncclComm_t comm,
                                          cudaStream_t stream);

/* Complete on a rank only when every rank has reached it. */
HANSA_VISIBLE ncclResult_t hansaBarrier(ncclComm_t comm, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#undef HANSA_VISIBLE

#endif /* HANSA_HANSA_H_ */
