// libfabric, found at run time: the build knows its headers only, so that Hansa loads where it is absent.
// What the headers define inline goes through tables of functions in the provider's objects; these six are
// all the symbols there are.
#pragma once

#include <rdma/fabric.h>

#include <cstdint>
#include <memory>

#include "hansa/status.hpp"

namespace hansa::libfabric {

class Library {
 public:
  // Fails with kUnsupported, naming cause and remedy. What dlopen() has loaded stays loaded: providers
  // install handlers of their own that must not dangle. Any thread.
  static Result<std::shared_ptr<const Library>> load();

  // Bytes of the longest message that tcp;ofi_rxm sends without asking: it connects to no peer that has
  // another limit, and does not say so.
  std::uint32_t eager_limit = 0;
  decltype(&::fi_getinfo) getinfo = nullptr;
  decltype(&::fi_freeinfo) freeinfo = nullptr;
  decltype(&::fi_dupinfo) dupinfo = nullptr;
  decltype(&::fi_fabric) fabric = nullptr;
  decltype(&::fi_version) version = nullptr;
  decltype(&::fi_strerror) strerror = nullptr;
};

}  // namespace hansa::libfabric
