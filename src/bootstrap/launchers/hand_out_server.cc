// Rank 0's end of a hand-out: one thread, one poll(), guests that may be strangers.
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <string>

#include "bootstrap/launchers/hand_out.hpp"

namespace hansa::bootstrap {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct Guest {
  control::Descriptor fd;
  Deadline until;
  std::vector<std::byte> heard, answer;
  std::size_t said = 0;        // of `answer`
  std::optional<Rank> served;  // as which rank it gets the bytes
  bool wants_to_write() const { return said < answer.size(); }
};

class HandOut {
 public:
  HandOut(int listener, BytesView bytes, std::uint32_t broadcast, Rank ranks, milliseconds patience)
      : listener_(listener), bytes_(bytes), broadcast_(broadcast), ranks_(ranks), patience_(patience) {
    served_.resize(static_cast<std::size_t>(ranks));
    served_[0] = true;
  }

  Status run(Deadline deadline) {
    while (std::count(served_.begin(), served_.end(), false) > 0) {
      if (steady_clock::now() >= deadline) return missing();
      Deadline wake = deadline;
      for (const Guest& guest : guests_) wake = std::min(wake, guest.until);
      HANSA_RETURN_IF_ERROR(wait(wake));
      const Deadline now = steady_clock::now();
      guests_.remove_if([now](const Guest& guest) { return guest.until <= now; });
    }
    return Status();
  }

 private:
  Status wait(Deadline wake) {
    std::vector<pollfd> entries = {{listener_, POLLIN, 0}};
    for (const Guest& guest : guests_)
      entries.push_back({guest.fd.get(), static_cast<short>(guest.wants_to_write() ? POLLOUT : POLLIN), 0});
    const auto left = std::chrono::ceil<milliseconds>(wake - steady_clock::now()).count();
    const int ready =
        ::poll(entries.data(), entries.size(), static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30)));
    if (ready < 0 && errno != EINTR) return control::system_error("cannot wait for the other ranks", errno);
    if (ready <= 0) return Status();
    std::size_t i = 1;
    for (auto guest = guests_.begin(); guest != guests_.end(); ++i)
      guest = entries[i].revents == 0 || serve(*guest) ? std::next(guest) : guests_.erase(guest);
    return entries[0].revents == 0 ? Status() : welcome();
  }

  Status welcome() {
    while (make_room()) {
      control::Descriptor fd(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (fd.open()) {
        tune_tcp(fd.get());
        guests_.push_back({std::move(fd), deadline_in(patience_), {}, {}, 0, {}});
      } else if (errno == EAGAIN) {
        break;
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        return control::system_error("rank 0 cannot take in another rank", errno);
      }  // all else is about that one connection
    }
    return Status();
  }

  // False where all who are in have asked properly.
  bool make_room() {
    if (guests_.size() < kMostGuests) return true;
    const auto silent =
        std::find_if(guests_.begin(), guests_.end(), [](const Guest& guest) { return guest.answer.empty(); });
    if (silent == guests_.end()) return false;
    guests_.erase(silent);
    return true;
  }

  // False where the guest is to go.
  bool serve(Guest& guest) {
    if (guest.wants_to_write()) {
      const auto sent = ::send(guest.fd.get(), guest.answer.data() + guest.said,
                               guest.answer.size() - guest.said, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0) return errno == EAGAIN || errno == EINTR;
      guest.said += static_cast<std::size_t>(sent);
      return guest.wants_to_write() || guest.served.has_value();
    }
    std::byte buffer[kHandOutRequestBytes];
    const std::size_t room = guest.answer.empty() ? kHandOutRequestBytes - guest.heard.size() : 1;
    const auto got = ::recv(guest.fd.get(), buffer, room, MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    if (guest.served) {  // has said that the bytes have come
      served_[static_cast<std::size_t>(*guest.served)] = true;
      (void)!::send(guest.fd.get(), buffer, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
      return false;
    }
    guest.heard.insert(guest.heard.end(), buffer, buffer + got);
    return guest.heard.size() < kHandOutRequestBytes || answer(guest);
  }

  bool answer(Guest& guest) {
    const auto request = parse_hand_out_request(guest.heard);
    if (!request) return false;
    if (request->ranks != static_cast<std::uint32_t>(ranks_)) {
      guest.answer = encode({HandOutVerdict::kOtherSize, static_cast<std::uint32_t>(ranks_)}, {});
    } else if (request->broadcast != broadcast_) {
      guest.answer = encode({HandOutVerdict::kNotNow, 0}, {});
    } else if (is_being_served(static_cast<Rank>(request->rank))) {
      guest.answer = encode({HandOutVerdict::kNotNow, 0}, {});
    } else if (served_[request->rank]) {
      guest.answer = encode({HandOutVerdict::kServedAlready, 0}, {});
    } else {
      guest.answer = encode({HandOutVerdict::kHere, static_cast<std::uint32_t>(bytes_.size())}, bytes_);
      guest.served = static_cast<Rank>(request->rank);
    }
    return true;
  }

  // By another connection, which may have broken unnoticed.
  bool is_being_served(Rank rank) const {
    return std::any_of(guests_.begin(), guests_.end(),
                       [rank](const Guest& guest) { return guest.served == rank; });
  }

  Status missing() const {
    std::string names;
    int count = 0;
    for (Rank rank = 0; rank < ranks_; ++rank) {
      if (served_[static_cast<std::size_t>(rank)] || ++count > 8) continue;
      names += fmt::format("{}{}", names.empty() ? "" : ", ", rank);
    }
    return Status(Code::kRemote, fmt::format("{} of {} ranks have not come in time: {}{}", count, ranks_,
                                             names, count > 8 ? " ..." : ""));
  }

  const int listener_;
  const BytesView bytes_;
  const std::uint32_t broadcast_;
  const Rank ranks_;
  const milliseconds patience_;
  std::vector<bool> served_;
  std::list<Guest> guests_;  // in order of coming
};

}  // namespace

Status hand_out(int listener, BytesView bytes, std::uint32_t broadcast, Rank ranks, Deadline deadline,
                milliseconds guest_patience) {
  return HandOut(listener, bytes, broadcast, ranks, guest_patience).run(deadline);
}

}  // namespace hansa::bootstrap
