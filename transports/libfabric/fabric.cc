#include "transports/libfabric/fabric.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cstring>

namespace hansa::libfabric {
namespace {

constexpr std::uint32_t kVersion = FI_VERSION(1, 17);
// Reliable datagrams over TCP: the one provider of tagged messages that every machine has.
constexpr char kProvider[] = "tcp;ofi_rxm";

// What we ask for. Of the memory modes, FI_MR_LOCAL is obeyed in enroll(); the others concern only memory
// that peers reach, of which there is none.
Result<Info> find_info(const Library& library, const char* address, std::size_t receives, bool directed) {
  const Info hints(library.dupinfo(nullptr), {&library});
  if (!hints) return Status(Code::kSystem, "libfabric has no memory for its hints");
  hints->caps = FI_MSG | FI_TAGGED | FI_SEND | FI_RECV | (directed ? FI_DIRECTED_RECV : 0);
  hints->mode = FI_CONTEXT | FI_CONTEXT2;
  hints->ep_attr->type = FI_EP_RDM;
  hints->tx_attr->msg_order = FI_ORDER_SAS;
  hints->rx_attr->msg_order = FI_ORDER_SAS;
  hints->rx_attr->size = receives;
  hints->domain_attr->threading = FI_THREAD_DOMAIN;
  hints->domain_attr->control_progress = FI_PROGRESS_MANUAL;
  hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
  hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_VIRT_ADDR;
  hints->fabric_attr->prov_name = strdup(kProvider);  // freed with the hints
  fi_info* found = nullptr;
  const std::uint64_t flags = address == nullptr ? 0 : FI_SOURCE | FI_NUMERICHOST;
  const int result = library.getinfo(kVersion, address, nullptr, flags, hints.get(), &found);
  if (result == 0) return Info(found, {&library});
  return Status(Code::kUnsupported,
                fmt::format("libfabric has no provider {} for {} with {} posted receives ({}); see fi_info, "
                            "HANSA_INTERFACE and FI_PROVIDER",
                            kProvider, address == nullptr ? "any address" : address, receives,
                            library.strerror(-result)));
}

}  // namespace

Status probe_provider(const Library& library) { return find_info(library, nullptr, 0, false).status(); }

Result<std::unique_ptr<Fabric>> Fabric::open(std::shared_ptr<const Library> library,
                                             const std::string& address, std::size_t receives) {
  bool directed = true;
  Result<Info> info = find_info(*library, address.c_str(), receives, directed);
  if (!info.ok()) {
    directed = false;
    info = find_info(*library, address.c_str(), receives, directed);
  }
  if (!info.ok()) return info.status();
  std::unique_ptr<Fabric> fabric(new Fabric(std::move(library), std::move(info).value()));
  fabric->directed_ = directed;
  // Every receive may be complete and every slot sent (as many again) before the queue is read.
  HANSA_RETURN_IF_ERROR(fabric->open_objects(2 * receives));
  return fabric;
}

Status Fabric::open_objects(std::size_t completions) {
  fid_fabric* fabric = nullptr;
  HANSA_RETURN_IF_ERROR(check(library_->fabric(info_->fabric_attr, &fabric, nullptr), "fi_fabric"));
  fabric_.reset(fabric);
  fid_domain* domain = nullptr;
  HANSA_RETURN_IF_ERROR(check(fi_domain(fabric, info_.get(), &domain, nullptr), "fi_domain"));
  domain_.reset(domain);
  fi_av_attr av_attr{};
  av_attr.type = FI_AV_TABLE;
  fid_av* addresses = nullptr;
  HANSA_RETURN_IF_ERROR(check(fi_av_open(domain, &av_attr, &addresses, nullptr), "fi_av_open"));
  addresses_.reset(addresses);
  fi_cq_attr cq_attr{};
  cq_attr.size = completions;
  cq_attr.format = FI_CQ_FORMAT_MSG;
  cq_attr.wait_obj = FI_WAIT_NONE;
  fid_cq* queue = nullptr;
  HANSA_RETURN_IF_ERROR(check(fi_cq_open(domain, &cq_attr, &queue, nullptr), "fi_cq_open"));
  queue_.reset(queue);
  fid_ep* endpoint = nullptr;
  HANSA_RETURN_IF_ERROR(check(fi_endpoint(domain, info_.get(), &endpoint, nullptr), "fi_endpoint"));
  endpoint_.reset(endpoint);
  HANSA_RETURN_IF_ERROR(check(fi_ep_bind(endpoint, &addresses->fid, 0), "fi_ep_bind"));
  HANSA_RETURN_IF_ERROR(check(fi_ep_bind(endpoint, &queue->fid, FI_TRANSMIT | FI_RECV), "fi_ep_bind"));
  HANSA_RETURN_IF_ERROR(check(fi_enable(endpoint), "fi_enable"));
  std::size_t bytes = 0;
  if (fi_getname(&endpoint->fid, nullptr, &bytes) != -FI_ETOOSMALL) {
    return Status(Code::kInternal, "fi_getname does not tell the size of an address");
  }
  name_.resize(bytes);
  return check(fi_getname(&endpoint->fid, name_.data(), &bytes), "fi_getname");
}

Status Fabric::check(int result, const char* call) const {
  if (result == 0) return {};
  return Status(Code::kSystem,
                fmt::format("{} of {} failed: {}", call, info_->fabric_attr->prov_name, text(-result)));
}

Result<fi_addr_t> Fabric::insert(BytesView name) {
  const bool socket = info_->addr_format == FI_SOCKADDR || info_->addr_format == FI_SOCKADDR_IN ||
                      info_->addr_format == FI_SOCKADDR_IN6;
  if (name.size() != name_.size() ||
      (socket && std::memcmp(name.data(), name_.data(), sizeof(sa_family_t)) != 0)) {
    return Status(Code::kUnsupported,
                  "the peer's libfabric address is of another kind than ours; see HANSA_INTERFACE");
  }
  fi_addr_t address = FI_ADDR_NOTAVAIL;
  const int inserted = fi_av_insert(addresses_.get(), name.data(), 1, &address, 0, nullptr);
  if (inserted != 1 || address == FI_ADDR_NOTAVAIL) {
    return Status(Code::kSystem,
                  fmt::format("fi_av_insert failed: {}", text(inserted < 0 ? -inserted : FI_EINVAL)));
  }
  return address;
}

Result<Owned<fid_mr>> Fabric::enroll(Bytes memory) {
  if ((info_->domain_attr->mr_mode & FI_MR_LOCAL) == 0) return Owned<fid_mr>();
  fid_mr* region = nullptr;
  HANSA_RETURN_IF_ERROR(check(fi_mr_reg(domain_.get(), memory.data(), memory.size(), FI_SEND | FI_RECV, 0,
                                        next_key_++, 0, &region, nullptr),
                              "fi_mr_reg"));
  return Owned<fid_mr>(region);
}

std::string Fabric::text(int error) const {
  std::string text = library_->strerror(error);
  if (error == FI_EMFILE) text += " (RLIMIT_NOFILE is too low for this process; raise it with ulimit -n)";
  return text;
}

std::string Fabric::text(const fi_cq_err_entry& entry) const {
  char detail[128] = "";
  const char* provider =
      fi_cq_strerror(queue_.get(), entry.prov_errno, entry.err_data, detail, sizeof detail);
  return fmt::format("{} (provider error {}: {})", text(entry.err), entry.prov_errno,
                     provider == nullptr ? "" : provider);
}

}  // namespace hansa::libfabric
