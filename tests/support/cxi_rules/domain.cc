#include <fmt/format.h>
#include <rdma/fi_errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "tests/support/cxi_rules/address.hpp"
#include "tests/support/cxi_rules/objects.hpp"
#include "tests/support/cxi_rules/rules.hpp"

namespace hansa::cxi_rules {
namespace {

int close_domain(fid* object) {
  auto& domain = as<Domain>(object);
  if (const int result = fi_close(&domain.real->fid); result != 0) return result;
  delete &domain;
  return 0;
}

fi_ops* domain_calls() {
  static fi_ops calls{.size = sizeof(fi_ops),
                      .close = close_domain,
                      .bind = NotThere(),
                      .control = NotThere(),
                      .ops_open = NotThere(),
                      .tostr = NotThere(),
                      .ops_set = NotThere()};
  return &calls;
}

fi_ops_domain* domain_opens() {
  static fi_ops_domain opens{.size = sizeof(fi_ops_domain),
                             .av_open = open_addresses,
                             .cq_open = open_queue,
                             .endpoint = open_endpoint,
                             .scalable_ep = NotThere(),
                             .cntr_open = NotThere(),
                             .poll_open = NotThere(),
                             .stx_ctx = NotThere(),
                             .srx_ctx = NotThere(),
                             .query_atomic = NotThere(),
                             .query_collective = NotThere(),
                             .endpoint2 = NotThere()};
  return &opens;
}

int close_addresses(fid* object) {
  auto& addresses = as<Addresses>(object);
  if (const int result = fi_close(&addresses.real->fid); result != 0) return result;
  delete &addresses;
  return 0;
}

// As many as could be inserted, one by one.
int insert(fid_av* object, const void* bytes, std::size_t count, fi_addr_t* into, std::uint64_t flags,
           void* context) {
  fid_av* const real = static_cast<Addresses*>(object)->real;
  int inserted = 0;
  for (std::size_t index = 0; index < count; ++index) {
    fi_addr_t address = FI_ADDR_NOTAVAIL;
    sockaddr_in plain;
    if (unpack(static_cast<const char*>(bytes) + index * kAddressBytes, plain))
      inserted += fi_av_insert(real, &plain, 1, &address, flags, context) == 1 ? 1 : 0;
    if (into != nullptr) into[index] = address;
  }
  return inserted;
}

int remove(fid_av* object, fi_addr_t* addresses, std::size_t count, std::uint64_t flags) {
  return fi_av_remove(static_cast<Addresses*>(object)->real, addresses, count, flags);
}

const char* in_words(fid_av*, const void*, char* buffer, std::size_t* bytes) {
  if (*bytes > 0) buffer[0] = 0;
  return buffer;
}

}  // namespace

Inside::Inside(Domain& domain, const char* call) : domain_(domain) {
  const int self = static_cast<int>(syscall(SYS_gettid));
  int other = 0;
  if (!domain_.inside.compare_exchange_strong(other, self))
    error_ = broken(kThread, call, fmt::format("threads {} and {} are in one domain at a time", other, self));
}

Inside::~Inside() {
  if (error_ == 0) domain_.inside.store(0);
}

int open_domain(fid_fabric* object, fi_info* info, fid_domain** into, void* context) {
  auto& fabric = *static_cast<Fabric*>(object);
  if (fabric.settings.network && std::getenv("SLINGSHOT_VNIS") == nullptr) return -FI_ENOSPC;
  auto domain = std::make_unique<Domain>();
  domain->fid = {FI_CLASS_DOMAIN, context, domain_calls()};
  domain->ops = domain_opens();
  domain->mr = region_calls();
  domain->settings = fabric.settings;
  domain->mr_mode = info->domain_attr->mr_mode;
  int result = 0;
  domain->real_info = plain_info(fabric.settings, info->rx_attr->size, result);
  if (!domain->real_info) return result;
  result = fi_domain(fabric.real, domain->real_info.get(), &domain->real, nullptr);
  if (result == 0) *into = domain.release();
  return result;
}

int open_addresses(fid_domain* object, fi_av_attr* attributes, fid_av** into, void* context) {
  static fi_ops calls{.size = sizeof(fi_ops),
                      .close = close_addresses,
                      .bind = NotThere(),
                      .control = NotThere(),
                      .ops_open = NotThere(),
                      .tostr = NotThere(),
                      .ops_set = NotThere()};
  static fi_ops_av inserts{.size = sizeof(fi_ops_av),
                           .insert = insert,
                           .insertsvc = NotThere(),
                           .insertsym = NotThere(),
                           .remove = remove,
                           .lookup = NotThere(),
                           .straddr = in_words,
                           .av_set = NotThere()};
  auto addresses = std::make_unique<Addresses>();
  addresses->fid = {FI_CLASS_AV, context, &calls};
  addresses->ops = &inserts;
  const int result = fi_av_open(static_cast<Domain*>(object)->real, attributes, &addresses->real, nullptr);
  if (result == 0) *into = addresses.release();
  return result;
}

}  // namespace hansa::cxi_rules
