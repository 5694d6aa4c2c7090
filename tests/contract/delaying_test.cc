#include "tests/contract/transport_contract.hpp"
#include "tests/support/delaying_transport.hpp"
#include "transports/inproc/inproc.hpp"

namespace hansa::test {

template <std::uint64_t kSeed>
struct Delaying {
  static constexpr RunAs kRunAs = RunAs::kThreads;
  static Result<std::unique_ptr<Transport>> open(const TransportOptions& options) {
    HANSA_ASSIGN_OR_RETURN(auto inner, open_inproc(options, {256, 4}));
    const std::uint64_t seed = kSeed * 64 + static_cast<std::uint64_t>(options.rank);
    return delaying_transport(std::move(inner), options.lanes, seed);
  }
  static std::unique_ptr<Memory> memory() { return nullptr; }
};

using Seeds = testing::Types<Delaying<1>, Delaying<2>, Delaying<3>>;
INSTANTIATE_TYPED_TEST_SUITE_P(Delaying, TransportContract, Seeds);

}  // namespace hansa::test
