#include "tests/unit/cxi_rules_bed.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <utility>

namespace hansa::test {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);

void close(fid* object) { EXPECT_EQ(fi_close(object), 0); }

}  // namespace

Variables::Variables(const Values& values) {
  for (const auto& [name, value] : values) {
    names_.push_back(name);
    setenv(name.c_str(), value.c_str(), 1);
  }
}

Variables::~Variables() {
  for (const std::string& name : names_) unsetenv(name.c_str());
}

const Fi& Fi::get() {
  static const Fi loaded = [] {
    void* const handle = dlopen(CXI_RULES_PATH, RTLD_NOW | RTLD_LOCAL);
    Fi fi{};
    const auto find = [handle](auto& into, const char* name) {
      into = reinterpret_cast<std::remove_reference_t<decltype(into)>>(dlsym(handle, name));
    };
    if (handle == nullptr) {
      ADD_FAILURE() << dlerror();
      std::abort();
    }
    find(fi.getinfo, "fi_getinfo");
    find(fi.freeinfo, "fi_freeinfo");
    find(fi.dupinfo, "fi_dupinfo");
    find(fi.fabric, "fi_fabric");
    find(fi.version, "fi_version");
    find(fi.strerror, "fi_strerror");
    return fi;
  }();
  return loaded;
}

Info hints(const std::function<void(fi_info&)>& change) {
  Info wanted(Fi::get().dupinfo(nullptr));
  wanted->caps = FI_TAGGED | FI_RMA | FI_DIRECTED_RECV;
  wanted->ep_attr->type = FI_EP_RDM;
  wanted->domain_attr->mr_mode =
      FI_MR_LOCAL | FI_MR_ENDPOINT | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
  wanted->domain_attr->threading = FI_THREAD_DOMAIN;
  if (change) change(*wanted);
  return wanted;
}

Info ask(const fi_info& wanted, const char* node) {
  fi_info* found = nullptr;
  const int result =
      Fi::get().getinfo(FI_VERSION(1, 17), node, nullptr, node == nullptr ? 0 : FI_SOURCE, &wanted, &found);
  EXPECT_TRUE(result == 0 || result == -FI_ENODATA) << Fi::get().strerror(-result);
  return Info(result == 0 ? found : nullptr);
}

Side::Side(bool enable, const std::function<void(fi_info&)>& change) : info(ask(*hints(change))) {
  EXPECT_NE(info, nullptr) << "cxi does not answer";
  if (!info) return;
  EXPECT_EQ(Fi::get().fabric(info->fabric_attr, &fabric, nullptr), 0);
  EXPECT_EQ(fi_domain(fabric, info.get(), &domain, nullptr), 0);
  fi_av_attr table{};
  table.type = FI_AV_TABLE;
  EXPECT_EQ(fi_av_open(domain, &table, &addresses, nullptr), 0);
  fi_cq_attr tagged{};
  tagged.size = 256;
  tagged.format = FI_CQ_FORMAT_TAGGED;
  EXPECT_EQ(fi_cq_open(domain, &tagged, &queue, nullptr), 0);
  EXPECT_EQ(fi_endpoint(domain, info.get(), &endpoint, nullptr), 0);
  EXPECT_EQ(fi_ep_bind(endpoint, &addresses->fid, 0), 0);
  EXPECT_EQ(fi_ep_bind(endpoint, &queue->fid, FI_TRANSMIT | FI_RECV), 0);
  if (enable) {
    EXPECT_EQ(fi_enable(endpoint), 0);
  }
}

Side::~Side() {
  if (!info) return;
  for (fid_mr* region : regions) close(&region->fid);
  close_endpoint();
  close(&queue->fid);
  close(&addresses->fid);
  close(&domain->fid);
  close(&fabric->fid);
}

void Side::close_endpoint() {
  if (endpoint != nullptr) close(&std::exchange(endpoint, nullptr)->fid);
}

void Side::meet(Side& other) {
  std::array<std::byte, 8> name;
  std::size_t bytes = name.size();
  EXPECT_EQ(fi_getname(&other.endpoint->fid, name.data(), &bytes), 0);
  EXPECT_EQ(bytes, name.size());
  EXPECT_EQ(fi_av_insert(addresses, name.data(), 1, &peer, 0, nullptr), 1);
}

fid_mr* Side::enroll(void* memory, std::size_t bytes, bool enable, std::uint64_t key) {
  fid_mr* region = nullptr;
  EXPECT_EQ(fi_mr_reg(domain, memory, bytes,
                      FI_SEND | FI_RECV | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE, 0, key, 0,
                      &region, nullptr),
            0);
  regions.push_back(region);
  if (enable) {
    EXPECT_EQ(fi_mr_bind(region, &endpoint->fid, 0), 0);
    EXPECT_EQ(fi_mr_enable(region), 0);
  }
  return region;
}

std::vector<Outcome> Side::read() {
  std::vector<Outcome> found;
  for (;;) {
    fi_cq_tagged_entry entry;
    fi_cq_err_entry failed{};
    const ssize_t count = fi_cq_read(queue, &entry, 1);
    if (count == 1) {
      found.push_back({entry.op_context, 0, entry.len});
    } else if (count == -FI_EAVAIL && fi_cq_readerr(queue, &failed, 0) == 1) {
      found.push_back({failed.op_context, failed.err, failed.len});
    } else {
      EXPECT_EQ(count, -FI_EAGAIN);
      return found;
    }
  }
}

Pair::Pair(const std::function<void(fi_info&)>& change) : a(true, change), b(true, change) {
  a.meet(b);
  b.meet(a);
}

void Pair::read() {
  for (Side* side : {&a, &b}) {
    for (const Outcome& outcome : side->read()) outcomes.push_back(outcome);
  }
}

ssize_t Pair::post(const std::function<ssize_t()>& call) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  ssize_t result = call();
  while (result == -FI_EAGAIN && std::chrono::steady_clock::now() < end) {
    read();
    std::this_thread::yield();
    result = call();
  }
  return result;
}

Outcome Pair::wait(const void* context) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end) {
    const auto found = std::find_if(outcomes.begin(), outcomes.end(),
                                    [context](const Outcome& outcome) { return outcome.context == context; });
    if (found != outcomes.end()) {
      const Outcome outcome = *found;
      outcomes.erase(found);
      return outcome;
    }
    read();
    std::this_thread::yield();
  }
  ADD_FAILURE() << "waited in vain";
  return {nullptr, -1, 0};
}

}  // namespace hansa::test
