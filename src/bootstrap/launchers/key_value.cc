#include "bootstrap/launchers/key_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "bootstrap/launchers/environment.hpp"

namespace hansa::bootstrap {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

std::string key_of(std::uint64_t broadcast, std::size_t piece) {
  return fmt::format("hansa_{}_{}", broadcast, piece);
}

class KeyValueLauncher final : public Launcher {
 public:
  explicit KeyValueLauncher(std::unique_ptr<KeyValueSpace> space) : space_(std::move(space)) {}
  const Job& job() const noexcept override { return space_->job(); }

  Result<std::vector<std::byte>> broadcast(std::vector<std::byte> bytes,
                                           std::chrono::milliseconds patience) override {
    const Deadline deadline = deadline_in(patience);
    HANSA_RETURN_IF_ERROR(check_broadcast(job(), bytes));
    const std::uint64_t number = broadcasts_++;
    if (job().rank == 0) {
      const auto pieces = cut(bytes, space_->most_value());
      for (std::size_t i = 0; i < pieces.size(); ++i)
        HANSA_RETURN_IF_ERROR(space_->put(key_of(number, i), pieces[i], deadline));
    }
    HANSA_RETURN_IF_ERROR(space_->fence(deadline));
    if (job().rank == 0) return bytes;
    return collect(number, deadline);
  }

 private:
  Result<std::vector<std::byte>> collect(std::uint64_t number, Deadline deadline) {
    Assembly assembly;
    for (std::size_t i = 0; !assembly.complete(); ++i) {
      HANSA_ASSIGN_OR_RETURN(const std::string value, space_->get(key_of(number, i), deadline));
      if (!assembly.add(value))
        return Status(Code::kRemote, fmt::format("what {} keeps as {} is not what rank 0 put there; does "
                                                 "every rank run this version?",
                                                 job().launcher, key_of(number, i)));
    }
    return assembly.take();
  }

  std::unique_ptr<KeyValueSpace> space_;
  std::uint64_t broadcasts_ = 0;
};

int value_of_digit(char digit) {
  const auto at = kDigits.find(digit);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

std::unique_ptr<Launcher> launcher_over(std::unique_ptr<KeyValueSpace> space) {
  return std::make_unique<KeyValueLauncher>(std::move(space));
}

std::vector<std::string> cut(BytesView bytes, std::size_t most_value) {
  std::vector<std::string> pieces;
  std::string piece = fmt::format("{}.", bytes.size());
  for (const std::byte byte : bytes) {
    if (piece.size() + 2 > most_value) {
      pieces.push_back(std::move(piece));
      piece.clear();
    }
    piece += kDigits[std::to_integer<unsigned>(byte) >> 4];
    piece += kDigits[std::to_integer<unsigned>(byte) & 15u];
  }
  pieces.push_back(std::move(piece));
  return pieces;
}

bool Assembly::add(std::string_view value) {
  if (complete()) return false;
  if (!length_) {
    std::size_t length = 0;
    const auto [at, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (error != std::errc() || length > Launcher::kMostBytes) return false;
    value.remove_prefix(static_cast<std::size_t>(at - value.data()));
    if (value.empty() || value.front() != '.') return false;
    value.remove_prefix(1);
    length_ = length;
  } else if (value.empty()) {
    return false;  // would go on forever
  }
  if (value.size() % 2 != 0 || value.size() / 2 > *length_ - bytes_.size()) return false;
  for (std::size_t i = 0; i < value.size(); i += 2) {
    const int high = value_of_digit(value[i]), low = value_of_digit(value[i + 1]);
    if (high < 0 || low < 0) return false;
    bytes_.push_back(static_cast<std::byte>(high << 4 | low));
  }
  return true;
}

}  // namespace hansa::bootstrap
