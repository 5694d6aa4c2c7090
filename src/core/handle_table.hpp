// Handles that can be checked. What users hold are addresses of places in tables that are never freed, so
// a foreign, stale or destroyed handle is recognised without touching memory that is not ours. A table itself
// is there before any code runs, and to the end.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>

namespace hansa {

template <class T>
class HandleTable {
  struct alignas(64) Place {
    std::atomic<T*> object{nullptr};
    std::atomic<std::uint32_t> users{0};
  };

 public:
  // Keeps the object alive while one call uses it; empty if the handle was not valid.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept
        : place_(std::exchange(other.place_, nullptr)), object_(std::exchange(other.object_, nullptr)) {}
    Lease& operator=(Lease&& other) noexcept {
      std::swap(place_, other.place_);
      std::swap(object_, other.object_);
      return *this;
    }
    ~Lease() {
      if (place_ != nullptr) place_->users.fetch_sub(1, std::memory_order_release);
    }
    explicit operator bool() const noexcept { return object_ != nullptr; }
    T* operator->() const noexcept { return object_; }
    T& operator*() const noexcept { return *object_; }
    T* get() const noexcept { return object_; }

   private:
    friend class HandleTable;
    Lease(Place* place, T* object) noexcept : place_(place), object_(object) {}
    Place* place_ = nullptr;
    T* object_ = nullptr;
  };

  // A handle for the object, or null if there are 2^18 already. A place is used again only after all others
  // were, so that a stale handle stays invalid for long.
  void* put(T* object) {
    const std::scoped_lock lock(mutex_);
    const std::size_t total = kSegment * segments_.load(std::memory_order_relaxed);
    for (std::size_t tried = 0; tried < total; ++tried) {
      Place& place = table_[next_ % total / kSegment][next_ % total % kSegment];
      ++next_;
      if (place.object.load(std::memory_order_relaxed) != nullptr) continue;
      if (place.users.load(std::memory_order_seq_cst) != 0) continue;  // an old object is still in use
      place.object.store(object, std::memory_order_seq_cst);
      return &place;
    }
    const std::size_t count = total / kSegment;
    if (count == kSegments) return nullptr;
    table_[count] = new Place[kSegment];
    next_ = total + 1;
    table_[count][0].object.store(object, std::memory_order_seq_cst);
    segments_.store(count + 1, std::memory_order_release);
    return &table_[count][0];
  }

  // Takes no lock and never allocates.
  Lease find(const void* handle) const noexcept {
    Place* const place = place_of(handle);
    if (place == nullptr) [[unlikely]]
      return {};
    // Counted before looking: who takes the object away first empties the place, then waits for the count.
    place->users.fetch_add(1, std::memory_order_seq_cst);
    T* object = place->object.load(std::memory_order_seq_cst);
    if (object != nullptr) [[likely]]
      return Lease(place, object);
    place->users.fetch_sub(1, std::memory_order_release);
    return {};
  }

  // Ends a handle: later finds fail. The object goes to exactly one caller, who may free it once in_use()
  // says no. Null if the handle was not valid.
  T* take(const void* handle) noexcept {
    Place* place = place_of(handle);
    return place ? place->object.exchange(nullptr, std::memory_order_seq_cst) : nullptr;
  }

  bool in_use(const void* handle) const noexcept {
    const Place* place = place_of(handle);
    return place != nullptr && place->users.load(std::memory_order_seq_cst) != 0;
  }

 private:
  static constexpr std::size_t kSegment = 256, kSegments = 1024;

  Place* place_of(const void* handle) const noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(handle);
    const std::size_t count = segments_.load(std::memory_order_acquire);
    for (std::size_t s = 0; s < count; ++s) {
      const std::uintptr_t offset = address - reinterpret_cast<std::uintptr_t>(table_[s]);
      if (offset >= kSegment * sizeof(Place)) continue;
      return offset % sizeof(Place) == 0 ? reinterpret_cast<Place*>(address) : nullptr;
    }
    return nullptr;
  }

  std::mutex mutex_;
  std::size_t next_ = 0;
  std::atomic<std::size_t> segments_{0};
  Place* table_[kSegments] = {};
};

}  // namespace hansa
