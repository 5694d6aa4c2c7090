#include "bootstrap/silence.hpp"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace hansa::bootstrap {

std::optional<Silence::Sight> Silence::look(int fd) {
  tcp_info info{};
  socklen_t bytes = sizeof info;
  int under_way = 0;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0 || ioctl(fd, SIOCOUTQ, &under_way) != 0)
    return std::nullopt;
  return Sight{under_way > 0, std::chrono::milliseconds(info.tcpi_last_ack_recv), info.tcpi_retransmits,
               info.tcpi_probes};
}

Silence::Verdict Silence::judge(const Sight& sight, Clock::time_point now) {
  const auto answered = now - sight.answer;
  if (!sight.under_way) {
    *this = {};
    return Verdict::kTaken;
  }
  if (answered > answered_ + kTick) {
    answered_ = answered;
    repeats_ = sight.repeats;
  }
  if (sight.repeats < repeats_) repeats_ = 0;
  const bool asked = sight.repeats - repeats_ + sight.probes >= kUnanswered;
  return asked && sight.answer >= std::chrono::seconds(kHostLostSeconds) ? Verdict::kGone : Verdict::kWaiting;
}

}  // namespace hansa::bootstrap
