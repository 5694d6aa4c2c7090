// Which of libfabric's providers carries the messages, and what it wants of its callers. A provider is taken
// by what fi_getinfo() says of it, never by its version.
#pragma once

#include <rdma/fabric.h>

#include <memory>
#include <string>
#include <string_view>

#include "hansa/types.hpp"
#include "transports/libfabric/library.hpp"

namespace hansa::libfabric {

struct FreeInfo {
  const Library* library;
  void operator()(fi_info* info) const { library->freeinfo(info); }
};
using Info = std::unique_ptr<fi_info, FreeInfo>;

struct Wish {
  std::string_view provider = {};   // as fi_info names it; empty: the best there is
  std::string address;              // numeric IP to bind to, where the provider's addresses are sockets'
  std::string_view interface = {};  // else the domain ("cxi1"), if there is one of that name; where `address`
                                    // is empty there must be
  std::size_t receives = 0;         // that are posted at a time; 0: as many as the provider thinks fit
  Rank ranks = 1;
};

struct Choice {
  Info info;
  bool directed = false;  // receives can name the peer (FI_DIRECTED_RECV)
};

// Fails with kUnsupported, naming cause and remedy. Who sets FI_PROVIDER narrows what there is to choose
// from.
Result<Choice> choose_provider(const Library& library, const Wish& wish);
// Whether there is any that we can use.
Status probe_provider(const Library& library);

// Whether the provider's addresses are those of IP sockets.
bool speaks_ip(const fi_info& info);
// Whether its progress is made of system calls.
bool asks_kernel(const fi_info& info);
// Whether a connection may break and be made anew without a word, and what was in it be lost; messages
// between two arrive in order there.
bool hides_breaks(const fi_info& info);
// Whether what it has sent or received is not done with when it says so: it goes on in later polls, reads
// memory there, and the other side waits for them.
bool ends_late(const fi_info& info);
// Whether this host only is reached, whatever the address.
bool is_of_one_host(const fi_info& info);
// How many low bits of a tag are ours.
int tag_bits(const fi_info& info);

}  // namespace hansa::libfabric
