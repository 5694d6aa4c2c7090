// As much of the PMIx standard's C interface (version 4.1, chapters 3 to 6 and the constants of its appendix)
// as the launcher calls: libpmix is loaded at run time, so its headers are not needed to build. A test
// compares every size, offset and number with the real headers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hansa::bootstrap::pmix {

inline constexpr int kSuccess = 0;
inline constexpr int kOperationSucceeded = -157;  // done already: no callback comes
inline constexpr std::uint32_t kRankWildcard = UINT32_MAX - 1;
inline constexpr std::uint8_t kScopeGlobal = 3;

enum Type : std::uint16_t {
  kBool = 1,
  kString = 3,
  kUint16 = 13,
  kUint32 = 14,
};

inline constexpr char kJobSize[] = "pmix.job.size", kLocalSize[] = "pmix.local.size",
                      kLocalRank[] = "pmix.lrank", kCollectData[] = "pmix.collect";

struct Process {
  char name_space[256];
  std::uint32_t rank;
};

struct Value {
  std::uint16_t type;
  union {
    bool flag;
    const char* string;
    std::uint16_t uint16;
    std::uint32_t uint32;
    unsigned char room[24];
  };
};

struct Info {
  char key[512];
  std::uint32_t flags;
  Value value;
};

using DoneCallback = void (*)(int status, void* data);
using ValueCallback = void (*)(int status, Value* value, void* data);

using Init = int (*)(Process* self, Info* info, std::size_t infos);
using Finalize = int (*)(const Info* info, std::size_t infos);
using Put = int (*)(std::uint8_t scope, const char* key, Value* value);
using Commit = int (*)();
using Fence = int (*)(const Process* processes, std::size_t count, const Info* info, std::size_t infos,
                      DoneCallback callback, void* data);
using Get = int (*)(const Process* process, const char* key, const Info* info, std::size_t infos,
                    ValueCallback callback, void* data);
using ErrorString = const char* (*)(int status);

}  // namespace hansa::bootstrap::pmix
