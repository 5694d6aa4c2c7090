#include "bootstrap/launchers/store.hpp"

#include <fmt/format.h>

#include <optional>

#include "bootstrap/bytes.hpp"
#include "bootstrap/launchers/environment.hpp"

namespace hansa::bootstrap {
namespace {

constexpr std::uint32_t kMagic = 0x3C85F7CE;
enum Command : std::uint8_t {
  kValidate = 0,
  kSet = 1,
  kGet = 3,
  kAdd = 4,
  kCheck = 5,
  kWait = 6,
  kDelete = 8
};
enum CheckAnswer : std::uint8_t { kReady = 0, kNotReady = 1 };
enum WaitAnswer : std::uint8_t { kStopWaiting = 0 };

void write_long(ByteWriter* to, BytesView bytes) {
  to->number(static_cast<std::uint64_t>(bytes.size()));
  to->raw(bytes);
}

ByteWriter begin(Command command) {
  ByteWriter writer;
  writer.number(static_cast<std::uint8_t>(command));
  return writer;
}

ByteWriter begin(Command command, std::string_view key) {
  ByteWriter writer = begin(command);
  write_long(&writer, std::as_bytes(std::span(key)));
  return writer;
}

ByteWriter begin_list(Command command, std::string_view key) {
  ByteWriter writer = begin(command);
  writer.number(std::uint64_t{1});
  write_long(&writer, std::as_bytes(std::span(key)));
  return writer;
}

Status strange(std::string_view what) {
  return Status(Code::kRemote, fmt::format("its answer is not that of PyTorch's store ({})", what));
}

}  // namespace

Result<std::uint64_t> Store::read_number(std::size_t bytes, Deadline deadline) {
  std::array<std::byte, 8> field{};
  HANSA_RETURN_IF_ERROR(stream_.read(Bytes(field).first(bytes), deadline));
  return ByteReader(field).number<std::uint64_t>();
}

Status Store::greet(Deadline deadline) {
  ByteWriter writer = begin(kValidate);
  writer.number(kMagic);
  HANSA_RETURN_IF_ERROR(stream_.write(writer.view(), deadline));
  return has("hansa", deadline).status();
}

Status Store::set(std::string_view key, BytesView value, Deadline deadline) {
  ByteWriter writer = begin(kSet, key);
  write_long(&writer, value);
  return stream_.write(writer.view(), deadline);
}

Result<bool> Store::has(std::string_view key, Deadline deadline) {
  HANSA_RETURN_IF_ERROR(stream_.write(begin_list(kCheck, key).view(), deadline));
  HANSA_ASSIGN_OR_RETURN(const std::uint64_t answer, read_number(1, deadline));
  if (answer != kReady && answer != kNotReady) return strange("check");
  return answer == kReady;
}

Result<std::vector<std::byte>> Store::wait_and_get(std::string_view key, std::size_t most,
                                                   Deadline deadline) {
  HANSA_RETURN_IF_ERROR(stream_.write(begin_list(kWait, key).view(), deadline));
  HANSA_ASSIGN_OR_RETURN(const std::uint64_t answer, read_number(1, deadline));
  if (answer != kStopWaiting) return strange("wait");
  HANSA_RETURN_IF_ERROR(stream_.write(begin(kGet, key).view(), deadline));
  HANSA_ASSIGN_OR_RETURN(const std::uint64_t length, read_number(8, deadline));
  if (length > most) return strange("get");
  std::vector<std::byte> value(length);
  HANSA_RETURN_IF_ERROR(stream_.read(value, deadline));
  return value;
}

Result<std::int64_t> Store::add(std::string_view key, std::int64_t value, Deadline deadline) {
  ByteWriter writer = begin(kAdd, key);
  writer.number(value);
  HANSA_RETURN_IF_ERROR(stream_.write(writer.view(), deadline));
  HANSA_ASSIGN_OR_RETURN(const std::uint64_t sum, read_number(8, deadline));
  return static_cast<std::int64_t>(sum);
}

Status Store::remove(std::string_view key, Deadline deadline) {
  HANSA_RETURN_IF_ERROR(stream_.write(begin(kDelete, key).view(), deadline));
  return read_number(8, deadline).status();
}

namespace {

class StoreLauncher final : public Launcher {
 public:
  StoreLauncher(Job job, MeetingPoint point, std::string prefix)
      : job_(std::move(job)), point_(std::move(point)), prefix_(std::move(prefix)) {}
  const Job& job() const noexcept override { return job_; }

  Result<std::vector<std::byte>> broadcast(std::vector<std::byte> bytes,
                                           std::chrono::milliseconds patience) override {
    const Deadline deadline = deadline_in(patience);
    HANSA_RETURN_IF_ERROR(check_broadcast(job_, bytes));
    if (job_.ranks == 1) return bytes;
    const std::string key = fmt::format("{}/{}", prefix_, broadcasts_++);
    if (!store_) HANSA_RETURN_IF_ERROR(connect(deadline));
    auto result = job_.rank == 0 ? publish(key, std::move(bytes), deadline) : receive(key, deadline);
    if (result.ok()) return result;
    store_.reset();  // its place in the protocol is unknown
    return Status(result.status().code(),
                  fmt::format("torchrun's store at {}: {}; {}", point_.name, result.status().message(),
                              job_.rank == 0 ? "does the agent still run?"
                                             : "look for what keeps rank 0 from starting"));
  }

 private:
  Status connect(Deadline deadline) {
    const Status met = meet(point_, deadline, [this](Stream stream, Deadline until) {
      Store store(std::move(stream));
      const Status greeted = store.greet(until);
      if (greeted.ok()) store_.emplace(std::move(store));
      return Encounter{greeted, true};
    });
    if (met.ok()) return met;
    return Status(met.code(),
                  fmt::format("torchrun's store (TORCHELASTIC_USE_AGENT_STORE) is not to be had at "
                              "MASTER_ADDR:MASTER_PORT {}: {}; start the job by torchrun of a "
                              "current PyTorch, and let no program change these variables",
                              point_.name, met.message()));
  }

  Result<std::vector<std::byte>> publish(const std::string& key, std::vector<std::byte> bytes,
                                         Deadline deadline) {
    HANSA_RETURN_IF_ERROR(store_->set(key, bytes, deadline));
    // Setting has no answer of its own. Readers may have been quick enough to have removed it again.
    HANSA_RETURN_IF_ERROR(store_->has(key, deadline).status());
    return bytes;
  }

  Result<std::vector<std::byte>> receive(const std::string& key, Deadline deadline) {
    HANSA_ASSIGN_OR_RETURN(auto bytes, store_->wait_and_get(key, Launcher::kMostBytes, deadline));
    const std::string readers = key + "/read";
    HANSA_ASSIGN_OR_RETURN(const std::int64_t count, store_->add(readers, 1, deadline));
    if (count >= job_.ranks - 1) {
      HANSA_RETURN_IF_ERROR(store_->remove(key, deadline));
      HANSA_RETURN_IF_ERROR(store_->remove(readers, deadline));
    }
    return bytes;
  }

  const Job job_;
  const MeetingPoint point_;
  const std::string prefix_;
  std::optional<Store> store_;
  std::uint64_t broadcasts_ = 0;
};

}  // namespace

Result<std::unique_ptr<Launcher>> open_store(const Lookup& lookup) {
  HANSA_ASSIGN_OR_RETURN(Job job, job_of_torch(lookup));
  HANSA_ASSIGN_OR_RETURN(MeetingPoint point, find_meeting_point(lookup));
  // A store may outlive the ranks that an agent starts anew.
  std::string prefix = fmt::format("hansa/{}/{}", text_of(lookup, "TORCHELASTIC_RUN_ID"),
                                   text_of(lookup, "TORCHELASTIC_RESTART_COUNT"));
  return std::unique_ptr<Launcher>(
      std::make_unique<StoreLauncher>(std::move(job), std::move(point), std::move(prefix)));
}

}  // namespace hansa::bootstrap
