// The symbols that a caller of libfabric loads. The library bears libfabric's name, so that whoever is told
// to look here first runs under the rules.
#include <rdma/fabric.h>

#include "tests/support/cxi_rules/objects.hpp"

namespace hansa::cxi_rules {
namespace {

int close_fabric(fid* object) {
  auto& fabric = as<Fabric>(object);
  if (const int result = fi_close(&fabric.real->fid); result != 0) return result;
  delete &fabric;
  return 0;
}

int open_fabric(fid_fabric** into, void* context) {
  static fi_ops calls{.size = sizeof(fi_ops),
                      .close = close_fabric,
                      .bind = NotThere(),
                      .control = NotThere(),
                      .ops_open = NotThere(),
                      .tostr = NotThere(),
                      .ops_set = NotThere()};
  static fi_ops_fabric opens{.size = sizeof(fi_ops_fabric),
                             .domain = open_domain,
                             .passive_ep = NotThere(),
                             .eq_open = NotThere(),
                             .wait_open = NotThere(),
                             .trywait = NotThere(),
                             .domain2 = NotThere()};
  auto fabric = std::make_unique<Fabric>();
  fabric->fid = {FI_CLASS_FABRIC, context, &calls};
  fabric->ops = &opens;
  fabric->settings = Settings::read();
  int result = 0;
  fabric->real_info = plain_info(fabric->settings, 0, result);
  if (!fabric->real_info) return result;
  result = Library::load()->fabric(fabric->real_info->fabric_attr, &fabric->real, nullptr);
  if (result == 0) *into = fabric.release();
  return result;
}

}  // namespace
}  // namespace hansa::cxi_rules

using hansa::cxi_rules::Library;

extern "C" {

int fi_getinfo(uint32_t, const char* node, const char*, uint64_t, const fi_info* hints, fi_info** info) {
  return hansa::cxi_rules::answer(node, hints, info);
}

void fi_freeinfo(fi_info* info) {
  if (const Library* const real = Library::load()) real->freeinfo(info);
}

fi_info* fi_dupinfo(const fi_info* info) {
  const Library* const real = Library::load();
  return real == nullptr ? nullptr : real->dupinfo(info);
}

int fi_fabric(fi_fabric_attr*, fid_fabric** fabric, void* context) {
  return hansa::cxi_rules::open_fabric(fabric, context);
}

uint32_t fi_version() {
  const Library* const real = Library::load();
  return real == nullptr ? 0 : real->version();
}

const char* fi_strerror(int error) {
  const Library* const real = Library::load();
  return real == nullptr ? "no libfabric behind the rules" : real->strerror(error);
}
}
