// The part of an Endpoint that reaches no memory but its slots: capabilities() says neither `direct` nor
// `direct_own`, so nobody asks, and who does is refused.
#pragma once

#include "hansa/transport.hpp"

namespace hansa {

class SlotsOnlyEndpoint : public Endpoint {
 public:
  Descriptor describe(BytesView) noexcept final { return {}; }
  std::byte* map(const Descriptor&) noexcept final { return nullptr; }
  void get(const Descriptor&, std::size_t, Bytes, Completion& done) noexcept final {
    done.state = Completion::State::kFailed;
  }
  void put(const Descriptor&, std::size_t, BytesView, Completion& done) noexcept final {
    done.state = Completion::State::kFailed;
  }
};

}  // namespace hansa
