// Reads and writes of remote memory. A write is held back until the completion queue is read next, so that a
// read behind it sees what was there before: there is no order between the two.
#include <fmt/format.h>

#include "tests/support/cxi_rules/objects.hpp"
#include "tests/support/cxi_rules/rules.hpp"

namespace hansa::cxi_rules {
namespace {

struct Access {
  Post post;
  fi_addr_t peer;
  std::uint64_t address, key;
  bool write = false;
};

ssize_t forward(Endpoint& endpoint, const Access& access, Request& request) {
  if (access.write) {
    return fi_write(endpoint.real, access.post.buffer, access.post.bytes, nullptr, access.peer,
                    access.address, access.key, &request);
  }
  return fi_read(endpoint.real, access.post.buffer, access.post.bytes, nullptr, access.peer, access.address,
                 access.key, &request);
}

// The NIC of the target finds nothing there, which the initiator hears as a failed completion.
bool misses(const Endpoint& endpoint, const Access& access) {
  if ((endpoint.domain->mr_mode & FI_MR_PROV_KEY) == 0) return false;
  const std::uint64_t length = key_length(access.key);
  return access.address > length || access.post.bytes > length - access.address;
}

ssize_t access_one(Endpoint& endpoint, Access access) {
  const Inside inside(*endpoint.domain, access.post.call);
  if (inside.error() != 0) return inside.error();
  if (access.key == FI_KEY_NOTAVAIL) return broken(kKey, access.post.call, "the key is FI_KEY_NOTAVAIL");
  if (const ssize_t refused = endpoint.admit(access.post, Kind::kSend); refused != 0) return refused;
  if (misses(endpoint, access)) {
    const int error = broken(kOffset, access.post.call,
                             fmt::format("{} bytes at {:#x} of a region of {} bytes", access.post.bytes,
                                         access.address, key_length(access.key)));
    endpoint.sends_queue->fail(access.post.context, -error);
    return 0;
  }
  // Writes keep their order among themselves.
  return endpoint.post(access.post, Kind::kSend, access.write ? Hold::kBehind : Hold::kNot, false,
                       [&endpoint, access](Request& request) { return forward(endpoint, access, request); });
}

int bad_count(const char* call, std::size_t count) {
  return broken(kIov, call, fmt::format("{} buffers", count));
}

ssize_t read(fid_ep* object, void* buffer, std::size_t bytes, void* descriptor, fi_addr_t from,
             std::uint64_t address, std::uint64_t key, void* context) {
  return access_one(*static_cast<Endpoint*>(object),
                    {{"fi_read", buffer, bytes, descriptor, context}, from, address, key});
}

ssize_t readv(fid_ep* object, const iovec* parts, void** descriptors, std::size_t count, fi_addr_t from,
              std::uint64_t address, std::uint64_t key, void* context) {
  if (count != 1) return bad_count("fi_readv", count);
  return read(object, parts->iov_base, parts->iov_len, descriptors == nullptr ? nullptr : *descriptors, from,
              address, key, context);
}

ssize_t readmsg(fid_ep* object, const fi_msg_rma* message, std::uint64_t) {
  if (message->rma_iov_count != 1) return bad_count("fi_readmsg", message->rma_iov_count);
  return readv(object, message->msg_iov, message->desc, message->iov_count, message->addr,
               message->rma_iov->addr, message->rma_iov->key, message->context);
}

ssize_t write(fid_ep* object, const void* buffer, std::size_t bytes, void* descriptor, fi_addr_t to,
              std::uint64_t address, std::uint64_t key, void* context) {
  return access_one(
      *static_cast<Endpoint*>(object),
      {{"fi_write", const_cast<void*>(buffer), bytes, descriptor, context}, to, address, key, true});
}

ssize_t writev(fid_ep* object, const iovec* parts, void** descriptors, std::size_t count, fi_addr_t to,
               std::uint64_t address, std::uint64_t key, void* context) {
  if (count != 1) return bad_count("fi_writev", count);
  return write(object, parts->iov_base, parts->iov_len, descriptors == nullptr ? nullptr : *descriptors, to,
               address, key, context);
}

ssize_t writemsg(fid_ep* object, const fi_msg_rma* message, std::uint64_t flags) {
  if (message->rma_iov_count != 1) return bad_count("fi_writemsg", message->rma_iov_count);
  if ((flags & FI_REMOTE_CQ_DATA) != 0) return broken(kWriteData, "fi_writemsg", "FI_REMOTE_CQ_DATA");
  return writev(object, message->msg_iov, message->desc, message->iov_count, message->addr,
                message->rma_iov->addr, message->rma_iov->key, message->context);
}

ssize_t writedata(fid_ep*, const void*, std::size_t, void*, std::uint64_t, fi_addr_t, std::uint64_t,
                  std::uint64_t, void*) {
  return broken(kWriteData, "fi_writedata", "a write with data");
}

ssize_t injectdata(fid_ep*, const void*, std::size_t, std::uint64_t, fi_addr_t, std::uint64_t,
                   std::uint64_t) {
  return broken(kWriteData, "fi_inject_writedata", "a write with data");
}

}  // namespace

fi_ops_rma* rma_calls() {
  static fi_ops_rma calls{.size = sizeof(fi_ops_rma),
                          .read = read,
                          .readv = readv,
                          .readmsg = readmsg,
                          .write = write,
                          .writev = writev,
                          .writemsg = writemsg,
                          .inject = NotThere(),
                          .writedata = writedata,
                          .injectdata = injectdata};
  return &calls;
}

}  // namespace hansa::cxi_rules
