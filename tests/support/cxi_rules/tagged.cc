// Tagged messages. All ways to send end in one function, all ways to receive in another.
#include <fmt/format.h>

#include <cstring>

#include "tests/support/cxi_rules/objects.hpp"
#include "tests/support/cxi_rules/rules.hpp"

namespace hansa::cxi_rules {
namespace {

struct Send {
  Post post;
  fi_addr_t to;
  std::uint64_t tag;
  std::uint64_t data = 0;
  std::uint64_t flags = 0;  // FI_INJECT, FI_REMOTE_CQ_DATA
  bool silent = false;
};

bool fits(std::uint64_t tag, const Settings& settings) { return tag >> tag_bits(settings) == 0; }

int bad_tag(const char* call, std::uint64_t tag, const Settings& settings) {
  return broken(kTag, call, fmt::format("tag {:#x} has more than {} bits", tag, tag_bits(settings)));
}

int bad_count(const char* call, std::size_t count) {
  return broken(kIov, call, fmt::format("{} buffers", count));
}

ssize_t forward_send(Endpoint& endpoint, const Send& send, Request& request) {
  const iovec part{send.post.buffer, send.post.bytes};
  const fi_msg_tagged message{.msg_iov = &part,
                              .desc = nullptr,
                              .iov_count = 1,
                              .addr = send.to,
                              .tag = send.tag,
                              .ignore = 0,
                              .context = &request,
                              .data = send.data};
  return fi_tsendmsg(endpoint.real, &message, FI_COMPLETION | (send.flags & FI_REMOTE_CQ_DATA));
}

ssize_t send_one(Endpoint& endpoint, Send send) {
  const Inside inside(*endpoint.domain, send.post.call);
  if (inside.error() != 0) return inside.error();
  const Settings& settings = endpoint.settings();
  const bool injected = (send.flags & FI_INJECT) != 0;
  if (!fits(send.tag, settings)) return bad_tag(send.post.call, send.tag, settings);
  if (injected && send.post.bytes > inject_size(settings)) {
    return broken(kInject, send.post.call,
                  fmt::format("{} bytes, {} at most", send.post.bytes, inject_size(settings)));
  }
  if (const ssize_t refused = endpoint.admit(send.post, Kind::kSend); refused != 0) return refused;
  auto forward = [&endpoint, send, injected](Request& request) mutable {
    // The real provider may inject less than cxi does.
    if (injected) send.post.buffer = request.copy.data();
    return forward_send(endpoint, send, request);
  };
  if (!injected) {
    const Hold hold = settings.rnr && endpoint.storm.coin() ? Hold::kBefore : Hold::kNot;
    return endpoint.post(send.post, Kind::kSend, hold, send.silent, forward);
  }
  const auto copying = [&](Request& request) {
    const auto* const bytes = static_cast<const std::byte*>(send.post.buffer);
    request.copy.assign(bytes, bytes + send.post.bytes);
    return forward(request);
  };
  return endpoint.post(send.post, Kind::kSend, Hold::kNot, send.silent, copying);
}

// Whether a message has come that this receive would have been for.
bool came_before(Endpoint& endpoint, fi_addr_t from, std::uint64_t tag, std::uint64_t ignore) {
  Queue& queue = *endpoint.receives_queue;
  Request& request = queue.request(endpoint, Kind::kPeek, nullptr);
  const fi_msg_tagged message{.msg_iov = nullptr,
                              .desc = nullptr,
                              .iov_count = 0,
                              .addr = from,
                              .tag = tag,
                              .ignore = ignore,
                              .context = &request,
                              .data = 0};
  const ssize_t asked = fi_trecvmsg(endpoint.real, &message, FI_PEEK);
  for (int tries = 0; asked == 0 && request.peeked == 0 && tries < 1000; ++tries) queue.drain();
  const bool found = request.peeked > 0;
  if (asked != 0 || request.peeked != 0) queue.forget(request);
  return found;
}

ssize_t receive_one(Endpoint& endpoint, const Post& post, fi_addr_t from, std::uint64_t tag,
                    std::uint64_t ignore) {
  const Inside inside(*endpoint.domain, post.call);
  if (inside.error() != 0) return inside.error();
  const Settings& settings = endpoint.settings();
  if (!fits(tag, settings) || !fits(ignore, settings)) return bad_tag(post.call, tag | ignore, settings);
  if (const ssize_t refused = endpoint.admit(post, Kind::kReceive); refused != 0) return refused;
  const fi_addr_t source = endpoint.directed ? from : FI_ADDR_UNSPEC;
  if (came_before(endpoint, source, tag, ignore) && ++endpoint.unexpected > settings.unexpected) {
    endpoint.stopped = true;
    return broken(kUnexpected, post.call,
                  fmt::format("{} messages came before their receives, {} may", endpoint.unexpected,
                              settings.unexpected));
  }
  return endpoint.post(post, Kind::kReceive, Hold::kNot, false, [&](Request& request) {
    return fi_trecv(endpoint.real, post.buffer, post.bytes, nullptr, source, tag, ignore, &request);
  });
}

ssize_t recv(fid_ep* object, void* buffer, std::size_t bytes, void* descriptor, fi_addr_t from,
             std::uint64_t tag, std::uint64_t ignore, void* context) {
  return receive_one(*static_cast<Endpoint*>(object), {"fi_trecv", buffer, bytes, descriptor, context}, from,
                     tag, ignore);
}

ssize_t recvv(fid_ep* object, const iovec* parts, void** descriptors, std::size_t count, fi_addr_t from,
              std::uint64_t tag, std::uint64_t ignore, void* context) {
  if (count > 1) return bad_count("fi_trecvv", count);
  const Post post{"fi_trecvv", count == 0 ? nullptr : parts->iov_base, count == 0 ? 0 : parts->iov_len,
                  descriptors == nullptr || count == 0 ? nullptr : *descriptors, context};
  return receive_one(*static_cast<Endpoint*>(object), post, from, tag, ignore);
}

ssize_t recvmsg(fid_ep* object, const fi_msg_tagged* message, std::uint64_t) {
  return recvv(object, message->msg_iov, message->desc, message->iov_count, message->addr, message->tag,
               message->ignore, message->context);
}

ssize_t send(fid_ep* object, const void* buffer, std::size_t bytes, void* descriptor, fi_addr_t to,
             std::uint64_t tag, void* context) {
  return send_one(*static_cast<Endpoint*>(object),
                  {{"fi_tsend", const_cast<void*>(buffer), bytes, descriptor, context}, to, tag});
}

ssize_t sendmsg(fid_ep* object, const fi_msg_tagged* message, std::uint64_t flags) {
  const std::size_t count = message->iov_count;
  if (count > 1) return bad_count("fi_tsendmsg", count);
  const Post post{"fi_tsendmsg", count == 0 ? nullptr : message->msg_iov->iov_base,
                  count == 0 ? 0 : message->msg_iov->iov_len,
                  message->desc == nullptr || count == 0 ? nullptr : *message->desc, message->context};
  return send_one(*static_cast<Endpoint*>(object), {post, message->addr, message->tag, message->data, flags});
}

ssize_t sendv(fid_ep* object, const iovec* parts, void** descriptors, std::size_t count, fi_addr_t to,
              std::uint64_t tag, void* context) {
  const fi_msg_tagged message{.msg_iov = parts,
                              .desc = descriptors,
                              .iov_count = count,
                              .addr = to,
                              .tag = tag,
                              .ignore = 0,
                              .context = context,
                              .data = 0};
  return sendmsg(object, &message, 0);
}

ssize_t senddata(fid_ep* object, const void* buffer, std::size_t bytes, void* descriptor, std::uint64_t data,
                 fi_addr_t to, std::uint64_t tag, void* context) {
  return send_one(*static_cast<Endpoint*>(object),
                  {{"fi_tsenddata", const_cast<void*>(buffer), bytes, descriptor, context},
                   to,
                   tag,
                   data,
                   FI_REMOTE_CQ_DATA});
}

ssize_t inject(fid_ep* object, const void* buffer, std::size_t bytes, fi_addr_t to, std::uint64_t tag) {
  return send_one(
      *static_cast<Endpoint*>(object),
      {{"fi_tinject", const_cast<void*>(buffer), bytes, nullptr, nullptr}, to, tag, 0, FI_INJECT, true});
}

ssize_t injectdata(fid_ep* object, const void* buffer, std::size_t bytes, std::uint64_t data, fi_addr_t to,
                   std::uint64_t tag) {
  return send_one(*static_cast<Endpoint*>(object),
                  {{"fi_tinjectdata", const_cast<void*>(buffer), bytes, nullptr, nullptr},
                   to,
                   tag,
                   data,
                   FI_INJECT | FI_REMOTE_CQ_DATA,
                   true});
}

}  // namespace

fi_ops_tagged* tagged_calls() {
  static fi_ops_tagged calls{.size = sizeof(fi_ops_tagged),
                             .recv = recv,
                             .recvv = recvv,
                             .recvmsg = recvmsg,
                             .send = send,
                             .sendv = sendv,
                             .sendmsg = sendmsg,
                             .inject = inject,
                             .senddata = senddata,
                             .injectdata = injectdata};
  return &calls;
}

}  // namespace hansa::cxi_rules
