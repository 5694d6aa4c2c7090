#include "hansa/transport.hpp"
#include "transports/inproc/inproc.hpp"
#include "transports/libfabric/libfabric.hpp"
#include "transports/rails/rails.hpp"
#include "transports/shm/shm.hpp"

namespace hansa {

std::span<const TransportKind> builtin_transports() {
  static constexpr TransportKind kTransports[] = {
      {"inproc", probe_inproc, [](const TransportOptions& options) { return open_inproc(options); }, true,
       true},
      {"shm", probe_shm,
       [](const TransportOptions& options) {
         return open_shm(options, shm_slots(options.ranks, options.lanes));
       },
       false, true},
      {"libfabric", probe_libfabric,
       [](const TransportOptions& options) {
         return open_rails(options, [](const TransportOptions& rail) { return open_libfabric(rail); });
       }},
  };
  return kTransports;
}

}  // namespace hansa
