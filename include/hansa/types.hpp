// The vocabulary that every part shares: ranks, element types, reductions, collectives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace hansa {

using Rank = std::int32_t;
using Bytes = std::span<std::byte>;
using BytesView = std::span<const std::byte>;

// Values equal ncclDataType_t's, so that translating is a range check and a cast.
enum class DataType : std::uint8_t {
  kInt8,
  kUint8,
  kInt32,
  kUint32,
  kInt64,
  kUint64,
  kFloat16,
  kFloat32,
  kFloat64,
  kBfloat16,
  kFloat8E4M3,
  kFloat8E5M2,
};
inline constexpr int kDataTypes = 12;

// kAvg and kPreMulSum are kSum with a factor: see CombineCall in device.hpp.
enum class ReduceOp : std::uint8_t { kSum, kProd, kMax, kMin, kAvg, kPreMulSum };
inline constexpr int kReduceOps = 6;

// The v-forms and kBarrier have no schedules of their own: they run those of the plain form over
// other block sizes (a barrier is an allreduce whose blocks are empty). kPointToPoint is a group of
// sends and receives.
enum class Collective : std::uint8_t {
  kAllReduce,
  kAllGather,
  kReduceScatter,
  kBroadcast,
  kReduce,
  kAllToAll,
  kGather,
  kScatter,
  kBarrier,
  kAllGatherV,
  kReduceScatterV,
  kAllToAllV,
  kPointToPoint,
};
inline constexpr int kCollectives = 13;

inline constexpr std::uint8_t kSizes[kDataTypes] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1};
constexpr std::size_t size_of(DataType type) { return kSizes[static_cast<int>(type)]; }

constexpr std::string_view name_of(DataType type) {
  constexpr std::string_view kNames[kDataTypes] = {"int8", "uint8", "int32",  "uint32",   "int64",  "uint64",
                                                   "half", "float", "double", "bfloat16", "f8e4m3", "f8e5m2"};
  return kNames[static_cast<int>(type)];
}

constexpr std::string_view name_of(ReduceOp op) {
  constexpr std::string_view kNames[kReduceOps] = {"sum", "prod", "max", "min", "avg", "mulsum"};
  return kNames[static_cast<int>(op)];
}

constexpr std::string_view name_of(Collective collective) {
  constexpr std::string_view kNames[kCollectives] = {
      "allreduce", "allgather", "reduce_scatter", "broadcast",       "reduce",    "alltoall", "gather",
      "scatter",   "barrier",   "allgatherv",     "reduce_scatterv", "alltoallv", "sendrecv"};
  return kNames[static_cast<int>(collective)];
}

constexpr bool is_float(DataType type) {
  return type == DataType::kFloat16 || type == DataType::kFloat32 || type == DataType::kFloat64 ||
         type == DataType::kBfloat16 || type == DataType::kFloat8E4M3 || type == DataType::kFloat8E5M2;
}

// Whether the collective combines contributions (and so takes a ReduceOp).
constexpr bool reduces(Collective collective) {
  return collective == Collective::kAllReduce || collective == Collective::kReduceScatter ||
         collective == Collective::kReduce || collective == Collective::kBarrier ||
         collective == Collective::kReduceScatterV;
}

// Whether the collective has a root.
constexpr bool rooted(Collective collective) {
  return collective == Collective::kBroadcast || collective == Collective::kReduce ||
         collective == Collective::kGather || collective == Collective::kScatter;
}

}  // namespace hansa
