// Memory regions: registered with the domain, bound to an endpoint, enabled; only then do they have a key.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/cxi_rules/objects.hpp"
#include "tests/support/cxi_rules/rules.hpp"

namespace hansa::cxi_rules {
namespace {

int close_region(fid* object) {
  auto& region = as<Region>(object);
  if (region.posted != 0)
    return broken(kPosted, "fi_close", fmt::format("{} posted calls use the region", region.posted));
  if (region.real != nullptr) {
    if (const int result = fi_close(&region.real->fid); result != 0) return result;
  }
  if (region.endpoint != nullptr) --region.endpoint->regions;
  region.domain->locked -= region.bytes;
  delete &region;
  return 0;
}

int bind_region(fid* object, fid* to, std::uint64_t) {
  auto& region = as<Region>(object);
  if (to->fclass != FI_CLASS_EP) return -FI_EINVAL;
  auto& endpoint = as<Endpoint>(to);
  if (region.endpoint != nullptr) return broken(kBind, "fi_mr_bind", "the region is bound already");
  if (endpoint.domain != region.domain)
    return broken(kBind, "fi_mr_bind", "the endpoint is of another domain");
  if (!endpoint.enabled) return broken(kBind, "fi_mr_bind", "the endpoint is not enabled yet");
  region.endpoint = &endpoint;
  ++endpoint.regions;
  return 0;
}

bool is_mapped(const Region& region) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(region.begin) / page * page;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(region.begin) + region.bytes;
  std::vector<unsigned char> resident((end - begin + page - 1) / page);
  return mincore(reinterpret_cast<void*>(begin), end - begin, resident.data()) == 0;
}

int enable(Region& region, const char* call) {
  if (region.real != nullptr) return 0;
  if (!is_mapped(region))
    return broken(kAllocated, call, fmt::format("not all of {} bytes are mapped", region.bytes));
  Domain& domain = *region.domain;
  const bool chosen = (domain.mr_mode & FI_MR_PROV_KEY) != 0;
  const std::uint64_t key = chosen ? domain.next_key++ << kLengthBits | region.bytes : region.wanted_key;
  const int result =
      fi_mr_reg(domain.real, region.begin, region.bytes, region.access, 0, key, 0, &region.real, nullptr);
  if (result != 0) return result;
  region.key = key;
  region.mem_desc = &region;
  return 0;
}

int control_region(fid* object, int command, void*) {
  auto& region = as<Region>(object);
  if (command != FI_ENABLE) return -FI_ENOSYS;
  if (region.endpoint == nullptr && (region.domain->mr_mode & FI_MR_ENDPOINT) != 0)
    return broken(kEnable, "fi_mr_enable", "the region is bound to no endpoint");
  return enable(region, "fi_mr_enable");
}

int reg(fid* object, const void* memory, std::size_t bytes, std::uint64_t access, std::uint64_t,
        std::uint64_t key, std::uint64_t, fid_mr** into, void* context) {
  static fi_ops calls{.size = sizeof(fi_ops),
                      .close = close_region,
                      .bind = bind_region,
                      .control = control_region,
                      .ops_open = NotThere(),
                      .tostr = NotThere(),
                      .ops_set = NotThere()};
  auto& domain = as<Domain>(object);
  if ((domain.mr_mode & FI_MR_PROV_KEY) == 0 && key > 0xffffffff)
    return broken(kKeySize, "fi_mr_reg", fmt::format("key {:#x}", key));
  const std::size_t lockable = domain.settings.lockable;
  if (lockable != 0 && domain.locked + bytes > lockable) return -FI_ENOMEM;
  auto region = std::make_unique<Region>();
  region->fid = {FI_CLASS_MR, context, &calls};
  region->mem_desc = nullptr;
  region->key = FI_KEY_NOTAVAIL;
  region->domain = &domain;
  region->begin = static_cast<const char*>(memory);
  region->bytes = bytes;
  region->access = access;
  region->wanted_key = key;
  if ((domain.mr_mode & FI_MR_ENDPOINT) == 0)
    if (const int result = enable(*region, "fi_mr_reg"); result != 0) return result;
  domain.locked += bytes;
  *into = region.release();
  return 0;
}

int regv(fid* object, const iovec* parts, std::size_t count, std::uint64_t access, std::uint64_t offset,
         std::uint64_t key, std::uint64_t flags, fid_mr** into, void* context) {
  if (count != 1) return broken(kIov, "fi_mr_regv", fmt::format("{} buffers", count));
  return reg(object, parts->iov_base, parts->iov_len, access, offset, key, flags, into, context);
}

int regattr(fid* object, const fi_mr_attr* wanted, std::uint64_t flags, fid_mr** into) {
  return regv(object, wanted->mr_iov, wanted->iov_count, wanted->access, wanted->offset,
              wanted->requested_key, flags, into, wanted->context);
}

}  // namespace

fi_ops_mr* region_calls() {
  static fi_ops_mr calls{.size = sizeof(fi_ops_mr), .reg = reg, .regv = regv, .regattr = regattr};
  return &calls;
}

}  // namespace hansa::cxi_rules
