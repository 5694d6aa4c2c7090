#include "tests/contract/transport_contract.hpp"
#include "tests/support/delaying_transport.hpp"
#include "transports/inproc/inproc.hpp"

namespace hansa::test {
namespace {

template <std::uint64_t kSeed>
Result<std::unique_ptr<Transport>> open(const TransportOptions& options) {
  HANSA_ASSIGN_OR_RETURN(auto inner, open_inproc(options, {256, 4}, 256));
  const std::uint64_t seed = kSeed * 64 + static_cast<std::uint64_t>(options.rank);
  return delaying_transport(std::move(inner), options.lanes, seed);
}

INSTANTIATE_TEST_SUITE_P(Delaying, TransportContract,
                         testing::Values(TransportCase{"Seed1", RunAs::kThreads, open<1>},
                                         TransportCase{"Seed2", RunAs::kThreads, open<2>},
                                         TransportCase{"Seed3", RunAs::kThreads, open<3>}),
                         case_name);

}  // namespace
}  // namespace hansa::test
