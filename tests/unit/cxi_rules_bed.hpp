// Two endpoints in one process under the rules of tests/support/cxi_rules, in the raw calls of libfabric.
#pragma once

#include <gtest/gtest.h>
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace hansa::test {

using Values = std::map<std::string, std::string>;

// Environment variables that are set while it lives.
class Variables {
 public:
  explicit Variables(const Values& values);
  ~Variables();
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  std::vector<std::string> names_;
};

// The calls of the stand-in, loaded by its path.
struct Fi {
  static const Fi& get();
  decltype(&::fi_getinfo) getinfo;
  decltype(&::fi_freeinfo) freeinfo;
  decltype(&::fi_dupinfo) dupinfo;
  decltype(&::fi_fabric) fabric;
  decltype(&::fi_version) version;
  decltype(&::fi_strerror) strerror;
};

struct FreeInfo {
  void operator()(fi_info* info) const { Fi::get().freeinfo(info); }
};
using Info = std::unique_ptr<fi_info, FreeInfo>;

// Hints that cxi answers; `change` may spoil them.
Info hints(const std::function<void(fi_info&)>& change = {});
// Null for -FI_ENODATA; anything else fails the test.
Info ask(const fi_info& hints, const char* node = nullptr);

struct Outcome {
  void* context = nullptr;
  int error = 0;
  std::size_t bytes = 0;
};

// An endpoint with all that belongs to it.
class Side {
 public:
  explicit Side(bool enable = true, const std::function<void(fi_info&)>& change = {});
  ~Side();
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  // Inserts the other's address.
  void meet(Side& other);
  // A region; bound to this endpoint and enabled if so wished.
  fid_mr* enroll(void* memory, std::size_t bytes, bool enable, std::uint64_t key = 1);
  // What the queue has now.
  std::vector<Outcome> read();
  void close_endpoint();

  Info info;
  fid_fabric* fabric = nullptr;
  fid_domain* domain = nullptr;
  fid_av* addresses = nullptr;
  fid_cq* queue = nullptr;
  fid_ep* endpoint = nullptr;
  fi_addr_t peer = FI_ADDR_UNSPEC;
  std::vector<fid_mr*> regions;  // closed with the side; take out what a test closes itself
};

// A pair that knows each other; reading goes on at both ends.
class Pair {
 public:
  explicit Pair(const std::function<void(fi_info&)>& change = {});
  // Repeats a post while it is refused.
  ssize_t post(const std::function<ssize_t()>& call);
  // Reads until the call with this context, at whichever end, has ended; -1 when it takes absurdly long.
  Outcome wait(const void* context);
  void read();

  Side a, b;
  std::vector<Outcome> outcomes;  // of both, in the order of reading, but for those that were waited for
};

}  // namespace hansa::test
