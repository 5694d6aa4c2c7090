/* The NCCL interface, as Hansa's libnccl.so.2 offers it: names, values and layouts, so that programs and
 * frameworks written for NCCL compile against it and prebuilt ones load it unchanged.
 *
 * VERSION. This header shows NCCL 2.27.7, the newest that asks for no device code: programs that see a newer
 * one include nccl_device.h, which Hansa does not have. The host functions of later versions, up to 2.32.3,
 * are declared all the same. Define HANSA_NCCL_API as another version's code (22707 to 23203) before the
 * first inclusion to get that one's version macros, result codes and configs.
 *
 * MEMORY AND STREAMS. With CUDA, buffers are device memory and `stream` a CUDA stream. Without it the library
 * is in host mode, fixed at the first initialisation: buffers are host memory and a NULL stream means that
 * the operation is complete when the call (in a group: ncclGroupEnd) returns; hansa/hansa.h has host streams.
 * Buffers belong to the caller and must stay valid, and source buffers unchanged, until the operation is
 * complete.
 *
 * ORDER. All ranks of a communicator issue the same operations on it in the same order. A collective with a
 * count of zero returns at once and meets nobody; a send or receive of zero elements is a message like any
 * other.
 *
 * THREADS. One thread at a time per communicator, except ncclCommGetAsyncError, ncclCommAbort and
 * ncclCommRevoke, which may come from any thread at any time. Groups belong to the calling thread.
 *
 * FAILURE. Every function returns a result; ncclGetLastError has cause and remedy in one line.
 * ncclInvalidArgument leaves the communicator usable. After ncclUnhandledCudaError, ncclSystemError,
 * ncclInternalError, ncclInvalidUsage (as an asynchronous error) or ncclRemoteError only ncclCommAbort,
 * ncclCommRevoke, ncclCommShrink, ncclCommSplit and ncclCommDestroy are of use.
 *
 * NAMES. Every function `ncclX` has a strong twin `pncclX` that tools which interpose `ncclX` call on to. */
#ifndef NCCL_H_
#define NCCL_H_

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* Define HANSA_NO_CUDA to compile without CUDA's headers where they are present. */
#if defined(__has_include) && !defined(HANSA_NO_CUDA)
#if __has_include(<cuda_runtime.h>)
#define HANSA_HAS_CUDA_RUNTIME_H 1
#endif
#endif
#ifdef HANSA_HAS_CUDA_RUNTIME_H
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#if CUDART_VERSION >= 11000
#include <cuda_bf16.h>
#endif
#if CUDART_VERSION >= 11080
#include <cuda_fp8.h>
#endif
#else
typedef struct CUstream_st* cudaStream_t;
typedef struct CUevent_st* cudaEvent_t;
#endif

#ifndef HANSA_NCCL_API
#define NCCL_MAJOR 2
#define NCCL_MINOR 27
#define NCCL_PATCH 7
#define NCCL_VERSION_CODE 22707
#else
#if HANSA_NCCL_API < 22707 || HANSA_NCCL_API > 23203
#error "HANSA_NCCL_API must be the code of a version from 2.27.7 (22707) to 2.32.3 (23203)"
#endif
#define NCCL_MAJOR (HANSA_NCCL_API / 10000)
#define NCCL_MINOR (HANSA_NCCL_API / 100 % 100)
#define NCCL_PATCH (HANSA_NCCL_API % 100)
#define NCCL_VERSION_CODE HANSA_NCCL_API
#endif
#define NCCL_SUFFIX ""
/* The scheme changed with 2.9. */
#define NCCL_VERSION(X, Y, Z) (((X) <= 2 && (Y) <= 8) ? (X)*1000 + (Y)*100 + (Z) : (X)*10000 + (Y)*100 + (Z))

#if defined(__GNUC__)
#define HANSA_NCCL_VISIBLE __attribute__((visibility("default")))
#else
#define HANSA_NCCL_VISIBLE
#endif
/* Declares a function and its twin. */
#define HANSA_NCCL_FUNCTION(result, name, parameters) \
  HANSA_NCCL_VISIBLE result name parameters;          \
  HANSA_NCCL_VISIBLE result p##name parameters

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Types ---- */

typedef struct ncclComm* ncclComm_t;
#define NCCL_COMM_NULL NULL

#if NCCL_VERSION_CODE >= 22803
typedef struct ncclWindow_vidmem* ncclWindow_t;
#else
typedef struct ncclWindow* ncclWindow_t;
#endif

/* Opaque bytes that bring the ranks of one communicator together. Made once, handed to every rank by the
 * program's own means. It holds the job's secret: who has it can join. */
#define NCCL_UNIQUE_ID_BYTES 128
typedef struct {
  char internal[NCCL_UNIQUE_ID_BYTES];
} ncclUniqueId;

typedef enum {
  ncclSuccess = 0,
  ncclUnhandledCudaError = 1,
  ncclSystemError = 2,   /* the operating system or a limit refused */
  ncclInternalError = 3, /* a bug in this library */
  ncclInvalidArgument = 4,
  ncclInvalidUsage = 5, /* legal by itself, but not here or not now; also calls that differ between ranks */
  ncclRemoteError = 6,  /* another rank died, left or did not come in time */
  ncclInProgress = 7,   /* a non-blocking communicator still works on it */
#if NCCL_VERSION_CODE >= 23003
  ncclTimeout = 8, /* never returned: programs built for earlier versions do not know it */
  ncclNumResults = 9
#else
  ncclNumResults = 8
#endif
} ncclResult_t;

typedef enum {
  ncclInt8 = 0,
  ncclChar = 0,
  ncclUint8 = 1,
  ncclInt32 = 2,
  ncclInt = 2,
  ncclUint32 = 3,
  ncclInt64 = 4,
  ncclUint64 = 5,
  ncclFloat16 = 6,
  ncclHalf = 6,
  ncclFloat32 = 7,
  ncclFloat = 7,
  ncclFloat64 = 8,
  ncclDouble = 8,
  ncclBfloat16 = 9,
  ncclFloat8e4m3 = 10,
  ncclFloat8e5m2 = 11,
  ncclNumTypes = 12
} ncclDataType_t;

/* Values from ncclNumOps up to ncclMaxRedOp name operators of ncclRedOpCreatePreMulSum. */
typedef enum {
  ncclSum = 0,
  ncclProd = 1,
  ncclMax = 2,
  ncclMin = 3,
  ncclAvg = 4,
  ncclNumOps = 5,
  ncclMaxRedOp = 0x7fffffff
} ncclRedOp_t;

/* When the scalar of a pre-multiplied sum is read: when an operation that uses it runs, or at creation. */
typedef enum { ncclScalarDevice = 0, ncclScalarHostImmediate = 1 } ncclScalarResidence_t;

#define NCCL_CONFIG_UNDEF_INT INT_MIN
#define NCCL_CONFIG_UNDEF_PTR NULL
#define NCCL_SPLIT_NOCOLOR -1
#define NCCL_UNDEF_FLOAT -1.0f

#define NCCL_WIN_DEFAULT 0x00
#define NCCL_WIN_COLL_SYMMETRIC 0x01
#define NCCL_WIN_STRICT_ORDERING 0x02
#define NCCL_WIN_GIN_ONLY 0x04
#define NCCL_WIN_CFT_COUNTED 0x08
#define NCCL_WIN_REQUIRED_ALIGNMENT 4096

#define NCCL_CTA_POLICY_DEFAULT 0x00
#define NCCL_CTA_POLICY_EFFICIENCY 0x01
#define NCCL_CTA_POLICY_ZERO 0x02

#define NCCL_SHRINK_DEFAULT 0x00
#define NCCL_SHRINK_ABORT 0x01

#define NCCL_REVOKE_DEFAULT 0x00

#define NCCL_SUSPEND_MEM 0x01

#define NCCL_API_MAGIC 0xcafebeef

typedef enum {
  ncclHostCftDefault = NCCL_CONFIG_UNDEF_INT,
  ncclHostCftEnable = 1,
  ncclHostCftDisable = 2,
  ncclHostCftFallback = 3
} ncclHostCftMode_t;

typedef enum {
  ncclNvlsHostModeDefault = NCCL_CONFIG_UNDEF_INT,
  ncclNvlsHostModeEnable = 0,
  ncclNvlsHostModeDisableTransport = 1,
  ncclNvlsHostModeDisableSymmetricMultimem = 2,
  ncclNvlsHostModeDisable = INT_MAX
} ncclNvlsHostMode_t;

/* Wishes for a communicator. Start from NCCL_CONFIG_INITIALIZER, which leaves everything to the library, and
 * set what matters. Fields that speak of GPU thread blocks or vendor hardware are accepted and, in host mode,
 * ignored. */
typedef struct ncclConfig_v22700 {
  size_t size; /* these three: as the initializer sets them */
  unsigned int magic;
  unsigned int version;
  int blocking; /* 1 (default): calls return when done; 0: poll ncclCommGetAsyncError */
  int cgaClusterSize;
  int minCTAs;
  int maxCTAs;
  const char* netName; /* the transport to use between hosts, by name */
  int splitShare;      /* children of ncclCommSplit share the parent's resources */
  int trafficClass;
  const char* commName; /* appears in reports */
  int collnetEnable;
  int CTAPolicy;
  int shrinkShare; /* the same for children of ncclCommShrink */
  int nvlsCTAs;
#if NCCL_VERSION_CODE >= 22803
  int nChannelsPerNetPeer;
  int nvlinkCentricSched;
#endif
#if NCCL_VERSION_CODE >= 22902
  int graphUsageMode;
  int numRmaCtx; /* contexts of ncclPutSignal and its kin; 1 (default) in host mode */
#endif
#if NCCL_VERSION_CODE >= 23003
  int maxP2pPeers;
#endif
#if NCCL_VERSION_CODE >= 23005
  int graphStreamOrdering;
#endif
#if NCCL_VERSION_CODE >= 23102
  int launchOrderImplicit;
  int numRmaSig;
  int rmaEagerInit;
  int hostCftMode;
#endif
#if NCCL_VERSION_CODE >= 23203
  int nvlsHostMode;
#endif
} ncclConfig_t;

/* One undefined number for every field of a version; what a version lacks is nothing. */
#define HANSA_NCCL_UNDEF , NCCL_CONFIG_UNDEF_INT
#if NCCL_VERSION_CODE >= 22803
#define HANSA_NCCL_CONFIG_2_28 HANSA_NCCL_UNDEF HANSA_NCCL_UNDEF
#else
#define HANSA_NCCL_CONFIG_2_28
#endif
#if NCCL_VERSION_CODE >= 22902
#define HANSA_NCCL_CONFIG_2_29 HANSA_NCCL_UNDEF HANSA_NCCL_UNDEF
#else
#define HANSA_NCCL_CONFIG_2_29
#endif
#if NCCL_VERSION_CODE >= 23005
#define HANSA_NCCL_CONFIG_2_30 HANSA_NCCL_UNDEF HANSA_NCCL_UNDEF
#elif NCCL_VERSION_CODE >= 23003
#define HANSA_NCCL_CONFIG_2_30 HANSA_NCCL_UNDEF
#else
#define HANSA_NCCL_CONFIG_2_30
#endif
#if NCCL_VERSION_CODE >= 23102
#define HANSA_NCCL_CONFIG_2_31 HANSA_NCCL_UNDEF HANSA_NCCL_UNDEF HANSA_NCCL_UNDEF HANSA_NCCL_UNDEF
#else
#define HANSA_NCCL_CONFIG_2_31
#endif
#if NCCL_VERSION_CODE >= 23203
#define HANSA_NCCL_CONFIG_2_32 HANSA_NCCL_UNDEF
#else
#define HANSA_NCCL_CONFIG_2_32
#endif

#define NCCL_CONFIG_INITIALIZER                                                                             \
  {                                                                                                         \
    sizeof(ncclConfig_t),                      /* size */                                                   \
        NCCL_API_MAGIC,                        /* magic */                                                  \
        NCCL_VERSION_CODE,                     /* version */                                                \
        NCCL_CONFIG_UNDEF_INT,                 /* blocking */                                               \
        NCCL_CONFIG_UNDEF_INT,                 /* cgaClusterSize */                                         \
        NCCL_CONFIG_UNDEF_INT,                 /* minCTAs */                                                \
        NCCL_CONFIG_UNDEF_INT,                 /* maxCTAs */                                                \
        NCCL_CONFIG_UNDEF_PTR,                 /* netName */                                                \
        NCCL_CONFIG_UNDEF_INT,                 /* splitShare */                                             \
        NCCL_CONFIG_UNDEF_INT,                 /* trafficClass */                                           \
        NCCL_CONFIG_UNDEF_PTR,                 /* commName */                                               \
        NCCL_CONFIG_UNDEF_INT,                 /* collnetEnable */                                          \
        NCCL_CONFIG_UNDEF_INT,                 /* CTAPolicy */                                              \
        NCCL_CONFIG_UNDEF_INT,                 /* shrinkShare */                                            \
        NCCL_CONFIG_UNDEF_INT                  /* nvlsCTAs */                                               \
            HANSA_NCCL_CONFIG_2_28             /* nChannelsPerNetPeer, nvlinkCentricSched */                \
                HANSA_NCCL_CONFIG_2_29         /* graphUsageMode, numRmaCtx */                              \
                    HANSA_NCCL_CONFIG_2_30     /* maxP2pPeers, graphStreamOrdering */                       \
                        HANSA_NCCL_CONFIG_2_31 /* launchOrderImplicit, numRmaSig, rmaEagerInit, hostCftMode \
                                                */                                                          \
                            HANSA_NCCL_CONFIG_2_32 /* nvlsHostMode */                                       \
  }

/* An option for one call, in a list that ends with NULL. Hansa has none of its own yet and ignores all. */
typedef struct ncclConfigExt {
  struct ncclConfigExt* next;
  struct {
    int vendorId;
    int optionId;
  } key;
  union {
    int i;
    const char* s;
    void* raw;
  } val;
} ncclConfigExt_t;

/* Wishes for one call, for the functions whose names end in Config. Start from NCCL_COLLCONFIG_INITIALIZER;
 * NULL is a plain call. In host mode only algSelection is looked at (see docs/nccl.md). */
typedef struct ncclCollConfig_v23200 {
  size_t size; /* these three: as the initializer sets them */
  unsigned int magic;
  unsigned int version;
  ncclConfigExt_t* ext;
  int minCTAs;
  int maxCTAs;
  int nvlsCTAs;
  int cgaClusterSize;
  const char* algSelection;
  int forceAlgSelection; /* 1 (default): an error where algSelection cannot be had */
  int CTAPolicy;
  uint64_t userProfilerTag;
  cudaEvent_t launchCompletionEvent;
} ncclCollConfig_t;

#define NCCL_COLLCONFIG_INITIALIZER                        \
  {                                                        \
    sizeof(ncclCollConfig_t),  /* size */                  \
        NCCL_API_MAGIC,        /* magic */                 \
        NCCL_VERSION_CODE,     /* version */               \
        NCCL_CONFIG_UNDEF_PTR, /* ext */                   \
        NCCL_CONFIG_UNDEF_INT, /* minCTAs */               \
        NCCL_CONFIG_UNDEF_INT, /* maxCTAs */               \
        NCCL_CONFIG_UNDEF_INT, /* nvlsCTAs */              \
        NCCL_CONFIG_UNDEF_INT, /* cgaClusterSize */        \
        NCCL_CONFIG_UNDEF_PTR, /* algSelection */          \
        1,                     /* forceAlgSelection */     \
        NCCL_CONFIG_UNDEF_INT, /* CTAPolicy */             \
        0,                     /* userProfilerTag */       \
        NCCL_CONFIG_UNDEF_PTR  /* launchCompletionEvent */ \
  }

/* What ncclGroupSimulateEnd tells: the group's estimated time in seconds, or NCCL_UNDEF_FLOAT. */
typedef struct ncclSimInfo_v22200 {
  size_t size;
  unsigned int magic;
  unsigned int version;
  float estimatedTime;
} ncclSimInfo_t;

#define NCCL_SIM_INFO_INITIALIZER \
  { sizeof(ncclSimInfo_t), 0x74685283, NCCL_VERSION_CODE, NCCL_UNDEF_FLOAT }

/* What ncclCommMemStats tells, in bytes but for the second, which is 0 or 1. */
typedef enum {
  ncclStatGpuMemSuspend = 0,   /* could be given back by ncclCommSuspend */
  ncclStatGpuMemSuspended = 1, /* whether it has been */
  ncclStatGpuMemPersist = 2,   /* could not */
  ncclStatGpuMemTotal = 3
} ncclCommMemStat_t;

/* What ncclWaitSignal waits for: so many signals more from that peer. */
typedef struct {
  int opCnt;
  int peer;
  int sigIdx;
  int ctx;
} ncclWaitSignalDesc_t;

typedef enum { NCCL_ENCRYPTION_MODE_NONE = 0, NCCL_ENCRYPTION_MODE_PSK = 1 } ncclEncryptionMode_t;

typedef struct ncclEncryptionConfig_v23200 {
  size_t size; /* these three: as the initializer sets them */
  unsigned int magic;
  unsigned int version;
  int mode;
  const char* psk;
} ncclEncryptionConfig_t;

#define NCCL_ENCRYPTION_CONFIG_INITIALIZER                                                        \
  {                                                                                               \
    sizeof(ncclEncryptionConfig_t), NCCL_API_MAGIC, NCCL_VERSION_CODE, NCCL_ENCRYPTION_MODE_NONE, \
        NCCL_CONFIG_UNDEF_PTR                                                                     \
  }

/* A setting of the library; never freed. */
typedef struct ncclParamHandle* ncclParamHandle_t;

/* The layouts are the contract with programs compiled elsewhere. */
#if UINTPTR_MAX == 0xffffffffffffffff
#if NCCL_VERSION_CODE >= 23203
#define HANSA_NCCL_CONFIG_BYTES 120
#elif NCCL_VERSION_CODE >= 23102
#define HANSA_NCCL_CONFIG_BYTES 112
#elif NCCL_VERSION_CODE >= 23003
#define HANSA_NCCL_CONFIG_BYTES 96
#elif NCCL_VERSION_CODE >= 22902
#define HANSA_NCCL_CONFIG_BYTES 88
#elif NCCL_VERSION_CODE >= 22803
#define HANSA_NCCL_CONFIG_BYTES 80
#else
#define HANSA_NCCL_CONFIG_BYTES 72
#endif
typedef char hansaCheckNcclConfigLayout[sizeof(ncclConfig_t) == HANSA_NCCL_CONFIG_BYTES &&
                                                offsetof(ncclConfig_t, netName) == 32 &&
                                                offsetof(ncclConfig_t, commName) == 48 &&
                                                offsetof(ncclConfig_t, nvlsCTAs) == 68
                                            ? 1
                                            : -1];
typedef char hansaCheckNcclCollConfigLayout[sizeof(ncclCollConfig_t) == 72 &&
                                                    offsetof(ncclCollConfig_t, algSelection) == 40 &&
                                                    offsetof(ncclCollConfig_t, userProfilerTag) == 56 &&
                                                    sizeof(ncclConfigExt_t) == 24
                                                ? 1
                                                : -1];
typedef char hansaCheckNcclEncryptionLayout[sizeof(ncclEncryptionConfig_t) == 32 ? 1 : -1];
typedef char hansaCheckNcclSignalLayout[sizeof(ncclWaitSignalDesc_t) == 16 ? 1 : -1];
typedef char hansaCheckNcclSimInfoLayout[sizeof(ncclSimInfo_t) == 24 ? 1 : -1];
typedef char hansaCheckNcclUniqueIdLayout[sizeof(ncclUniqueId) == NCCL_UNIQUE_ID_BYTES ? 1 : -1];
typedef char hansaCheckNcclEnumLayout
    [sizeof(ncclResult_t) == 4 && sizeof(ncclDataType_t) == 4 && sizeof(ncclRedOp_t) == 4 ? 1 : -1];
#endif

/* ---- Library ---- */

/* The version of NCCL whose interface this library offers, as NCCL_VERSION_CODE: 22707, or
 * HANSA_NCCL_VERSION. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclGetVersion, (int* version));

/* What a result means in general. Never NULL; the text is static. */
HANSA_NCCL_FUNCTION(const char*, ncclGetErrorString, (ncclResult_t result));

/* Cause and remedy of the calling thread's last failure, or, if `comm` is given and has failed, of that
 * failure. Empty if there was none. The text is valid until the thread's next call into the library. */
HANSA_NCCL_FUNCTION(const char*, ncclGetLastError, (ncclComm_t comm));

/* Deprecated, without effect: the debug settings are read once. */
HANSA_NCCL_FUNCTION(void, ncclResetDebugInit, (void));

/* Hansa's sockets prove to each other that they hold the unique id's secret and seal every message with it,
 * always; what they carry is not hidden. So NCCL_ENCRYPTION_MODE_NONE succeeds, and NCCL_ENCRYPTION_MODE_PSK,
 * which asks for TLS, is refused with ncclInvalidUsage. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclSetEncryption, (const ncclEncryptionConfig_t* config));

/* Memory that all ranks of this host can reach directly; the fastest buffers to communicate from. Free it
 * with ncclMemFree only. ncclMemAlloc of 0 bytes gives NULL, and ncclMemFree takes NULL. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclMemAlloc, (void** ptr, size_t size));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclMemFree, (void* ptr));

/* ---- Communicators ---- */

/* Makes an id and starts listening for the ranks that will use it, in this process, which must stay alive
 * until all have initialised. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclGetUniqueId, (ncclUniqueId * uniqueId));

/* Joins as `rank` of `nranks`. Every rank calls it, from threads of its own or within one group; blocks until
 * all have come or HANSA_INIT_TIMEOUT has passed, and then names who is missing. On failure *comm is NULL. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommInitRank,
                    (ncclComm_t * comm, int nranks, ncclUniqueId commId, int rank));
/* The same with wishes; `config` may be NULL. With blocking = 0, *comm is set at once and the
 * result is ncclInProgress until ncclCommGetAsyncError says otherwise. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommInitRankConfig,
                    (ncclComm_t * comm, int nranks, ncclUniqueId commId, int rank, ncclConfig_t* config));
/* The same with 1 <= nId <= nranks ids, the same list on every rank, to spread the work of meeting. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommInitRankScalable,
                    (ncclComm_t * newcomm, int nranks, int myrank, int nId, ncclUniqueId* commIds,
                     ncclConfig_t* config));
/* All ranks of a communicator in this process: comm[i] is rank i on device devlist[i] (NULL: device i; in
 * host mode devices are names only, but must still differ). */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommInitAll, (ncclComm_t * comm, int ndev, const int* devlist));

/* Completes everything issued and closes the communicator to new operations. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommFinalize, (ncclComm_t comm));
/* Finalises if that is still to be done, then frees. NULL is legal; a second time on the same is an error. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommDestroy, (ncclComm_t comm));
/* Ends everything that is pending with an error and frees, in bounded time and without any peer's help. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommAbort, (ncclComm_t comm));
/* Ends everything that is pending on all ranks, but frees nothing: the communicator can still be shrunk,
 * split, destroyed or aborted. `revokeFlags` must be NCCL_REVOKE_DEFAULT. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommRevoke, (ncclComm_t comm, int revokeFlags));

/* Collective over `comm`: ranks of equal color form a new communicator, ordered by key, then by old rank.
 * With NCCL_SPLIT_NOCOLOR a rank takes part and gets NULL. A NULL config means the parent's. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommSplit,
                    (ncclComm_t comm, int color, int key, ncclComm_t* newcomm, ncclConfig_t* config));
/* Called by the ranks that stay only: a new communicator without those listed. NCCL_SHRINK_ABORT first ends
 * what is pending on the parent, which is how one goes on after a rank has died. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommShrink,
                    (ncclComm_t comm, int* excludeRanksList, int excludeRanksCount, ncclComm_t* newcomm,
                     ncclConfig_t* config, int shrinkFlags));

/* An id for the ranks that are to be added by ncclCommGrow; that comes before the next id. Served by this
 * process, which must stay alive until the grown communicator is there. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommGetUniqueId, (ncclComm_t comm, ncclUniqueId* uniqueId));
/* Makes a communicator of nRanks ranks: those of `comm`, which keep their numbers, and new ones. Collective
 * over both. Old ranks pass rank = -1 and, all but the one that called ncclCommGetUniqueId, uniqueId = NULL;
 * new ones pass comm = NULL, the id, and their rank in the new communicator. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommGrow,
                    (ncclComm_t comm, int nRanks, const ncclUniqueId* uniqueId, int rank, ncclComm_t* newcomm,
                     ncclConfig_t* config));

/* Gives memory back while the communicator is not needed (`flags`: NCCL_SUSPEND_MEM), and takes it again.
 * Host mode has nothing to give back: ncclInvalidUsage. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommSuspend, (ncclComm_t comm, int flags));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommResume, (ncclComm_t comm));
/* How much memory the communicator holds; in host mode host memory, all of it persistent. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommMemStats,
                    (ncclComm_t comm, ncclCommMemStat_t stat, uint64_t* value));

/* ncclSuccess, ncclInProgress, or the failure that ended the communicator (which stays). From any thread. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommGetAsyncError, (ncclComm_t comm, ncclResult_t* asyncError));
/* How many ranks; this rank's device; which rank this is. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommCount, (const ncclComm_t comm, int* count));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommCuDevice, (const ncclComm_t comm, int* device));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommUserRank, (const ncclComm_t comm, int* rank));

/* Hints that a buffer will be used often. *handle may be NULL where there is nothing to gain. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommRegister,
                    (const ncclComm_t comm, void* buff, size_t size, void** handle));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommDeregister, (const ncclComm_t comm, void* handle));
/* Collective: every rank shows `size` bytes of its own (sizes may differ) to the others, which put into them
 * with ncclPutSignal; *win then stands for the buffers of all. Success and *win is NULL where some rank
 * cannot reach another's buffer: ranks on several hosts, or memory that is not of ncclMemAlloc where the
 * kernel forbids process_vm_writev. Blocks, also in a group. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommWindowRegister,
                    (ncclComm_t comm, void* buff, size_t size, ncclWindow_t* win, int winFlags));
/* The buffer may be freed once all ranks have called this. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclCommWindowDeregister, (ncclComm_t comm, ncclWindow_t win));
/* The buffer that this rank registered. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclWinGetUserPtr, (ncclComm_t comm, ncclWindow_t win, void** outUserPtr));

/* A sum whose every contribution is first multiplied by *scalar of `datatype`; for this communicator and type
 * only. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclRedOpCreatePreMulSum,
                    (ncclRedOp_t * op, void* scalar, ncclDataType_t datatype, ncclScalarResidence_t residence,
                     ncclComm_t comm));
/* Legal as soon as the calls that use the operator have returned. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclRedOpDestroy, (ncclRedOp_t op, ncclComm_t comm));

/* ---- Collectives. Counts are in elements of `datatype`. "In place" is the only overlap allowed. ---- */

/* recvbuff = the reduction of all sendbuffs, on every rank. In place: sendbuff == recvbuff. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclAllReduce,
                    (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                     ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream));
/* The same at the root only; recvbuff may be NULL elsewhere. In place: sendbuff == recvbuff. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclReduce,
                    (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                     ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream));
/* recvbuff = the root's sendbuff, which may be NULL elsewhere. In place: sendbuff == recvbuff. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclBroadcast,
                    (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
                     ncclComm_t comm, cudaStream_t stream));
/* ncclBroadcast in place, by its old name. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclBcast,
                    (void* buff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm,
                     cudaStream_t stream));
/* Block r of the reduction to rank r. In place: recvbuff == sendbuff + rank * recvcount. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclReduceScatter,
                    (const void* sendbuff, void* recvbuff, size_t recvcount, ncclDataType_t datatype,
                     ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream));
/* All sendbuffs one after the other, in rank order. In place: sendbuff == recvbuff + rank * sendcount. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclAllGather,
                    (const void* sendbuff, void* recvbuff, size_t sendcount, ncclDataType_t datatype,
                     ncclComm_t comm, cudaStream_t stream));
/* Block p of sendbuff to rank p, whose block lands as block p of recvbuff; `count` each. Never in place. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclAlltoAll,
                    (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                     ncclComm_t comm, cudaStream_t stream));
/* All sendbuffs, in rank order, to the root; recvbuff may be NULL elsewhere. In place: sendbuff == recvbuff +
 * root * count at the root. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclGather,
                    (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
                     ncclComm_t comm, cudaStream_t stream));
/* Block p of the root's sendbuff to rank p; sendbuff may be NULL elsewhere. In place: recvbuff == sendbuff +
 * root * count at the root. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclScatter,
                    (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
                     ncclComm_t comm, cudaStream_t stream));
/* To, and from, one peer; each must be met by the other's call with the same count and type. The n-th send to
 * a peer meets that peer's n-th receive. Calls that wait for each other, and those to oneself, belong in one
 * group. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclSend,
                    (const void* sendbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                     cudaStream_t stream));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclRecv,
                    (void* recvbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
                     cudaStream_t stream));

/* ---- Collectives with wishes for one call: see ncclCollConfig_t. ---- */

HANSA_NCCL_FUNCTION(ncclResult_t, ncclAllReduceConfig,
                    (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                     ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclReduceConfig,
                    (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                     ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream,
                     const ncclCollConfig_t* config));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclBroadcastConfig,
                    (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
                     ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclReduceScatterConfig,
                    (const void* sendbuff, void* recvbuff, size_t recvcount, ncclDataType_t datatype,
                     ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclAllGatherConfig,
                    (const void* sendbuff, void* recvbuff, size_t sendcount, ncclDataType_t datatype,
                     ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclAlltoAllConfig,
                    (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype,
                     ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclGatherConfig,
                    (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
                     ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclScatterConfig,
                    (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
                     ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config));

/* ---- One-sided: the peer need not be in a call. Between ranks whose window is not NULL. ---- */

/* Copies `count` elements to `peerWinOffset` bytes into the peer's buffer of the window, then signals: who
 * has waited for the signal sees the data. localbuff may be used again when the operation is complete. sigIdx
 * and ctx tell independent signals of the same pair of ranks apart, from 0 (up to 15 and 3); `flags` must be
 * 0. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclPutSignal,
                    (const void* localbuff, size_t count, ncclDataType_t datatype, int peer,
                     ncclWindow_t peerWin, size_t peerWinOffset, int sigIdx, int ctx, unsigned int flags,
                     ncclComm_t comm, cudaStream_t stream));
/* The signal alone: after all that this rank has put to the peer before. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclSignal,
                    (int peer, int sigIdx, int ctx, unsigned int flags, ncclComm_t comm,
                     cudaStream_t stream));
/* Waits for all that is described, and counts it as waited for. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclWaitSignal,
                    (int nDesc, ncclWaitSignalDesc_t* signalDescs, ncclComm_t comm, cudaStream_t stream));

/* ---- Groups ---- */

/* What this thread calls between the two starts together when the outermost group ends: point-to-point
 * operations proceed at once, operations on several communicators and initialisations of several ranks wait
 * for one another. Groups nest. A call in a group still returns an error of its arguments at once;
 * ncclGroupEnd returns it again and runs nothing. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclGroupStart, (void));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclGroupEnd, (void));
/* Ends the group without running it and estimates how long it would have taken. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclGroupSimulateEnd, (ncclSimInfo_t * simInfo));

/* ---- Settings: the environment variables of docs/environment.md, by name. From any thread. ---- */

/* The setting of that name; ncclInvalidArgument where there is none. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamBind, (ncclParamHandle_t * out, const char* key));
/* Its value as a number; ncclInvalidUsage where it is none, or does not fit. A switch is 0 or 1. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamGetI8, (ncclParamHandle_t h, int8_t* out));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamGetI16, (ncclParamHandle_t h, int16_t* out));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamGetI32, (ncclParamHandle_t h, int32_t* out));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamGetI64, (ncclParamHandle_t h, int64_t* out));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamGetU8, (ncclParamHandle_t h, uint8_t* out));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamGetU16, (ncclParamHandle_t h, uint16_t* out));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamGetU32, (ncclParamHandle_t h, uint32_t* out));
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamGetU64, (ncclParamHandle_t h, uint64_t* out));
/* Its value as text, empty where it is unset; valid until this thread asks again. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamGetStr, (ncclParamHandle_t h, const char** out));
/* The text, without its end, into `out`; *len is how long it is. ncclInvalidUsage where maxLen is less. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamGet, (ncclParamHandle_t h, void* out, int maxLen, int* len));
/* Bind and GetStr in one; *valueLen is the text's length. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamGetParameter,
                    (const char* key, const char** value, int* valueLen));
/* The names of all; the table is the library's and stays. */
HANSA_NCCL_FUNCTION(ncclResult_t, ncclParamGetAllParameterKeys, (const char*** table, int* tableLen));
/* All names and values to stdout, one a line. */
HANSA_NCCL_FUNCTION(void, ncclParamDumpAll, (void));

#ifdef __cplusplus
}
#endif

#undef HANSA_NCCL_FUNCTION
#undef HANSA_NCCL_VISIBLE

#endif /* NCCL_H_ */
