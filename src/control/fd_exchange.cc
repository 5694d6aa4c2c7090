#include "control/fd_exchange.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "base/secret.hpp"
#include "control/event_loop.hpp"
#include "control/local_socket.hpp"

namespace hansa::control {
namespace {

constexpr std::size_t kNameBytes = 16, kTokenBytes = 16;
constexpr std::size_t kRequestBytes = kTokenBytes + sizeof(std::uint64_t);
constexpr std::size_t kMostClients = 256;  // that have not sent their request yet
constexpr std::chrono::milliseconds kRequestDeadline{2000}, kAcceptPause{50}, kCancelPoll{20};

enum class Answer : std::uint8_t { kFollows = 1, kUnknownKey = 2, kExhausted = 3 };

std::string name_of(BytesView address) { return "hansa-fd-" + hexadecimal(address.first(kNameBytes)); }

void send_answer(int to, Answer answer, int fd) {
  iovec part{&answer, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (answer == Answer::kFollows) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  ::sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT);  // one byte into an empty socket never waits
}

Descriptor spare_descriptor() { return Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

// One for all providers of a process, told apart by their tokens. Everything here happens on the control
// thread.
class FdProvider::Server : public std::enable_shared_from_this<FdProvider::Server> {
 public:
  explicit Server(EventLoop* loop) : loop_(loop) {}
  EventLoop* loop() const { return loop_; }

  // Listens from the first provider to the last.
  Result<FdAddress> enter() {
    FdAddress address;
    fill_random(address);
    if (providers_.empty()) {
      name_ = address;
      HANSA_RETURN_IF_ERROR(start());
    } else {
      std::memcpy(address.data(), name_.data(), kNameBytes);
    }
    Provider& provider = providers_[index_of(token_in(address))];
    std::memcpy(provider.token, token_in(address).data(), kTokenBytes);
    return address;
  }
  void leave(const FdAddress& address) {
    providers_.erase(index_of(token_in(address)));
    if (providers_.empty()) stop();
  }
  Status offer(const FdAddress& address, std::uint64_t key, Descriptor fd) {
    auto& offers = providers_[index_of(token_in(address))].offers;
    if (offers.emplace(key, std::move(fd)).second) return Status();
    return Status(Code::kInternal, fmt::format("a descriptor is offered under key {} already", key));
  }
  void withdraw(const FdAddress& address, std::uint64_t key) {
    providers_[index_of(token_in(address))].offers.erase(key);
  }

 private:
  struct Provider {
    std::byte token[kTokenBytes];
    std::unordered_map<std::uint64_t, Descriptor> offers;
  };

  static BytesView token_in(const FdAddress& address) { return BytesView(address).subspan(kNameBytes); }
  // Half of a token finds its provider; the whole is compared.
  static std::uint64_t index_of(BytesView token) {
    std::uint64_t index;
    std::memcpy(&index, token.data(), sizeof index);
    return index;
  }

  Status start() {
    HANSA_ASSIGN_OR_RETURN(listener_, listen_local(name_of(name_)));
    spare_ = spare_descriptor();
    auto watched = loop_->add(listener_.get(), EPOLLIN,
                              [self = shared_from_this()](std::uint32_t) { self->accept_all(); });
    if (!watched.ok()) return watched.status();
    watch_ = watched.value();
    return Status();
  }
  void stop() {
    loop_->cancel(resume_);
    loop_->remove(watch_);
    while (!clients_.empty()) drop(clients_.begin()->first);
    listener_ = Descriptor();
    spare_ = Descriptor();
  }

  struct Client {
    Descriptor fd;
    EventLoop::Token watch = 0, deadline = 0;
    std::byte request[kRequestBytes];
    std::size_t received = 0;
  };

  void accept_all() {
    for (;;) {
      Descriptor fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd.open()) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno == EAGAIN) return;
        if (errno == EMFILE && turn_away()) continue;
        return pause();
      }
      if (!identify_peer(fd.get()).same_user) continue;
      if (clients_.size() >= kMostClients) drop(clients_.begin()->first);
      const std::uint64_t id = admit(std::move(fd));
      if (id != 0) receive(id);  // most have asked already, and are served before they could be dropped
    }
  }

  // Without descriptors the one kept back serves to say so: who waits learns why at once.
  bool turn_away() {
    spare_ = Descriptor();
    Descriptor fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd.open()) send_answer(fd.get(), Answer::kExhausted, -1);
    const bool answered = fd.open();
    fd = Descriptor();
    spare_ = spare_descriptor();
    return answered;
  }

  // The system is out of descriptors: the queue stays readable, so look again later instead of spinning.
  void pause() {
    loop_->modify(watch_, 0);
    resume_ = loop_->after(kAcceptPause,
                           [self = shared_from_this()] { self->loop_->modify(self->watch_, EPOLLIN); });
  }

  std::uint64_t admit(Descriptor fd) {
    const std::uint64_t id = next_client_++;
    auto watched =
        loop_->add(fd.get(), EPOLLIN, [self = shared_from_this(), id](std::uint32_t) { self->receive(id); });
    if (!watched.ok()) return 0;
    Client& client = clients_[id];
    client.fd = std::move(fd);
    client.watch = watched.value();
    client.deadline = loop_->after(kRequestDeadline, [self = shared_from_this(), id] { self->drop(id); });
    return id;
  }

  void receive(std::uint64_t id) {
    Client& client = clients_.at(id);
    const auto got =
        ::recv(client.fd.get(), client.request + client.received, kRequestBytes - client.received, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return drop(id);
    client.received += static_cast<std::size_t>(got);
    if (client.received < kRequestBytes) return;
    const BytesView token = BytesView(client.request).first(kTokenBytes);
    const auto provider = providers_.find(index_of(token));
    if (provider != providers_.end() && equal(token, provider->second.token)) {
      std::uint64_t key;
      std::memcpy(&key, client.request + kTokenBytes, sizeof key);
      const auto found = provider->second.offers.find(key);
      if (found == provider->second.offers.end())
        send_answer(client.fd.get(), Answer::kUnknownKey, -1);
      else
        send_answer(client.fd.get(), Answer::kFollows, found->second.get());
    }
    drop(id);
  }

  void drop(std::uint64_t id) {
    const auto found = clients_.find(id);
    if (found == clients_.end()) return;
    loop_->cancel(found->second.deadline);
    loop_->remove(found->second.watch);
    clients_.erase(found);
  }

  EventLoop* const loop_;
  FdAddress name_{};  // its first half
  Descriptor listener_, spare_;
  EventLoop::Token watch_ = 0, resume_ = 0;
  std::uint64_t next_client_ = 1;
  std::map<std::uint64_t, Client> clients_;  // in order of arrival: the oldest is dropped first
  std::unordered_map<std::uint64_t, Provider> providers_;
};

FdProvider::FdProvider(FdAddress address, std::shared_ptr<Server> server)
    : address_(address), server_(std::move(server)) {}

Result<std::unique_ptr<FdProvider>> FdProvider::create() {
  struct ServerOfProcess {
    std::shared_ptr<Server> server;
  };
  HANSA_ASSIGN_OR_RETURN(EventLoop * loop, EventLoop::of_this_process());
  HANSA_RETURN_IF_ERROR(prepare_cryptography());
  std::shared_ptr<Server> server;
  Result<FdAddress> address = Status(Code::kInternal, "not tried");
  loop->run([&] {
    auto& shared = loop->local<ServerOfProcess>().server;
    if (!shared) shared = std::make_shared<Server>(loop);
    server = shared;
    address = server->enter();
  });
  HANSA_RETURN_IF_ERROR(address.status());
  return std::unique_ptr<FdProvider>(new FdProvider(address.value(), std::move(server)));
}

FdProvider::~FdProvider() {
  // In a forked child the inherited loop keeps the parent's server, and so its descriptors, as they are.
  if (server_->loop()->ours()) server_->loop()->run([&] { server_->leave(address_); });
}

Status FdProvider::offer(std::uint64_t key, int fd) {
  if (!server_->loop()->ours()) {
    return Status(Code::kInvalidUsage,
                  "descriptors cannot be offered in a forked child of the process that opened them");
  }
  Descriptor copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.open()) return system_error("cannot duplicate a descriptor to share it", errno);
  Status offered;
  server_->loop()->run([&] { offered = server_->offer(address_, key, std::move(copy)); });
  return offered;
}

void FdProvider::withdraw(std::uint64_t key) {
  if (server_->loop()->ours()) server_->loop()->run([&] { server_->withdraw(address_, key); });
}

namespace {

Status refused(std::uint64_t key, std::string_view why) {
  return Status(Code::kSystem, fmt::format("cannot fetch descriptor {} from another process: {}", key, why));
}

bool is_set(const std::atomic<bool>* flag) { return flag && flag->load(std::memory_order_acquire); }

Status wait_for_answer(int from, std::uint64_t key, std::chrono::milliseconds timeout,
                       const std::atomic<bool>* cancelled) {
  pollfd readable{from, POLLIN, 0};
  const auto until = EventLoop::Clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - EventLoop::Clock::now());
    const auto slice = std::clamp(left, std::chrono::milliseconds(0), kCancelPoll);
    const int ready = ::poll(&readable, 1, static_cast<int>(slice.count()));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return system_error("cannot wait for a descriptor", errno);
    if (is_set(cancelled)) return refused(key, "given up");
    if (left.count() <= 0)
      return refused(key, fmt::format("no answer within {} ms; is it stopped?", timeout.count()));
  }
}

Result<Descriptor> receive_answer(int from, std::uint64_t key) {
  Answer answer{};
  iovec part{&answer, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const auto got = ::recvmsg(from, &message, MSG_CMSG_CLOEXEC);
  Descriptor fd;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); got > 0 && header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    int received;
    std::memcpy(&received, CMSG_DATA(header), sizeof received);
    fd = Descriptor(received);
  }
  if (got > 0 && answer == Answer::kExhausted)
    return refused(key, "it is out of descriptors; raise RLIMIT_NOFILE (ulimit -n) there");
  if (got <= 0) return refused(key, "it closed the connection (its token differs, or it has ended)");
  if (answer == Answer::kUnknownKey) return refused(key, "it offers none under that key");
  if (message.msg_flags & MSG_CTRUNC) return system_error("cannot receive a descriptor", EMFILE);
  if (!fd.open()) return refused(key, "it sent none");
  return fd;
}

}  // namespace

Result<FileOfProcess> file_of_this_process(int fd) {
  struct stat about {};
  if (fstat(fd, &about) != 0) return system_error("cannot look at a descriptor", errno);
  return FileOfProcess{getpid(), fd, about.st_dev, about.st_ino};
}

Result<Descriptor> borrow_fd(const FileOfProcess& file) {
  const Descriptor process(static_cast<int>(syscall(SYS_pidfd_open, file.pid, 0)));
  if (!process.open()) return system_error("cannot open the process", errno);
  Descriptor borrowed(static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), file.fd, 0)));
  if (!borrowed.open()) return system_error("cannot take its descriptor", errno);
  HANSA_ASSIGN_OR_RETURN(const FileOfProcess got, file_of_this_process(borrowed.get()));
  if (got.device != file.device || got.inode != file.inode)
    return Status(Code::kSystem, "the process with that number is another one here");
  return borrowed;
}

Result<Descriptor> fetch_fd(BytesView address, std::uint64_t key, std::chrono::milliseconds timeout,
                            const std::atomic<bool>* cancelled) {
  if (address.size() != sizeof(FdAddress))
    return Status(Code::kInvalidArgument, "not an address of descriptors");
  const auto until = EventLoop::Clock::now() + timeout;
  for (;;) {
    bool busy = false;
    auto connected = connect_local(name_of(address), nullptr, &busy);
    if (!connected.ok()) {
      if (!busy || EventLoop::Clock::now() >= until || is_set(cancelled)) return connected.status();
      ::poll(nullptr, 0, 1);
      continue;
    }
    const int fd = connected.value().get();
    if (!identify_peer(fd).same_user) return refused(key, "it belongs to another user");
    std::byte request[kRequestBytes];
    std::memcpy(request, address.data() + kNameBytes, kTokenBytes);
    std::memcpy(request + kTokenBytes, &key, sizeof key);
    // Who hung up already has said why.
    if (::send(fd, request, sizeof request, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof request) &&
        errno != EPIPE && errno != ECONNRESET) {
      return system_error("cannot ask another process for a descriptor", errno);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - EventLoop::Clock::now());
    HANSA_RETURN_IF_ERROR(wait_for_answer(fd, key, left, cancelled));
    return receive_answer(fd, key);
  }
}

}  // namespace hansa::control
