// The collectives with wishes for one call: the plain ones, once the wishes are judged.
#include "capi/translate.hpp"
#include "capi/twin.hpp"
#include "capi/wishes.hpp"

using namespace hansa;  // NOLINT: this file is nothing but the library seen from C

// ncclXConfig(..., config) from ncclX(...): the parameters, and their names.
#define WITH_CONFIG(name, parameters, names)                                                   \
  ncclResult_t pnccl##name##Config parameters {                                                \
    const Status status = check_wishes(config);                                                \
    return status.ok() ? pnccl##name names : guarded([&] { return report_in_group(status); }); \
  }                                                                                            \
  TWIN(name##Config)

WITH_CONFIG(AllReduce,
            (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
             ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config),
            (sendbuff, recvbuff, count, datatype, op, comm, stream));
WITH_CONFIG(Reduce,
            (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
             int root, ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config),
            (sendbuff, recvbuff, count, datatype, op, root, comm, stream));
WITH_CONFIG(Broadcast,
            (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
             ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config),
            (sendbuff, recvbuff, count, datatype, root, comm, stream));
WITH_CONFIG(ReduceScatter,
            (const void* sendbuff, void* recvbuff, size_t recvcount, ncclDataType_t datatype, ncclRedOp_t op,
             ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config),
            (sendbuff, recvbuff, recvcount, datatype, op, comm, stream));
WITH_CONFIG(AllGather,
            (const void* sendbuff, void* recvbuff, size_t sendcount, ncclDataType_t datatype, ncclComm_t comm,
             cudaStream_t stream, const ncclCollConfig_t* config),
            (sendbuff, recvbuff, sendcount, datatype, comm, stream));
WITH_CONFIG(AlltoAll,
            (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclComm_t comm,
             cudaStream_t stream, const ncclCollConfig_t* config),
            (sendbuff, recvbuff, count, datatype, comm, stream));
WITH_CONFIG(Gather,
            (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
             ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config),
            (sendbuff, recvbuff, count, datatype, root, comm, stream));
WITH_CONFIG(Scatter,
            (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
             ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config),
            (sendbuff, recvbuff, count, datatype, root, comm, stream));
