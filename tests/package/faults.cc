// `hansa bench` with faults: the linker puts these between the benchmark and the library (-Wl,--wrap).
// BENCH_FAULT says what goes wrong on rank 0: "flip" (a bit of each result), "skip" (the fifth call is not
// made), "fail" (it fails). BENCH_LAUNCHER="RANK RANKS FILE" is a launcher that hands out bytes through a
// file.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>

#include "hansa/hansa.h"
#include "tools/bench/command.hpp"
#include "tools/bench/launched.hpp"

namespace {

bool fault_is(const char* name) {
  const char* fault = std::getenv("BENCH_FAULT");
  return fault != nullptr && std::strcmp(fault, name) == 0;
}

// What a call on rank 0 does instead of its work, if anything.
bool spoilt(ncclComm_t comm, ncclResult_t& result) {
  thread_local int calls = 0;
  int rank = -1;
  if (ncclCommUserRank(comm, &rank) != ncclSuccess || rank != 0 || ++calls != 5) return false;
  result = fault_is("fail") ? ncclSystemError : ncclSuccess;
  return fault_is("fail") || fault_is("skip");
}

void flip(void* buffer, std::size_t count, ncclComm_t comm) {
  int rank = -1;
  if (!fault_is("flip") || count == 0 || ncclCommUserRank(comm, &rank) != ncclSuccess || rank != 0) return;
  static_cast<unsigned char*>(buffer)[0] ^= 1;
}

thread_local void* received = nullptr;
thread_local ncclComm_t received_of = nullptr;

}  // namespace

// A wrapper for each collective: the call, then the flip.
#define WRAP(name, parameters, arguments, output, count) \
  extern "C" ncclResult_t __real_##name parameters;      \
  extern "C" ncclResult_t __wrap_##name parameters;      \
  ncclResult_t __wrap_##name parameters {                \
    ncclResult_t result = ncclSuccess;                   \
    if (spoilt(comm, result)) return result;             \
    result = __real_##name arguments;                    \
    flip(output, count, comm);                           \
    return result;                                       \
  }

WRAP(ncclAllReduce,
     (const void* in, void* out, size_t n, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
      cudaStream_t stream),
     (in, out, n, type, op, comm, stream), out, n)
WRAP(ncclReduceScatter,
     (const void* in, void* out, size_t n, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
      cudaStream_t stream),
     (in, out, n, type, op, comm, stream), out, n)
WRAP(ncclReduce,
     (const void* in, void* out, size_t n, ncclDataType_t type, ncclRedOp_t op, int root, ncclComm_t comm,
      cudaStream_t stream),
     (in, out, n, type, op, root, comm, stream), out, n)
WRAP(ncclAllGather,
     (const void* in, void* out, size_t n, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream),
     (in, out, n, type, comm, stream), out, n)
WRAP(ncclAlltoAll,
     (const void* in, void* out, size_t n, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream),
     (in, out, n, type, comm, stream), out, n)
WRAP(ncclBroadcast,
     (const void* in, void* out, size_t n, ncclDataType_t type, int root, ncclComm_t comm,
      cudaStream_t stream),
     (in, out, n, type, root, comm, stream), out, n)
WRAP(ncclGather,
     (const void* in, void* out, size_t n, ncclDataType_t type, int root, ncclComm_t comm,
      cudaStream_t stream),
     (in, out, n, type, root, comm, stream), out, n)
WRAP(ncclScatter,
     (const void* in, void* out, size_t n, ncclDataType_t type, int root, ncclComm_t comm,
      cudaStream_t stream),
     (in, out, n, type, root, comm, stream), out, n)
WRAP(hansaAllToAllV,
     (const void* in, const size_t sends[], const size_t send_at[], void* out, const size_t receives[],
      const size_t receive_at[], ncclDataType_t type, ncclComm_t comm, cudaStream_t stream),
     (in, sends, send_at, out, receives, receive_at, type, comm, stream), out, 1)

// Messages arrive when the group ends.
extern "C" ncclResult_t __real_ncclRecv(void*, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
extern "C" ncclResult_t __wrap_ncclRecv(void*, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t);
extern "C" ncclResult_t __real_ncclGroupEnd();
extern "C" ncclResult_t __wrap_ncclGroupEnd();

ncclResult_t __wrap_ncclRecv(void* out, size_t n, ncclDataType_t type, int peer, ncclComm_t comm,
                             cudaStream_t stream) {
  received = n > 0 ? out : nullptr;
  received_of = comm;
  return __real_ncclRecv(out, n, type, peer, comm, stream);
}

ncclResult_t __wrap_ncclGroupEnd() {
  const ncclResult_t result = __real_ncclGroupEnd();
  if (received != nullptr) flip(received, 1, received_of);
  received = nullptr;
  return result;
}

namespace hansa::bench {
namespace {

class FileLauncher : public Launcher {
 public:
  FileLauncher(Job job, std::string path) : job_(std::move(job)), path_(std::move(path)) {}
  const Job& job() const noexcept override { return job_; }
  Result<std::vector<std::byte>> broadcast(std::vector<std::byte> bytes,
                                           std::chrono::milliseconds patience) override {
    if (job_.rank == 0) {
      std::ofstream(path_ + ".part", std::ios::binary)
          .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
      std::rename((path_ + ".part").c_str(), path_.c_str());
      return bytes;
    }
    for (auto left = patience; left.count() > 0; left -= std::chrono::milliseconds(10)) {
      if (std::ifstream file(path_, std::ios::binary); file) {
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        const auto* begin = reinterpret_cast<const std::byte*>(text.data());
        return std::vector<std::byte>(begin, begin + text.size());
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return Status(Code::kRemote, "rank 0 wrote no file");
  }

 private:
  Job job_;
  std::string path_;
};

}  // namespace

Result<std::unique_ptr<Launcher>> launcher_of_this_process() {
  const char* text = std::getenv("BENCH_LAUNCHER");
  if (text == nullptr) return std::unique_ptr<Launcher>();
  Job job;
  char path[512];
  if (std::sscanf(text, "%d %d %511s", &job.rank, &job.ranks, path) != 3)
    return Status(Code::kInvalidArgument, "BENCH_LAUNCHER is no rank, ranks and file");
  job.local_rank = job.rank;
  job.local_ranks = job.ranks;
  job.launcher = "a file";
  return std::unique_ptr<Launcher>(std::make_unique<FileLauncher>(job, path));
}

}  // namespace hansa::bench

int main(int argc, char** argv) { return hansa::tools::bench_main(argc, argv); }
