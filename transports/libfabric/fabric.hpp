// One endpoint of the fabric with all that it needs: what libfabric calls fabric, domain, address vector,
// completion queue and endpoint, opened together and closed in the right order. Knows nothing of slots.
//
// Progress is manual: nothing moves but inside of send(), receive() and read(). One thread at a time.
#pragma once

#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_tagged.h>

#include <memory>
#include <string>
#include <vector>

#include "hansa/types.hpp"
#include "transports/libfabric/library.hpp"

namespace hansa::libfabric {

struct CloseFid {
  template <class Object>
  void operator()(Object* object) const {
    fi_close(&object->fid);
  }
};
template <class Object>
using Owned = std::unique_ptr<Object, CloseFid>;

struct FreeInfo {
  const Library* library;
  void operator()(fi_info* info) const { library->freeinfo(info); }
};
using Info = std::unique_ptr<fi_info, FreeInfo>;

// Whether a provider that we can use is there at all.
Status probe_provider(const Library& library);

class Fabric {
 public:
  // Binds to the numeric IP address and to no other. `receives` is the most that will be posted at a time.
  static Result<std::unique_ptr<Fabric>> open(std::shared_ptr<const Library> library,
                                              const std::string& address, std::size_t receives);

  // fi_getname(): what a peer gives to its insert().
  const std::vector<std::byte>& name() const { return name_; }
  // Bytes from outside: refused unless they are of the length and family of our own.
  Result<fi_addr_t> insert(BytesView name);

  // Makes memory known to the provider where it asks for that (FI_MR_LOCAL); otherwise null, which send() and
  // receive() take as well. To be closed after the endpoint and before the fabric.
  Result<Owned<fid_mr>> enroll(Bytes memory);

  // Receives match the peer where the provider can (FI_DIRECTED_RECV); where not, the tag must name it.
  bool directed() const { return directed_; }

  // As libfabric's: 0, -FI_EAGAIN (call read(), then try again) or another negated error. The context is a
  // fi_context2 that stays where it is until its completion.
  ssize_t send(BytesView message, fid_mr* memory, fi_addr_t peer, std::uint64_t tag, void* context) {
    return fi_tsend(endpoint_.get(), message.data(), message.size(), describe(memory), peer, tag, context);
  }
  ssize_t receive(Bytes buffer, fid_mr* memory, fi_addr_t peer, std::uint64_t tag, void* context) {
    return fi_trecv(endpoint_.get(), buffer.data(), buffer.size(), describe(memory),
                    directed_ ? peer : FI_ADDR_UNSPEC, tag, 0, context);
  }
  // From now on the provider touches no buffer. Memory it knew may be closed and freed; nothing else may be
  // called.
  void close_endpoint() { endpoint_.reset(); }
  // Number of completions, -FI_EAGAIN for none, -FI_EAVAIL for a failed one (then read_error()).
  ssize_t read(fi_cq_msg_entry* entries, std::size_t count) {
    return fi_cq_read(queue_.get(), entries, count);
  }
  // False if there was none after all.
  bool read_error(fi_cq_err_entry& entry) { return fi_cq_readerr(queue_.get(), &entry, 0) > 0; }

  // Words for an error of a post (error positive) and of a completion.
  std::string text(int error) const;
  std::string text(const fi_cq_err_entry& entry) const;

 private:
  Fabric(std::shared_ptr<const Library> library, Info info)
      : library_(std::move(library)), info_(std::move(info)) {}
  Status open_objects(std::size_t completions);
  Status check(int result, const char* call) const;
  static void* describe(fid_mr* memory) { return memory == nullptr ? nullptr : fi_mr_desc(memory); }

  // In the order of opening; closed in reverse.
  std::shared_ptr<const Library> library_;
  Info info_;
  Owned<fid_fabric> fabric_;
  Owned<fid_domain> domain_;
  Owned<fid_av> addresses_;
  Owned<fid_cq> queue_;
  Owned<fid_ep> endpoint_;
  bool directed_ = false;
  std::uint64_t next_key_ = 1;
  std::vector<std::byte> name_;
};

}  // namespace hansa::libfabric
