// Who gets the same message of a step, where it is written once for all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "hansa/plan.hpp"
#include "hansa/transport.hpp"

namespace hansa {

struct Audience {
  Billboard* billboard = nullptr;  // null: nothing is posted for them
  std::size_t from = SIZE_MAX;     // bytes of a message that is
  std::size_t slot_bytes = 0;      // of the billboard as of the channels
  std::vector<Billboard::Reader> readers;

  bool gets(std::size_t bytes) const noexcept { return billboard != nullptr && bytes >= from; }
};

// All peers that the step sends to, if there are several and one billboard reaches them. `endpoint_of`: by
// channel.
Audience audience_of(const Plan& plan, const Step& step, std::span<Endpoint* const> endpoint_of);

}  // namespace hansa
