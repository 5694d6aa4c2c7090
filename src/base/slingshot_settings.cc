#include "base/slingshot_settings.hpp"

namespace hansa {

std::span<const SlingshotSetting> slingshot_settings() noexcept {
  static constexpr SlingshotSetting kSettings[] = {
      {"FI_MR_CACHE_MONITOR", "userfaultfd",
       "The provider keeps registrations of memory. What hooks the allocator to learn of freed memory "
       "(memhooks) has "
       "hung programs and missed frees.",
       "HPE, CSCS, Isambard, ALCF; OLCF: kdreg2"},
      {"FI_CXI_DEFAULT_CQ_SIZE", "131072",
       "Room for completions: cxi stops sending when half is used, and libraries before 2.2 have 1024.",
       "all sites that publish theirs"},
      {"FI_CXI_DEFAULT_TX_SIZE", "2048", "Sends under way; libraries before 2.2 have 512.",
       "HPE, OLCF, Isambard; CSCS: 16384"},
      {"FI_CXI_RX_MATCH_MODE", "hybrid",
       "Messages are matched in hardware as long as it has entries, then in software; hardware alone stops.",
       "HPE, OLCF, Isambard, ALCF; CSCS: software"},
      {"FI_CXI_RDZV_THRESHOLD", "0",
       "Everything too large for a command waits for its receive instead of going through the provider's "
       "overflow "
       "buffers.",
       "HPE, OLCF, Isambard; CSCS where programs hang"},
      {"FI_CXI_RDZV_GET_MIN", "0", "The same, for what is just above that.",
       "HPE, OLCF, Isambard, NERSC; CSCS where programs hang"},
      {"FI_CXI_RDZV_EAGER_SIZE", "0", "The same, for the first bytes of each message.",
       "HPE, OLCF, Isambard; CSCS where programs hang"},
      {"FI_CXI_DISABLE_HOST_REGISTER", "1",
       "The provider's own buffers are not made known to the GPU's driver, which may wait for a running "
       "kernel.",
       "all sites that publish theirs"},
  };
  return kSettings;
}

}  // namespace hansa
