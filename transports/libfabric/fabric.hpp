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

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hansa/types.hpp"
#include "transports/libfabric/provider.hpp"

namespace hansa::libfabric {

struct CloseFid {
  template <class Object>
  void operator()(Object* object) const {
    fi_close(&object->fid);
  }
};
template <class Object>
using Owned = std::unique_ptr<Object, CloseFid>;

class Fabric {
 public:
  // Binds to what the wish names and to nothing else. kUnsupported where no provider can do as it says.
  static Result<std::unique_ptr<Fabric>> open(std::shared_ptr<const Library> library, const Wish& wish);

  const fi_info& info() const { return *choice_.info; }
  // fi_getname(): what a peer gives to its insert().
  const std::vector<std::byte>& name() const { return name_; }
  // Bytes from outside: refused unless they are of the length and family of our own, or a string where it is
  // one. The same name has the same address.
  Result<fi_addr_t> insert(BytesView name);

  // Makes memory known to the provider where it asks for that (FI_MR_LOCAL); otherwise null, which send() and
  // receive() take as well. To be closed before the fabric, and before the endpoint if and only if `binds()`.
  Result<Owned<fid_mr>> enroll(Bytes memory);
  // Whether it asks for that.
  bool registers() const { return wants(FI_MR_LOCAL); }
  // Regions belong to the endpoint (FI_MR_ENDPOINT), so that what is posted must end before they are closed.
  bool binds() const { return wants(FI_MR_LOCAL) && wants(FI_MR_ENDPOINT); }

  // Receives match the peer where the provider can (FI_DIRECTED_RECV); where not, the tag must name it.
  bool directed() const { return choice_.directed; }

  // As libfabric's: 0, -FI_EAGAIN (call read(), then try again) or another negated error. The context is a
  // fi_context2 that stays where it is until its completion.
  ssize_t send(BytesView message, fid_mr* memory, fi_addr_t peer, std::uint64_t tag, void* context) {
    if (!endpoint_) return -FI_ESHUTDOWN;
    return fi_tsend(endpoint_.get(), message.data(), message.size(), describe(memory), peer, tag, context);
  }
  ssize_t receive(Bytes buffer, fid_mr* memory, fi_addr_t peer, std::uint64_t tag, void* context) {
    if (!endpoint_) return -FI_ESHUTDOWN;
    return fi_trecv(endpoint_.get(), buffer.data(), buffer.size(), describe(memory),
                    directed() ? peer : FI_ADDR_UNSPEC, tag, 0, context);
  }
  // Asks for the end of a posted receive: it then fails with FI_ECANCELED, unless a message is in it already.
  void cancel(void* context) {
    if (endpoint_) fi_cancel(&endpoint_->fid, context);
  }
  // Library's, of a provider that has one; else 0.
  std::uint32_t eager_limit() const {
    const bool has =
        std::string_view(info().fabric_attr->prov_name).find("ofi_rxm") != std::string_view::npos;
    return has ? library_->eager_limit : 0;
  }
  // From now on the provider touches no buffer, and takes no call. Memory it knew may be closed and freed.
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
  Fabric(std::shared_ptr<const Library> library, Choice choice)
      : library_(std::move(library)), choice_(std::move(choice)) {}
  Status open_objects(std::size_t completions);
  Status check(int result, const char* call) const;
  bool is_like_ours(BytesView name) const;
  bool wants(int mode) const { return (info().domain_attr->mr_mode & mode) != 0; }
  static void* describe(fid_mr* memory) { return memory == nullptr ? nullptr : fi_mr_desc(memory); }

  // In the order of opening; closed in reverse.
  std::shared_ptr<const Library> library_;
  Choice choice_;
  Owned<fid_fabric> fabric_;
  Owned<fid_domain> domain_;
  Owned<fid_av> addresses_;
  Owned<fid_cq> queue_;
  Owned<fid_ep> endpoint_;
  std::uint64_t next_key_ = 1;
  std::vector<std::byte> name_;
  std::map<std::string, fi_addr_t> addresses_of_;  // by name
};

}  // namespace hansa::libfabric
