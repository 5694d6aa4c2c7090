// What everybody has in common who posts messages on a port.
#pragma once

#include <memory>

#include "transports/libfabric/fabric.hpp"
#include "transports/libfabric/registry.hpp"
#include "transports/libfabric/retry.hpp"
#include "transports/libfabric/ring.hpp"

namespace hansa::libfabric {

// What the posters of one transport share; outlives the transport while the provider still has something of
// theirs.
struct Shared {
  Status status;              // the first failure of any message
  std::size_t in_flight = 0;  // sends that the provider has not completed
  std::size_t waiting = 0;    // posters in the port's list
};

// Every call is made with the port's turn taken. Lives until the provider has nothing of it any more, or the
// port's endpoint is closed.
class Poster {
 public:
  explicit Poster(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  Poster(const Poster&) = delete;
  Poster& operator=(const Poster&) = delete;
  virtual ~Poster() = default;

  virtual void completed(Operation& operation, std::size_t message_bytes) = 0;
  virtual void failed(Operation& operation, const fi_cq_err_entry& entry) = 0;
  // Whether advance() has something to do, now or later.
  virtual bool pending() const = 0;
  // Posts what waits. True if it posted any.
  virtual bool advance() = 0;

  // The end: posts nothing more, and asks for the end of all receives; whether nothing is posted any more;
  // closes the region, which must be before the endpoint closes where regions are the endpoint's.
  virtual void withdraw() = 0;
  virtual bool withdrawn() const = 0;
  void close_region() { region_.reset(); }

  void enlisted(bool is) {
    if (is == waiting_) return;
    waiting_ = is;
    shared_->waiting += is ? 1 : std::size_t{0} - 1;
  }
  bool is_enlisted() const { return waiting_; }

 protected:
  std::shared_ptr<Shared> shared_;
  // Bytes for slots, on pages of their own, made known to the provider. kSystem where there are none.
  Status allocate(Registry& registry, std::size_t bytes);
  std::byte* memory() const { return memory_.get(); }
  fid_mr* region() const { return region_.get(); }

 private:
  std::unique_ptr<std::byte, void (*)(std::byte*)> memory_{nullptr, nullptr};
  Owned<fid_mr> region_;
  bool waiting_ = false;  // stands in the port's list
};

// Errors that say that the other side or the way to it is gone.
bool is_remote(int error);

}  // namespace hansa::libfabric
