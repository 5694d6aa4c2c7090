#include "transports/libfabric/poster.hpp"

#include <fmt/format.h>

#include <new>

namespace hansa::libfabric {

Status Poster::allocate(Registry& registry, std::size_t bytes) {
  constexpr std::align_val_t kPage{4096};
  memory_ = {static_cast<std::byte*>(::operator new(bytes, kPage, std::nothrow)),
             [](std::byte* memory) { ::operator delete(memory, kPage); }};
  if (!memory_) return Status(Code::kSystem, fmt::format("no memory for slots: {} bytes", bytes));
  HANSA_ASSIGN_OR_RETURN(region_, registry.enroll({memory_.get(), bytes}));
  return {};
}

bool is_remote(int error) {
  return error == FI_ECONNRESET || error == FI_ECONNREFUSED || error == FI_ECONNABORTED ||
         error == FI_ENOTCONN || error == FI_EHOSTUNREACH || error == FI_ENETUNREACH ||
         error == FI_ETIMEDOUT || error == FI_ESHUTDOWN || error == FI_EIO || error == EPIPE;
}

}  // namespace hansa::libfabric
