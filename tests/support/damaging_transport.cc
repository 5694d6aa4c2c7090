#include "tests/support/damaging_transport.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace hansa::test {
namespace {

struct Post {
  Damage damage;
  std::uint32_t sent = 0;
  std::vector<std::byte> last;  // message that was sent
  std::uint32_t last_stamp = 0;
};

class DamagingEndpoint final : public Endpoint {
 public:
  DamagingEndpoint(std::unique_ptr<Endpoint> inner, std::shared_ptr<Post> post)
      : inner_(std::move(inner)), post_(std::move(post)) {}
  const Capabilities& capabilities() const noexcept override { return inner_->capabilities(); }
  std::byte* reserve(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    return inner_->reserve(lane, ahead);
  }
  void commit(std::uint16_t lane, std::uint32_t bytes, std::uint32_t stamp) noexcept override {
    std::byte* const slot = inner_->reserve(lane, 0);
    const std::vector<std::byte> whole(slot, slot + bytes);
    const std::uint32_t whole_stamp = stamp;
    const Damage& damage = post_->damage;
    if (post_->sent++ == damage.message) switch (damage.kind) {
        case Damage::Kind::kBit:
          slot[damage.bit / 8] ^= std::byte{1} << damage.bit % 8;
          break;
        case Damage::Kind::kStamp:
          stamp ^= std::uint32_t{1} << damage.bit;
          break;
        case Damage::Kind::kShorter:
          --bytes;
          break;
        case Damage::Kind::kRepeated:
          std::copy(post_->last.begin(), post_->last.end(), slot);
          bytes = static_cast<std::uint32_t>(post_->last.size());
          stamp = post_->last_stamp;
          break;
      }
    post_->last = whole;
    post_->last_stamp = whole_stamp;
    inner_->commit(lane, bytes, stamp);
  }
  Arrival peek(std::uint16_t lane, std::uint32_t ahead) noexcept override {
    return inner_->peek(lane, ahead);
  }
  void release(std::uint16_t lane) noexcept override { inner_->release(lane); }
  Descriptor describe(BytesView memory) noexcept override { return inner_->describe(memory); }
  std::byte* map(const Descriptor& remote) noexcept override { return inner_->map(remote); }
  void get(const Descriptor& remote, std::size_t offset, Bytes into, Completion& done) noexcept override {
    inner_->get(remote, offset, into, done);
  }
  void put(const Descriptor& remote, std::size_t offset, BytesView from, Completion& done) noexcept override {
    inner_->put(remote, offset, from, done);
  }
  void quiesce() noexcept override { inner_->quiesce(); }

 private:
  std::unique_ptr<Endpoint> inner_;
  std::shared_ptr<Post> post_;
};

class DamagingTransport final : public Transport {
 public:
  DamagingTransport(std::unique_ptr<Transport> inner, const Damage& damage)
      : inner_(std::move(inner)), post_(std::make_shared<Post>()) {
    post_->damage = damage;
  }
  std::string_view name() const noexcept override { return inner_->name(); }
  const Capabilities& capabilities() const noexcept override { return inner_->capabilities(); }
  std::vector<std::byte> address() const override { return inner_->address(); }
  Result<std::unique_ptr<Endpoint>> connect(Rank peer, BytesView address) override {
    HANSA_ASSIGN_OR_RETURN(auto endpoint, inner_->connect(peer, address));
    return std::unique_ptr<Endpoint>(std::make_unique<DamagingEndpoint>(std::move(endpoint), post_));
  }
  bool poll() noexcept override { return inner_->poll(); }
  bool idle() const noexcept override { return inner_->idle(); }
  Status status() const override { return inner_->status(); }

 private:
  std::unique_ptr<Transport> inner_;
  std::shared_ptr<Post> post_;
};

}  // namespace

std::unique_ptr<Transport> damaging_transport(std::unique_ptr<Transport> inner, const Damage& damage) {
  return std::make_unique<DamagingTransport>(std::move(inner), damage);
}

}  // namespace hansa::test
