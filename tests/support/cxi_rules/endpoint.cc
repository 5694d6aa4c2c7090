#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tests/support/cxi_rules/address.hpp"
#include "tests/support/cxi_rules/objects.hpp"
#include "tests/support/cxi_rules/rules.hpp"

namespace hansa::cxi_rules {
namespace {

void leave(Endpoint& endpoint, Queue* queue) {
  if (queue == nullptr) return;
  std::erase(queue->endpoints, &endpoint);
  for (auto& [key, request] : queue->requests) {
    if (request->endpoint != &endpoint) continue;
    if (request->region != nullptr) --request->region->posted;
    request->region = nullptr;
    request->endpoint = nullptr;
  }
}

int close_endpoint(fid* object) {
  auto& endpoint = as<Endpoint>(object);
  if (endpoint.regions != 0)
    return broken(kClose, "fi_close", fmt::format("{} regions are bound to the endpoint", endpoint.regions));
  if (const int result = fi_close(&endpoint.real->fid); result != 0) return result;
  leave(endpoint, endpoint.sends_queue);
  leave(endpoint, endpoint.receives_queue);
  delete &endpoint;
  return 0;
}

int bind_endpoint(fid* object, fid* to, std::uint64_t flags) {
  auto& endpoint = as<Endpoint>(object);
  if (to->fclass == FI_CLASS_AV) return fi_ep_bind(endpoint.real, &as<Addresses>(to).real->fid, flags);
  if (to->fclass != FI_CLASS_CQ) return -FI_EINVAL;
  auto& queue = as<Queue>(to);
  if ((flags & FI_TRANSMIT) != 0) endpoint.sends_queue = &queue;
  if ((flags & FI_RECV) != 0) endpoint.receives_queue = &queue;
  if (std::find(queue.endpoints.begin(), queue.endpoints.end(), &endpoint) == queue.endpoints.end())
    queue.endpoints.push_back(&endpoint);
  return fi_ep_bind(endpoint.real, &queue.real->fid, flags);
}

int control_endpoint(fid* object, int command, void*) {
  auto& endpoint = as<Endpoint>(object);
  if (command != FI_ENABLE) return -FI_ENOSYS;
  if (endpoint.sends_queue == nullptr || endpoint.receives_queue == nullptr) return -FI_ENOCQ;
  const int result = fi_enable(endpoint.real);
  endpoint.enabled = result == 0;
  return result;
}

ssize_t cancel(fid* object, void* context) {
  auto& endpoint = as<Endpoint>(object);
  for (auto& [key, request] : endpoint.receives_queue->requests) {
    if (request->context == context && request->endpoint == &endpoint && request->kind == Kind::kReceive)
      return fi_cancel(&endpoint.real->fid, request.get());
  }
  return -FI_ENOENT;
}

int name(fid* object, void* into, std::size_t* bytes) {
  auto& endpoint = as<Endpoint>(object);
  sockaddr_in plain{};
  std::size_t plain_bytes = sizeof plain;
  if (const int result = fi_getname(&endpoint.real->fid, &plain, &plain_bytes); result != 0) return result;
  const PackedAddress packed = pack(plain);
  const std::size_t room = std::exchange(*bytes, sizeof packed);
  if (into != nullptr) std::memcpy(into, &packed, std::min(room, sizeof packed));
  return room < sizeof packed ? -FI_ETOOSMALL : 0;
}

fi_ops_ep* endpoint_calls() {
  static fi_ops_ep calls{.size = sizeof(fi_ops_ep),
                         .cancel = cancel,
                         .getopt = NotThere(),
                         .setopt = NotThere(),
                         .tx_ctx = NotThere(),
                         .rx_ctx = NotThere(),
                         .rx_size_left = NotThere(),
                         .tx_size_left = NotThere()};
  return &calls;
}

fi_ops_cm* address_calls() {
  static fi_ops_cm calls{.size = sizeof(fi_ops_cm),
                         .setname = NotThere(),
                         .getname = name,
                         .getpeer = NotThere(),
                         .connect = NotThere(),
                         .listen = NotThere(),
                         .accept = NotThere(),
                         .reject = NotThere(),
                         .shutdown = NotThere(),
                         .join = NotThere()};
  return &calls;
}

// Whether a descriptor names a region that holds the buffer; true where none is needed and none is given.
bool describes(const Endpoint& endpoint, const Post& post) {
  const auto* const region = static_cast<const Region*>(post.descriptor);
  const bool needed = (endpoint.domain->mr_mode & FI_MR_LOCAL) != 0;
  if (region == nullptr) return !needed || post.bytes == 0;
  const char* const begin = static_cast<const char*>(post.buffer);
  const bool bound = (endpoint.domain->mr_mode & FI_MR_ENDPOINT) != 0;
  return (bound ? region->endpoint == &endpoint : region->domain == endpoint.domain) &&
         begin >= region->begin && begin + post.bytes <= region->begin + region->bytes;
}

}  // namespace

ssize_t Endpoint::admit(const Post& post, Kind kind) {
  if (!enabled) return broken(kState, post.call, "the endpoint is not enabled");
  if (post.bytes > kLongestMessage) return broken(kMessage, post.call, fmt::format("{} bytes", post.bytes));
  if (!describes(*this, post)) return broken(kDescriptor, post.call, "no region bound here holds the buffer");
  const bool full = kind == Kind::kSend ? sends >= most_sends : receives >= most_receives;
  if (!stopped && !full && !storm.refuses()) return 0;
  if (storm.refused())
    return broken(kStorm, post.call,
                  fmt::format("{} tries without a look at the completion queue", Storm::kPatience));
  return -FI_EAGAIN;
}

ssize_t Endpoint::post(const Post& post, Kind kind, Hold hold, bool silent,
                       std::function<ssize_t(Request&)> forward) {
  Queue& queue = kind == Kind::kSend ? *sends_queue : *receives_queue;
  Request& request = queue.request(*this, kind, post.context);
  request.silent = silent;
  const ssize_t result = hold == Hold::kNot ? forward(request) : 0;
  if (result != 0) {
    queue.forget(request);
    return result;
  }
  request.region = static_cast<Region*>(post.descriptor);
  if (request.region != nullptr) ++request.region->posted;
  ++(kind == Kind::kSend ? sends : receives);
  if (hold == Hold::kNot) return 0;
  const auto place = hold == Hold::kBehind ? held.end() : held.begin();
  held.insert(place, [&request, forward = std::move(forward)] { return forward(request); });
  return 0;
}

void Endpoint::release_held() {
  while (!held.empty()) {
    if (held.front()() == -FI_EAGAIN) return;
    held.pop_front();
  }
}

void Endpoint::completed(const Request& request, fi_cq_err_entry& outcome) {
  --(request.kind == Kind::kSend ? sends : receives);
  if (request.region != nullptr) --request.region->posted;
  if (request.kind == Kind::kSend && ++sent == settings().fail)
    outcome.err = outcome.prov_errno = FI_EHOSTUNREACH;
}

int open_endpoint(fid_domain* object, fi_info* info, fid_ep** into, void* context) {
  static fi_ops calls{.size = sizeof(fi_ops),
                      .close = close_endpoint,
                      .bind = bind_endpoint,
                      .control = control_endpoint,
                      .ops_open = NotThere(),
                      .tostr = NotThere(),
                      .ops_set = NotThere()};
  auto endpoint = std::make_unique<Endpoint>();
  endpoint->fid = {FI_CLASS_EP, context, &calls};
  endpoint->ops = endpoint_calls();
  endpoint->cm = address_calls();
  endpoint->tagged = tagged_calls();
  endpoint->rma = rma_calls();
  endpoint->domain = static_cast<Domain*>(object);
  endpoint->directed = (info->caps & FI_DIRECTED_RECV) != 0;
  endpoint->most_sends = info->tx_attr->size;
  endpoint->most_receives = info->rx_attr->size;
  endpoint->storm.seed(endpoint->settings().seed);
  const int result =
      fi_endpoint(endpoint->domain->real, endpoint->domain->real_info.get(), &endpoint->real, nullptr);
  if (result == 0) *into = endpoint.release();
  return result;
}

}  // namespace hansa::cxi_rules
