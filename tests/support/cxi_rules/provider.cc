#include "tests/support/cxi_rules/provider.hpp"

#include <dlfcn.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "tests/support/cxi_rules/address.hpp"

namespace hansa::cxi_rules {
namespace {

constexpr char kReal[] = "tcp;ofi_rxm";
constexpr std::uint32_t kVersion = FI_VERSION(1, 17);
constexpr std::size_t kStandardQueue = 512;
constexpr std::uint64_t kTagPattern = 0xaaaaaaaaaaaaaaaa;  // one field

template <class Function>
bool find(void* handle, const char* name, Function& into) {
  into = reinterpret_cast<Function>(dlsym(handle, name));
  return into != nullptr;
}

int needed(const Settings& settings) {
  return FI_MR_ALLOCATED | (settings.unbound ? 0 : FI_MR_ENDPOINT) | (settings.local ? FI_MR_LOCAL : 0);
}

std::uint64_t orders(const Settings& settings) {
  const std::uint64_t writes = FI_ORDER_WAW | FI_ORDER_RMA_WAW | FI_ORDER_RMA_RAR;
  return settings.rnr ? writes : writes | FI_ORDER_SAS;
}

bool has(std::uint64_t wanted, std::uint64_t offered) { return (wanted & ~offered) == 0; }
bool is(const char* wanted, const char* offered) {
  return wanted == nullptr || std::strcmp(wanted, offered) == 0;
}

bool offers(const fi_domain_attr* wanted, const Settings& settings) {
  if (wanted == nullptr) return true;
  return is(wanted->name, kDomain) && wanted->threading != FI_THREAD_ENDPOINT &&
         wanted->threading != FI_THREAD_FID && wanted->control_progress != FI_PROGRESS_AUTO &&
         wanted->data_progress != FI_PROGRESS_AUTO && wanted->av_type != FI_AV_MAP &&
         (wanted->mr_mode & needed(settings)) == needed(settings);
}

bool offers(const fi_tx_attr* wanted, const Settings& settings) {
  return wanted == nullptr ||
         (has(wanted->caps, kCaps) && has(wanted->msg_order, orders(settings)) &&
          wanted->size <= settings.queue && wanted->inject_size <= inject_size(settings) &&
          wanted->iov_limit <= 1 && wanted->rma_iov_limit <= 1);
}

bool offers(const fi_rx_attr* wanted, const Settings& settings) {
  return wanted == nullptr || (has(wanted->caps, kCaps) && has(wanted->msg_order, orders(settings)) &&
                               wanted->size <= settings.queue && wanted->iov_limit <= 1);
}

bool offers(const fi_info& hints, const Settings& settings) {
  const fi_ep_attr* const ep = hints.ep_attr;
  return has(hints.caps, kCaps) &&
         (hints.addr_format == FI_FORMAT_UNSPEC || hints.addr_format == FI_ADDR_CXI) &&
         (ep == nullptr ||
          ((ep->type == FI_EP_UNSPEC || ep->type == FI_EP_RDM) && ep->max_msg_size <= kLongestMessage)) &&
         (hints.fabric_attr == nullptr || is(hints.fabric_attr->prov_name, kProvider)) &&
         offers(hints.domain_attr, settings) && offers(hints.tx_attr, settings) &&
         offers(hints.rx_attr, settings);
}

void rename(char*& name, const char* to) {
  std::free(name);  // as fi_freeinfo() does
  name = strdup(to);
}

// What an endpoint of cxi says about itself instead of what the real one did.
void paint(fi_info& info, const fi_info* hints, const Settings& settings) {
  rename(info.fabric_attr->prov_name, kProvider);
  rename(info.fabric_attr->name, kProvider);
  rename(info.domain_attr->name, kDomain);
  const bool sized = hints != nullptr && hints->tx_attr != nullptr && hints->rx_attr != nullptr;
  const auto granted = [&](std::size_t wanted) {
    return wanted == 0 ? std::min(kStandardQueue, settings.queue) : wanted;
  };
  const std::uint64_t wanted_caps = hints == nullptr || hints->caps == 0 ? kCaps : hints->caps;
  info.caps = wanted_caps | FI_LOCAL_COMM | FI_REMOTE_COMM;
  info.mode = 0;
  info.addr_format = FI_ADDR_CXI;
  std::free(info.src_addr);
  info.src_addrlen = kAddressBytes;
  info.src_addr = std::calloc(1, kAddressBytes);
  info.ep_attr->protocol = FI_PROTO_CXI;
  info.ep_attr->max_msg_size = kLongestMessage;
  info.ep_attr->mem_tag_format = kTagPattern >> (64 - tag_bits(settings));
  info.tx_attr->caps = info.rx_attr->caps = info.caps;
  info.tx_attr->mode = info.rx_attr->mode = 0;
  info.tx_attr->msg_order = info.rx_attr->msg_order = orders(settings);
  info.tx_attr->inject_size = inject_size(settings);
  info.tx_attr->iov_limit = info.tx_attr->rma_iov_limit = info.rx_attr->iov_limit = 1;
  info.tx_attr->size = granted(sized ? hints->tx_attr->size : 0);
  info.rx_attr->size = granted(sized ? hints->rx_attr->size : 0);
  fi_domain_attr& domain = *info.domain_attr;
  const int asked =
      hints == nullptr || hints->domain_attr == nullptr ? FI_MR_PROV_KEY : hints->domain_attr->mr_mode;
  domain.mr_mode = needed(settings) | (asked & FI_MR_PROV_KEY);
  domain.mr_key_size = (domain.mr_mode & FI_MR_PROV_KEY) != 0 ? 8 : 4;
  domain.control_progress = domain.data_progress = FI_PROGRESS_MANUAL;
  domain.cq_cnt = 32;
  domain.ep_cnt = 128;
  domain.mr_iov_limit = 1;
}

}  // namespace

const Library* Library::load() {
  static const Library* const loaded = []() -> const Library* {
    static Library library;
    const std::string path = Settings::read().library;
    void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle != nullptr && find(handle, "fi_getinfo", library.getinfo) &&
        find(handle, "fi_freeinfo", library.freeinfo) && find(handle, "fi_dupinfo", library.dupinfo) &&
        find(handle, "fi_fabric", library.fabric) && find(handle, "fi_version", library.version) &&
        find(handle, "fi_strerror", library.strerror))
      return &library;
    const char* const why = dlerror();
    std::fprintf(stderr, "cxi_rules: %s: %s\n", path.c_str(), why == nullptr ? "no libfabric" : why);
    return nullptr;
  }();
  return loaded;
}

Info plain_info(const Settings& settings, std::size_t receives, int& result) {
  const Library* const library = Library::load();
  result = -FI_ENODATA;
  if (library == nullptr) return nullptr;
  const Info hints(library->dupinfo(nullptr));
  hints->caps = FI_TAGGED | FI_RMA | FI_DIRECTED_RECV;
  hints->mode = FI_CONTEXT | FI_CONTEXT2;
  hints->ep_attr->type = FI_EP_RDM;
  hints->rx_attr->size = receives;
  hints->tx_attr->msg_order = hints->rx_attr->msg_order = FI_ORDER_SAS;
  hints->domain_attr->threading = FI_THREAD_DOMAIN;
  hints->domain_attr->control_progress = hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
  hints->fabric_attr->prov_name = strdup(kReal);
  fi_info* found = nullptr;
  result = library->getinfo(kVersion, settings.address.c_str(), nullptr, FI_SOURCE | FI_NUMERICHOST,
                            hints.get(), &found);
  return Info(found);
}

int answer(const char* node, const fi_info* hints, fi_info** info) {
  const Settings settings = Settings::read();
  // As on cxi, an IP address names no NIC.
  if (!is(node, kDomain) || (hints != nullptr && !offers(*hints, settings))) return -FI_ENODATA;
  int result = 0;
  Info found = plain_info(settings, 0, result);
  if (!found) return result;
  if (found->next != nullptr) Library::load()->freeinfo(std::exchange(found->next, nullptr));
  paint(*found, hints, settings);
  *info = found.release();
  return 0;
}

}  // namespace hansa::cxi_rules
