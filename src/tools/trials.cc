#include "tools/trials.hpp"

#include <algorithm>

namespace hansa::tools {
namespace {

using std::size_t;

float sum_at(size_t i, int ranks) {
  float sum = 0;
  for (int r = 0; r < ranks; ++r) sum += value(r, i);
  return sum;
}

size_t whole(size_t count, int) { return count; }
size_t shared_out(size_t count, int ranks) {
  return count / static_cast<size_t>(ranks) * static_cast<size_t>(ranks);
}
size_t share(size_t count, int ranks) { return count / static_cast<size_t>(ranks); }
std::ptrdiff_t same(size_t, int, int) { return 0; }
std::ptrdiff_t own_share(size_t count, int rank, int ranks) {
  return static_cast<std::ptrdiff_t>(share(count, ranks)) * rank;
}
std::ptrdiff_t own_share_back(size_t count, int rank, int ranks) { return -own_share(count, rank, ranks); }

constexpr int kRoot = 0;

// The v-forms give rank r a length that depends on r, zero included: shares of 0, 1, 2, 0, 1, 2, ... parts.
struct Uneven {
  std::vector<size_t> counts, offsets;
  Uneven(size_t count, int ranks) {
    size_t at = 0;
    for (int r = 0; r < ranks; ++r) {
      counts.push_back(share(count, ranks) / 2 * static_cast<size_t>(r % 3));
      offsets.push_back(at);
      at += counts.back();
    }
  }
  size_t owner(size_t i) const {
    size_t r = 0;
    while (r < counts.size() && (i < offsets[r] || i >= offsets[r] + counts[r])) ++r;
    return r;
  }
};

// alltoallv: from s to d go share/2 * ((s + d) % 3) elements, packed.
struct UnevenExchange {
  std::vector<size_t> send, send_at, receive, receive_at;
  UnevenExchange(size_t count, int rank, int ranks) {
    size_t out = 0, in = 0;
    for (int peer = 0; peer < ranks; ++peer) {
      send.push_back(share(count, ranks) / 2 * static_cast<size_t>((rank + peer) % 3));
      receive.push_back(send.back());
      send_at.push_back(out);
      receive_at.push_back(in);
      out += send.back();
      in += receive.back();
    }
  }
};

float expect_gathered(size_t i, size_t count, int, int ranks) {
  const size_t b = share(count, ranks);
  return value(static_cast<int>(i / b), i % b);
}

const Trial kTrials[] = {
    {"all_reduce", "sum", -1, true, 0, whole,
     [](const float* in, float* out, size_t count, int, int, ncclComm_t comm) {
       return ncclAllReduce(in, out, count, ncclFloat, ncclSum, comm, nullptr);
     },
     [](size_t i, size_t count, int, int ranks) { return i < count ? sum_at(i, ranks) : -1; }, same},
    {"all_gather", "none", -1, true, 0, shared_out,
     [](const float* in, float* out, size_t count, int, int ranks, ncclComm_t comm) {
       return ncclAllGather(in, out, share(count, ranks), ncclFloat, comm, nullptr);
     },
     expect_gathered, own_share},
    {"reduce_scatter", "sum", -1, true, 0, shared_out,
     [](const float* in, float* out, size_t count, int, int ranks, ncclComm_t comm) {
       return ncclReduceScatter(in, out, share(count, ranks), ncclFloat, ncclSum, comm, nullptr);
     },
     [](size_t i, size_t count, int rank, int ranks) {
       return i < share(count, ranks) ? sum_at(i + static_cast<size_t>(own_share(count, rank, ranks)), ranks)
                                      : -1;
     },
     own_share_back},
    {"broadcast", "none", kRoot, true, 1, whole,
     [](const float* in, float* out, size_t count, int, int, ncclComm_t comm) {
       return ncclBroadcast(in, out, count, ncclFloat, kRoot, comm, nullptr);
     },
     [](size_t i, size_t, int, int) { return value(kRoot, i); }, same},
    {"reduce", "sum", kRoot, true, 1, whole,
     [](const float* in, float* out, size_t count, int, int, ncclComm_t comm) {
       return ncclReduce(in, out, count, ncclFloat, ncclSum, kRoot, comm, nullptr);
     },
     [](size_t i, size_t, int rank, int ranks) { return rank == kRoot ? sum_at(i, ranks) : -1; }, same},
    {"alltoall", "none", -1, false, 0, shared_out,
     [](const float* in, float* out, size_t count, int, int ranks, ncclComm_t comm) {
       return ncclAlltoAll(in, out, share(count, ranks), ncclFloat, comm, nullptr);
     },
     [](size_t i, size_t count, int rank, int ranks) {
       const size_t b = share(count, ranks);
       return value(static_cast<int>(i / b), i % b + b * static_cast<size_t>(rank));
     },
     same},
    {"gather", "none", kRoot, true, 0, shared_out,
     [](const float* in, float* out, size_t count, int, int ranks, ncclComm_t comm) {
       return ncclGather(in, out, share(count, ranks), ncclFloat, kRoot, comm, nullptr);
     },
     [](size_t i, size_t count, int rank, int ranks) {
       return rank == kRoot ? expect_gathered(i, count, rank, ranks) : -1;
     },
     own_share},
    {"scatter", "none", kRoot, true, 0, shared_out,
     [](const float* in, float* out, size_t count, int, int ranks, ncclComm_t comm) {
       return ncclScatter(in, out, share(count, ranks), ncclFloat, kRoot, comm, nullptr);
     },
     [](size_t i, size_t count, int rank, int ranks) {
       return i < share(count, ranks) ? value(kRoot, i + static_cast<size_t>(own_share(count, rank, ranks)))
                                      : -1;
     },
     own_share_back},
    {"sendrecv", "none", -1, false, 1, whole,
     [](const float* in, float* out, size_t count, int rank, int ranks, ncclComm_t comm) {
       ncclGroupStart();
       ncclSend(in, count, ncclFloat, (rank + 1) % ranks, comm, nullptr);
       ncclRecv(out, count, ncclFloat, (rank + ranks - 1) % ranks, comm, nullptr);
       return ncclGroupEnd();
     },
     [](size_t i, size_t, int rank, int ranks) { return value((rank + ranks - 1) % ranks, i); }, same},
    {"all_gatherv", "none", -1, false, 0, whole,
     [](const float* in, float* out, size_t count, int rank, int ranks, ncclComm_t comm) {
       const Uneven uneven(count, ranks);
       return hansaAllGatherV(in, uneven.counts[static_cast<size_t>(rank)], out, uneven.counts.data(),
                              uneven.offsets.data(), ncclFloat, comm, nullptr);
     },
     [](size_t i, size_t count, int, int ranks) {
       const Uneven uneven(count, ranks);
       const size_t r = uneven.owner(i);
       return r < uneven.counts.size() ? value(static_cast<int>(r), i - uneven.offsets[r]) : -1;
     },
     same},
    {"reduce_scatterv", "sum", -1, false, 0, whole,
     [](const float* in, float* out, size_t count, int, int ranks, ncclComm_t comm) {
       return hansaReduceScatterV(in, out, Uneven(count, ranks).counts.data(), ncclFloat, ncclSum, comm,
                                  nullptr);
     },
     [](size_t i, size_t count, int rank, int ranks) {
       const Uneven uneven(count, ranks);
       const auto r = static_cast<size_t>(rank);
       return i < uneven.counts[r] ? sum_at(uneven.offsets[r] + i, ranks) : -1;
     },
     same},
    {"alltoallv", "none", -1, false, 0, whole,
     [](const float* in, float* out, size_t count, int rank, int ranks, ncclComm_t comm) {
       const UnevenExchange e(count, rank, ranks);
       return hansaAllToAllV(in, e.send.data(), e.send_at.data(), out, e.receive.data(), e.receive_at.data(),
                             ncclFloat, comm, nullptr);
     },
     [](size_t i, size_t count, int rank, int ranks) {
       const UnevenExchange mine(count, rank, ranks);
       for (size_t s = 0; s < mine.receive.size(); ++s)
         if (i >= mine.receive_at[s] && i < mine.receive_at[s] + mine.receive[s])
           return value(static_cast<int>(s),
                        UnevenExchange(count, static_cast<int>(s), ranks).send_at[static_cast<size_t>(rank)] +
                            i - mine.receive_at[s]);
       return -1.0f;
     },
     same},
    {"barrier", "none", -1, false, 0, [](size_t, int) { return size_t{0}; },
     [](const float*, float*, size_t, int, int, ncclComm_t comm) { return hansaBarrier(comm, nullptr); },
     [](size_t, size_t, int, int) { return -1.0f; }, same},
};

}  // namespace

std::span<const Trial> trials(int) { return kTrials; }

}  // namespace hansa::tools
