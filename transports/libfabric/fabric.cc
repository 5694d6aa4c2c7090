#include "transports/libfabric/fabric.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cstring>

#include "transports/libfabric/slingshot.hpp"

namespace hansa::libfabric {

Result<std::unique_ptr<Fabric>> Fabric::open(std::shared_ptr<const Library> library, const Wish& wish) {
  HANSA_ASSIGN_OR_RETURN(Choice choice, choose_provider(*library, wish));
  std::unique_ptr<Fabric> fabric(new Fabric(std::move(library), std::move(choice)));
  // Every receive may be complete and every slot sent (as many again) before the queue is read; and a
  // provider may stop at half (cxi does).
  const Status opened = fabric->open_objects(4 * fabric->info().rx_attr->size);
  if (!opened.ok()) return explained(opened, fabric->info().fabric_attr->prov_name);
  return fabric;
}

Status Fabric::open_objects(std::size_t completions) {
  fid_fabric* fabric = nullptr;
  HANSA_RETURN_IF_ERROR(check(library_->fabric(info().fabric_attr, &fabric, nullptr), "fi_fabric"));
  fabric_.reset(fabric);
  fid_domain* domain = nullptr;
  HANSA_RETURN_IF_ERROR(check(fi_domain(fabric, choice_.info.get(), &domain, nullptr), "fi_domain"));
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
  HANSA_RETURN_IF_ERROR(check(fi_endpoint(domain, choice_.info.get(), &endpoint, nullptr), "fi_endpoint"));
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
                fmt::format("{} of {} failed: {}", call, info().fabric_attr->prov_name, text(-result)));
}

bool Fabric::is_like_ours(BytesView name) const {
  if (info().addr_format == FI_ADDR_STR)
    return !name.empty() && std::memchr(name.data(), 0, name.size()) == &name.back();
  return name.size() == name_.size() &&
         (!speaks_ip(info()) || std::memcmp(name.data(), name_.data(), sizeof(sa_family_t)) == 0);
}

Result<fi_addr_t> Fabric::insert(BytesView name) {
  if (!is_like_ours(name)) {
    return Status(Code::kUnsupported,
                  "the peer's libfabric address is of another kind than ours; see HANSA_INTERFACE");
  }
  // Twice the same name may be two addresses, of which receives match one.
  const auto [entry, fresh] = addresses_of_.try_emplace(
      std::string(reinterpret_cast<const char*>(name.data()), name.size()), FI_ADDR_NOTAVAIL);
  fi_addr_t& address = entry->second;
  if (!fresh && address != FI_ADDR_NOTAVAIL) return address;
  const int inserted = fi_av_insert(addresses_.get(), name.data(), 1, &address, 0, nullptr);
  if (inserted != 1 || address == FI_ADDR_NOTAVAIL) {
    return Status(Code::kSystem,
                  fmt::format("fi_av_insert failed: {}", text(inserted < 0 ? -inserted : FI_EINVAL)));
  }
  return address;
}

Result<Owned<fid_mr>> Fabric::enroll(Bytes memory) {
  if (!wants(FI_MR_LOCAL)) return Owned<fid_mr>();
  if (!endpoint_) return Status(Code::kSystem, "libfabric's endpoint is closed");
  fid_mr* made = nullptr;
  HANSA_RETURN_IF_ERROR(check(fi_mr_reg(domain_.get(), memory.data(), memory.size(), FI_SEND | FI_RECV, 0,
                                        next_key_++, 0, &made, nullptr),
                              "fi_mr_reg"));
  Owned<fid_mr> region(made);
  if (wants(FI_MR_ENDPOINT)) {
    HANSA_RETURN_IF_ERROR(check(fi_mr_bind(made, &endpoint_->fid, 0), "fi_mr_bind"));
    HANSA_RETURN_IF_ERROR(check(fi_mr_enable(made), "fi_mr_enable"));
  }
  return region;
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
