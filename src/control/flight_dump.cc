#include "control/flight_dump.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <utility>

#include "control/descriptor.hpp"
#include "control/json_text.hpp"
#include "control/torch_entries.hpp"

namespace hansa::control {
namespace {

// Of all communicators of a rank together: the newest.
constexpr std::size_t kMostOperations = 16384;

// The communicators that one rank of the process takes part in.
using Seat = std::vector<const LoggedCommunicator*>;

// A child belongs to the rank that its parent belongs to. Of those without parents the n-th rank here of each
// is taken for the same: nothing else is known.
std::vector<Seat> seats_of(const LoggedProcess& process) {
  std::vector<const LoggedCommunicator*> all;
  for (const LoggedCommunicator& one : process.communicators) all.push_back(&one);
  std::sort(all.begin(), all.end(), [](const LoggedCommunicator* a, const LoggedCommunicator* b) {
    return a->life / 2 < b->life / 2;
  });
  std::vector<Seat> seats;
  std::map<std::pair<std::uint64_t, Rank>, std::size_t> seat_of;  // by number and rank
  std::map<std::uint64_t, std::vector<Rank>> roots;               // ranks here, by number
  for (const LoggedCommunicator* one : all)
    if (!seat_of.contains({one->parent, one->parent_rank}) || one->parent == 0)
      roots[one->number].push_back(one->rank);
  for (auto& [number, ranks] : roots) std::sort(ranks.begin(), ranks.end());
  for (const LoggedCommunicator* one : all) {
    const auto parent = seat_of.find({one->parent, one->parent_rank});
    std::size_t seat;
    if (one->parent != 0 && parent != seat_of.end()) {
      seat = parent->second;
    } else {
      const std::vector<Rank>& here = roots[one->number];
      seat = static_cast<std::size_t>(std::lower_bound(here.begin(), here.end(), one->rank) - here.begin());
    }
    if (seats.size() <= seat) seats.resize(seat + 1);
    if (one->number != 0) seat_of[{one->number, one->rank}] = seat;
    seats[seat].push_back(one);
  }
  std::erase_if(seats, [](const Seat& seat) { return seat.empty(); });
  return seats;
}

std::string_view word_for(LoggedOperation::State state) {
  constexpr std::string_view kWords[] = {"started", "done", "failed"};
  return kWords[static_cast<std::size_t>(state)];
}

std::string_view word_for(OperationClass kind) {
  constexpr std::string_view kWords[] = {"collective", "messages", "one-sided"};
  return kWords[static_cast<std::size_t>(kind)];
}

class Writer {
 public:
  Writer(const LoggedProcess& process, const TickScale& scale) : process_(process), scale_(scale) {}

  void add(std::string& to, const LoggedCommunicator& one, std::uint64_t from) const {
    fmt::format_to(
        std::back_inserter(to),
        R"({{"number":"{:016x}","parent":"{:016x}","parent_rank":{},"rank":{},"ranks":{},"name":{},)"
        R"("state":"{}","transports":{},"crowded":{},"opened_ns":{},"closed_ns":{},"begun":{},)"
        R"("bytes":{},"failure":{},"failed_ns":{},"late":{},"late_told_ns":{},)",
        one.number, one.parent, one.parent_rank, one.rank, one.ranks, quoted(one.name), name_of(one.standing),
        quoted(one.transports), one.crowded, time(one.opened), time(one.closed), one.begun, one.bytes,
        quoted(one.failure), time(one.failed_at), quoted(one.late), time(one.late_told));
    if (one.rails.rails > 0)
      fmt::format_to(std::back_inserter(to),
                     R"("rails":{{"count":{},"down":{},"lost":{},"back":{},"resent":{}}},)", one.rails.rails,
                     one.rails.down, one.rails.lost, one.rails.back, one.rails.resent);
    to += R"("operations":[)";
    std::string_view comma;
    for (const LoggedOperation& operation : one.operations) {
      if (operation.started < from) continue;
      to += std::exchange(comma, ",");
      add(to, operation);
    }
    to += "]}";
  }

 private:
  std::int64_t time(std::uint64_t at) const { return at == 0 ? 0 : scale_.realtime_ns(at); }

  void add(std::string& to, const LoggedOperation& one) const {
    fmt::format_to(std::back_inserter(to),
                   R"({{"sequence":{},"class":"{}","number":{},"text":{},"signature":{},"bytes":{},)"
                   R"("state":"{}","started_ns":{},"ended_ns":{})",
                   one.sequence, word_for(one.kind), one.number, quoted(one.text()), one.stamp, one.bytes,
                   word_for(one.state), time(one.started), time(one.ended));
    if (one.kind == OperationClass::kCollective)
      fmt::format_to(std::back_inserter(to),
                     R"(,"collective":"{}","type":"{}","op":"{}","root":{},"count":{},"algorithm":{}}})",
                     name_of(one.collective), name_of(one.type), name_of(one.op), one.root, one.count,
                     quoted(process_.algorithm(one)));
    else
      add_messages(to, one);
  }

  static void add_messages(std::string& to, const LoggedOperation& one) {
    fmt::format_to(std::back_inserter(to), R"(,"message_count":{},"messages":[)", one.message_count);
    std::string_view comma;
    for (const LoggedMessage& message : one.messages)
      fmt::format_to(std::back_inserter(to), R"({}{{"kind":"{}","peer":{},"bytes":{}}})",
                     std::exchange(comma, ","), name_of(message.kind), message.peer, message.bytes);
    to += "]}";
  }

  const LoggedProcess& process_;
  const TickScale& scale_;
};

// Operations that began before are left out.
std::uint64_t newest_from(const Seat& seat) {
  std::vector<std::uint64_t> started;
  for (const LoggedCommunicator* one : seat)
    for (const LoggedOperation& operation : one->operations) started.push_back(operation.started);
  if (started.size() <= kMostOperations) return 0;
  const auto first = started.end() - kMostOperations;
  std::nth_element(started.begin(), first, started.end());
  return *first;
}

std::string json_of(const Seat& seat, const LoggedProcess& process, pid_t pid, const TickScale& scale,
                    std::string_view reason) {
  const std::uint64_t from = newest_from(seat);
  std::string json = "{" + torch_entries(seat, scale, from);
  fmt::format_to(
      std::back_inserter(json),
      R"(,"rank":{},"hansa":{{"format":1,"host":{},"pid":{},"dumped_ns":{},"reason":{},"communicators":[)",
      seat.front()->rank, quoted(process.host), pid, clock_ns(CLOCK_REALTIME), quoted(reason));
  const Writer writer(process, scale);
  std::string_view comma;
  for (const LoggedCommunicator* one : seat) {
    json += std::exchange(comma, ",");
    writer.add(json, *one, from);
  }
  return json + "]}}\n";
}

Status write_whole(const std::string& path, std::string_view text) {
  const std::string unfinished = fmt::format("{}.{}.part", path, getpid());
  const auto failed = [&](const char* what) {
    const Status status = system_error(fmt::format("cannot {} {}", what, path), errno);
    unlink(unfinished.c_str());
    return status;
  };
  const Descriptor file(
      ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.open()) return failed("create");
  while (!text.empty()) {
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed("write");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return rename(unfinished.c_str(), path.c_str()) == 0 ? Status() : failed("rename");
}

}  // namespace

std::vector<FlightDump> flight_dumps(const LoggedProcess& process, pid_t pid, std::string_view reason) {
  const TickScale scale(process.mark);
  std::vector<FlightDump> dumps;
  for (const Seat& seat : seats_of(process)) {
    const Rank rank = seat.front()->rank;
    dumps.push_back({rank, fmt::format("hansa-flight-{}-{}-{}.json", file_word(process.host), pid, rank),
                     json_of(seat, process, pid, scale, reason)});
  }
  return dumps;
}

Status write_flight_dumps(const std::vector<FlightDump>& dumps, const std::string& folder) {
  for (const FlightDump& dump : dumps)
    HANSA_RETURN_IF_ERROR(write_whole(folder + "/" + dump.file_name, dump.json));
  return {};
}

}  // namespace hansa::control
