#include "transports/libfabric/provider.hpp"

#include <fmt/format.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>

#include <bit>
#include <cstring>
#include <span>
#include <utility>

#include "hansa/transport.hpp"
#include "transports/libfabric/address.hpp"
#include "transports/libfabric/slingshot.hpp"

namespace hansa::libfabric {
namespace {

constexpr std::uint32_t kVersion = FI_VERSION(1, 17);
// A fabric before sockets; 1.17's `net` became `tcp` in 1.18, whose name stands for `tcp;ofi_rxm` before.
// What else a library has is taken only where FI_PROVIDER leaves nothing better.
constexpr const char* kPreferred[] = {"cxi", "net", "tcp", nullptr};

struct Question {
  const char* provider = nullptr;  // null: any
  const char* node = nullptr;      // numeric IP; null: none
  std::size_t receives = 0;        // 0: as many as the provider thinks fit
  bool directed = false;
};

// Null where no provider answers. No order is asked for: every tag is exact (Peer::tag()). All modes of
// registration are offered, and Fabric::enroll() obeys those that come back.
Info ask(const Library& library, const Question& question) {
  const Info hints(library.dupinfo(nullptr), {&library});
  if (!hints) return Info(nullptr, {&library});
  hints->caps = FI_TAGGED | FI_SEND | FI_RECV | (question.directed ? FI_DIRECTED_RECV : 0);
  hints->mode = FI_CONTEXT | FI_CONTEXT2;
  hints->ep_attr->type = FI_EP_RDM;
  hints->rx_attr->size = question.receives;
  hints->domain_attr->threading = FI_THREAD_DOMAIN;
  hints->domain_attr->control_progress = FI_PROGRESS_MANUAL;
  hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
  hints->domain_attr->mr_mode =
      FI_MR_LOCAL | FI_MR_ENDPOINT | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_HMEM;
  if (question.provider != nullptr)
    hints->fabric_attr->prov_name = strdup(question.provider);  // freed with them
  fi_info* found = nullptr;
  const std::uint64_t flags = question.node == nullptr ? 0 : FI_SOURCE | FI_NUMERICHOST;
  const int result = library.getinfo(kVersion, question.node, nullptr, flags, hints.get(), &found);
  return Info(result == 0 ? found : nullptr, {&library});
}

// Leaves the domain of that name, or else the first, alone in the list.
void keep_one(Info& list, std::string_view domain) {
  fi_info* before = nullptr;
  for (fi_info* entry = list.get(); entry != nullptr; before = entry, entry = entry->next) {
    if (before == nullptr || domain != entry->domain_attr->name) continue;
    before->next = entry->next;
    entry->next = list.release();
    list.reset(entry);
    break;
  }
  list.get_deleter().library->freeinfo(std::exchange(list->next, nullptr));
}

// Whether tags can tell apart what they must: messages, and where receives name no peer, ranks as well.
bool has_room(const fi_info& info, bool directed, Rank ranks) {
  const int ranks_bits = std::bit_width(static_cast<unsigned>(ranks - 1));
  return tag_bits(info) >= MessageId::kTagBits + (directed ? 0 : ranks_bits);
}

Result<Choice> refine(const Library& library, const Wish& wish, Question question, const std::string& name) {
  question.provider = name.c_str();
  question.receives = wish.receives;
  for (const bool directed : {true, false}) {
    question.directed = directed;
    Info info = ask(library, question);
    if (!info) continue;
    keep_one(info, wish.interface);
    if (has_room(*info, directed, wish.ranks)) return Choice{std::move(info), directed};
  }
  return Status(
      Code::kUnsupported,
      fmt::format("libfabric's provider {} has no room in its tags for {} ranks, or in its queues for {} "
                  "receives",
                  name, wish.ranks, wish.receives));
}

}  // namespace

Result<Choice> choose_provider(const Library& library, const Wish& wish) {
  const std::string named(wish.provider);
  const char* const only[] = {named.c_str()};
  const std::span<const char* const> candidates =
      named.empty() ? std::span<const char* const>(kPreferred) : only;
  for (const char* provider : candidates) {
    // By its IP address, so that nothing else is listened on; or, where addresses are no sockets', by none.
    for (const char* node : {wish.address.c_str(), static_cast<const char*>(nullptr)}) {
      if (node != nullptr && wish.address.empty()) continue;
      const Question question{.provider = provider, .node = node};
      Info info = ask(library, question);
      if (!info || speaks_ip(*info) != (node != nullptr)) continue;
      keep_one(info, wish.interface);
      if (wish.address.empty() && wish.interface != info->domain_attr->name) continue;
      const std::string name = info->fabric_attr->prov_name;
      // What does not leave the host needs no fast network.
      if (!speaks_ip(*info) || !is_loopback(wish.address))
        HANSA_RETURN_IF_ERROR(account_for(name, !named.empty(), library.version()));
      return refine(library, wish, question, name);
    }
  }
  return Status(
      Code::kUnsupported,
      fmt::format("libfabric {}.{} has no provider of tagged messages{} for {}; see fi_info, HANSA_INTERFACE "
                  "and FI_PROVIDER",
                  FI_MAJOR(library.version()), FI_MINOR(library.version()),
                  named.empty() ? "" : " named " + named, wish.address));
}

Status probe_provider(const Library& library) {
  return choose_provider(library, {.address = "127.0.0.1"}).status();
}

bool speaks_ip(const fi_info& info) {
  return info.addr_format == FI_SOCKADDR || info.addr_format == FI_SOCKADDR_IN ||
         info.addr_format == FI_SOCKADDR_IN6;
}

// Some that go by the IP address write to the NIC themselves.
bool asks_kernel(const fi_info& info) {
  return speaks_ip(info) && !std::string_view(info.fabric_attr->prov_name).starts_with("verbs");
}

bool hides_breaks(const fi_info& info) {
  const std::string_view name = info.fabric_attr->prov_name;
  return name == "tcp" || name == "net";
}

bool ends_late(const fi_info& info) {
  const std::string_view name = info.fabric_attr->prov_name;
  return name == "sockets" || name.starts_with("udp");
}

bool is_of_one_host(const fi_info& info) { return std::strcmp(info.fabric_attr->prov_name, "shm") == 0; }

int tag_bits(const fi_info& info) { return std::bit_width(info.ep_attr->mem_tag_format); }

}  // namespace hansa::libfabric
