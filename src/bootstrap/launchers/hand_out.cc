#include "bootstrap/launchers/hand_out.hpp"

#include <fmt/format.h>

#include "bootstrap/bytes.hpp"
#include "bootstrap/launchers/environment.hpp"

namespace hansa::bootstrap {
namespace {

constexpr std::string_view kMagic = "HANSA-H1";

ByteWriter begin() {
  ByteWriter writer;
  writer.raw(std::as_bytes(std::span(kMagic)));
  return writer;
}

bool skip_magic(ByteReader* reader) {
  const BytesView bytes = reader->raw(kMagic.size());
  return bytes.size() == kMagic.size() && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

class HandOutLauncher final : public Launcher {
 public:
  HandOutLauncher(Job job, MeetingPoint point) : job_(std::move(job)), point_(std::move(point)) {}
  const Job& job() const noexcept override { return job_; }

  Result<std::vector<std::byte>> broadcast(std::vector<std::byte> bytes,
                                           std::chrono::milliseconds patience) override {
    const Deadline deadline = deadline_in(patience);
    HANSA_RETURN_IF_ERROR(check_broadcast(job_, bytes));
    const std::uint32_t number = broadcasts_++;
    if (job_.ranks == 1) return bytes;
    if (job_.rank != 0)
      return ask_for(point_,
                     {number, static_cast<std::uint32_t>(job_.rank), static_cast<std::uint32_t>(job_.ranks)},
                     deadline);
    NetworkAddress address = listening_address(point_);
    const std::uint16_t port = address.port;
    auto listener =
        listen_tcp(&address, port, port, "set MASTER_PORT to a port that is free on rank 0's host");
    if (!listener.ok())
      return Status(listener.status().code(),
                    fmt::format("rank 0 cannot be met at MASTER_ADDR:MASTER_PORT {}: {}", point_.name,
                                listener.status().message()));
    const Status done = hand_out(listener.value().get(), bytes, number, job_.ranks, deadline);
    if (done.ok()) return bytes;
    return Status(done.code(),
                  fmt::format("at MASTER_ADDR:MASTER_PORT {}: {}; look whether they run and have the same "
                              "MASTER_ADDR, MASTER_PORT and WORLD_SIZE",
                              point_.name, done.message()));
  }

 private:
  const Job job_;
  const MeetingPoint point_;
  std::uint32_t broadcasts_ = 0;
};

Status refused(const HandOutAnswer& answer, const HandOutRequest& request) {
  if (answer.verdict == HandOutVerdict::kOtherSize)
    return Status(Code::kInvalidUsage,
                  fmt::format("rank 0's WORLD_SIZE is {}, that of rank {} is {}; set the same for all ranks",
                              answer.number, request.rank, request.ranks));
  return Status(
      Code::kInvalidUsage,
      fmt::format("somebody else came as rank {} before; give each rank a RANK of its own, and each "
                  "job a MASTER_PORT of its own, and start the job again",
                  request.rank));
}

}  // namespace

std::vector<std::byte> encode(const HandOutRequest& request) {
  ByteWriter writer = begin();
  writer.number(request.broadcast);
  writer.number(request.rank);
  writer.number(request.ranks);
  return writer.take();
}

std::optional<HandOutRequest> parse_hand_out_request(BytesView bytes) {
  ByteReader reader(bytes);
  if (!skip_magic(&reader)) return std::nullopt;
  HandOutRequest request;
  request.broadcast = reader.number<std::uint32_t>();
  request.rank = reader.number<std::uint32_t>();
  request.ranks = reader.number<std::uint32_t>();
  if (!reader.done() || request.rank == 0 || request.rank >= request.ranks || request.ranks > kMostRanks)
    return std::nullopt;
  return request;
}

std::vector<std::byte> encode(const HandOutAnswer& answer, BytesView bytes) {
  ByteWriter writer = begin();
  writer.number(static_cast<std::uint8_t>(answer.verdict));
  writer.number(answer.number);
  writer.raw(bytes);
  return writer.take();
}

std::optional<HandOutAnswer> parse_hand_out_answer(BytesView bytes) {
  ByteReader reader(bytes);
  if (!skip_magic(&reader)) return std::nullopt;
  const auto verdict = reader.number<std::uint8_t>();
  HandOutAnswer answer{static_cast<HandOutVerdict>(verdict), reader.number<std::uint32_t>()};
  if (!reader.done() || verdict > static_cast<std::uint8_t>(HandOutVerdict::kNotNow)) return std::nullopt;
  if (answer.verdict == HandOutVerdict::kHere && answer.number > Launcher::kMostBytes) return std::nullopt;
  return answer;
}

Result<std::vector<std::byte>> ask_for(const MeetingPoint& point, const HandOutRequest& request,
                                       Deadline deadline) {
  std::vector<std::byte> bytes;
  bool complete = false;
  const Status met = meet(point, deadline, [&](Stream stream, Deadline until) -> Encounter {
    if (const Status sent = stream.write(encode(request), until); !sent.ok()) return {sent, true};
    std::array<std::byte, kHandOutAnswerBytes> head;
    if (const Status got = stream.read(head, until); !got.ok()) return {got, true};
    const auto answer = parse_hand_out_answer(head);
    if (!answer) return {Status(Code::kRemote, "who answers is not rank 0 of such a job"), true};
    if (answer->verdict == HandOutVerdict::kNotNow)
      return {Status(Code::kRemote, "rank 0 is at another broadcast, or serves another process of this RANK"),
              true};
    // It has noted that the bytes have come, but could not say so.
    if (answer->verdict == HandOutVerdict::kServedAlready && complete) return {Status(), false};
    if (answer->verdict != HandOutVerdict::kHere) return {refused(*answer, request), false};
    complete = false;
    bytes.resize(answer->number);
    if (const Status got = stream.read(bytes, until); !got.ok()) return {got, true};
    complete = true;
    std::byte noted{1};
    if (const Status sent = stream.write(BytesView(&noted, 1), until); !sent.ok()) return {sent, true};
    return {stream.read(Bytes(&noted, 1), until), true};
  });
  if (met.ok() || complete) return bytes;
  if (met.code() != Code::kRemote) return met;
  return Status(
      Code::kRemote,
      fmt::format("rank 0 is not to be met at MASTER_ADDR:MASTER_PORT {}: {}; look whether rank 0 runs "
                  "there, and on several hosts set MASTER_ADDR to a name that is not localhost",
                  point.name, met.message()));
}

Result<std::unique_ptr<Launcher>> open_hand_out(Job job, const Lookup& lookup) {
  job.launcher = "MASTER_ADDR";
  HANSA_ASSIGN_OR_RETURN(MeetingPoint point, find_meeting_point(lookup));
  return std::unique_ptr<Launcher>(std::make_unique<HandOutLauncher>(std::move(job), std::move(point)));
}

}  // namespace hansa::bootstrap
