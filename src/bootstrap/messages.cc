#include "bootstrap/messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace hansa::bootstrap {
namespace {

bool is_rank(Rank rank) { return rank >= 0 && rank < kMostRanks; }

void write_ranks(ByteWriter* to, const std::vector<Rank>& ranks) {
  to->number(static_cast<std::uint32_t>(ranks.size()));
  for (const Rank rank : ranks) to->number(rank);
}

bool read_ranks(ByteReader* from, std::vector<Rank>* ranks) {
  const auto count = from->number<std::uint32_t>();
  if (!from->ok() || count > from->left() / sizeof(Rank)) return false;
  ranks->resize(count);
  for (Rank& rank : *ranks) {
    rank = from->number<Rank>();
    if (!is_rank(rank)) return false;
  }
  return true;
}

}  // namespace

std::string Process::text() const {
  const std::string where = fmt::format("host {}, pid {}", host_name, pid);
  return rank < 0 ? fmt::format("the process that made the unique id ({})", where)
                  : fmt::format("rank {} ({})", rank, where);
}

void Process::write(ByteWriter* to) const {
  to->number(rank);
  to->number(pid);
  to->number(id);
  to->text(host_name);
}

Process Process::read(ByteReader* from) {
  Process process;
  process.rank = from->number<Rank>();
  process.pid = from->number<std::int32_t>();
  process.id = from->number<std::uint64_t>();
  process.host_name = from->text(kMostName);
  return process;
}

void Neighbour::write(ByteWriter* to) const {
  to->text(host);
  gate.write(to);
}

Neighbour Neighbour::read(ByteReader* from) {
  Neighbour neighbour;
  neighbour.host = from->text(kMostName);
  neighbour.gate = NetworkAddress::read(from);
  return neighbour;
}

std::vector<std::byte> Neighbours::encode() const {
  ByteWriter writer;
  writer.number(static_cast<std::uint8_t>(list.size()));
  for (const Neighbour& neighbour : list) neighbour.write(&writer);
  return writer.take();
}

bool Neighbours::parse(BytesView bytes, Neighbours* out) {
  ByteReader reader(bytes);
  const auto count = reader.number<std::uint8_t>();
  if (count > 3) return false;
  out->list.clear();
  for (int i = 0; i < count; ++i) out->list.push_back(Neighbour::read(&reader));
  return reader.done();
}

std::vector<std::byte> Registration::encode() const {
  ByteWriter writer;
  leader.write(&writer);
  place.write(&writer);
  return writer.take();
}

bool Registration::parse(BytesView bytes, Registration* out) {
  ByteReader reader(bytes);
  out->leader = Process::read(&reader);
  out->place = Neighbour::read(&reader);
  return reader.done() && is_rank(out->leader.rank);
}

std::vector<std::byte> Entry::encode() const {
  ByteWriter writer;
  writer.number(protocol);
  writer.number(ranks);
  process.write(&writer);
  return writer.take();
}

bool Entry::parse(BytesView bytes, Entry* out) {
  ByteReader reader(bytes);
  out->protocol = reader.number<std::uint16_t>();
  out->ranks = reader.number<Rank>();
  out->process = Process::read(&reader);
  return reader.done() && out->ranks > 0 && out->ranks <= kMostRanks && is_rank(out->process.rank) &&
         out->process.rank < out->ranks;
}

Status judge(const Entry& entry, const Process& other, Rank ranks) {
  if (entry.protocol != kProtocol) {
    return Status(
        Code::kInvalidUsage,
        fmt::format("{} speaks protocol {} of this library, {} speaks {}; run one version on all ranks",
                    entry.process.text(), entry.protocol, other.text(), kProtocol));
  }
  if (entry.ranks != ranks) {
    return Status(Code::kInvalidUsage,
                  fmt::format("{} was started with {} ranks, {} with {}; all ranks must pass the same number",
                              entry.process.text(), entry.ranks, other.text(), ranks));
  }
  return Status();
}

std::vector<std::byte> Admission::encode() const {
  ByteWriter writer;
  root.write(&writer);
  writer.raw(communicator);
  return writer.take();
}

bool Admission::parse(BytesView bytes, Admission* out) {
  ByteReader reader(bytes);
  out->root = NetworkAddress::read(&reader);
  reader.copy(&out->communicator);
  return reader.done();
}

std::vector<std::byte> Welcome::encode() const {
  ByteWriter writer;
  process.write(&writer);
  return writer.take();
}

bool Welcome::parse(BytesView bytes, Welcome* out) {
  ByteReader reader(bytes);
  out->process = Process::read(&reader);
  return reader.done() && out->process.rank >= -1 && out->process.rank < kMostRanks;
}

std::vector<std::byte> Assignment::encode() const {
  ByteWriter writer;
  writer.number(index);
  writer.number(hosts);
  writer.number(connections);
  if (index > 0) {
    parent.write(&writer);
    parent_place.write(&writer);
  }
  return writer.take();
}

bool Assignment::parse(BytesView bytes, Assignment* out) {
  ByteReader reader(bytes);
  out->index = reader.number<std::uint32_t>();
  out->hosts = reader.number<std::uint32_t>();
  out->connections = reader.number<std::uint32_t>();
  if (out->index >= out->hosts || out->hosts > static_cast<std::uint32_t>(kMostRanks)) return false;
  if (out->index > 0) {
    out->parent = Process::read(&reader);
    out->parent_place = Neighbour::read(&reader);
    if (!is_rank(out->parent.rank)) return false;
  }
  return reader.done();
}

std::vector<std::byte> Attachment::encode() const {
  ByteWriter writer;
  writer.number(index);
  leader.write(&writer);
  place.write(&writer);
  return writer.take();
}

bool Attachment::parse(BytesView bytes, Attachment* out) {
  ByteReader reader(bytes);
  out->index = reader.number<std::uint32_t>();
  out->leader = Process::read(&reader);
  out->place = Neighbour::read(&reader);
  return reader.done() && out->index > 0 && is_rank(out->leader.rank);
}

std::vector<std::byte> Lateness::encode() const {
  ByteWriter writer;
  writer.number(sequence);
  writer.number(waited_ms);
  return writer.take();
}

bool Lateness::parse(BytesView bytes, Lateness* out) {
  ByteReader reader(bytes);
  out->sequence = reader.number<std::uint64_t>();
  out->waited_ms = reader.number<std::uint32_t>();
  return reader.done();
}

std::vector<std::byte> Absence::encode() const {
  ByteWriter writer;
  writer.number(sequence);
  write_ranks(&writer, ranks);
  return writer.take();
}

bool Absence::parse(BytesView bytes, Absence* out) {
  ByteReader reader(bytes);
  out->sequence = reader.number<std::uint64_t>();
  return read_ranks(&reader, &out->ranks) && reader.done();
}

std::vector<std::byte> Obituary::encode() const {
  ByteWriter writer;
  write_ranks(&writer, ranks);
  writer.text(death.message().substr(0, kMostText));
  return writer.take();
}

bool Obituary::parse(BytesView bytes, Obituary* out) {
  ByteReader reader(bytes);
  if (!read_ranks(&reader, &out->ranks)) return false;
  out->death = Status(Code::kRemote, reader.text(kMostText));
  return reader.done();
}

std::vector<std::byte> Failure::encode() const {
  ByteWriter writer;
  writer.number(static_cast<std::uint8_t>(status.code()));
  writer.text(status.message().substr(0, kMostText));
  return writer.take();
}

bool Failure::parse(BytesView bytes, Failure* out) {
  ByteReader reader(bytes);
  const auto code = reader.number<std::uint8_t>();
  std::string text = reader.text(kMostText);
  if (!reader.done() || code == 0 || code > static_cast<std::uint8_t>(Code::kAborted)) return false;
  out->status = Status(static_cast<Code>(code), std::move(text));
  return true;
}

std::vector<std::byte> encode_contributions(std::uint64_t sequence, const std::vector<Contribution>& list) {
  ByteWriter writer;
  writer.number(sequence);
  writer.number(static_cast<std::uint32_t>(list.size()));
  for (const Contribution& one : list) {
    writer.number(one.rank);
    writer.blob(one.bytes);
  }
  return writer.take();
}

std::size_t most_table(Rank ranks) {
  const std::size_t full = 12 + static_cast<std::size_t>(ranks) * (kMostContribution + 8);
  return std::clamp(full, kMostMessage, kMostTable);
}

bool parse_contributions(BytesView bytes, Rank ranks, std::uint64_t* sequence,
                         std::vector<Contribution>* list) {
  ByteReader reader(bytes);
  *sequence = reader.number<std::uint64_t>();
  const auto count = reader.number<std::uint32_t>();
  if (!reader.ok() || ranks < 0 || count > static_cast<std::uint32_t>(ranks) || count > reader.left() / 8)
    return false;
  std::vector<bool> seen(static_cast<std::size_t>(ranks));
  list->clear();
  list->reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto rank = reader.number<Rank>();
    const BytesView data = reader.blob(kMostContribution);
    if (!reader.ok() || rank < 0 || rank >= ranks || seen[static_cast<std::size_t>(rank)]) return false;
    seen[static_cast<std::size_t>(rank)] = true;
    list->push_back({rank, data});
  }
  return reader.done();
}

std::vector<std::byte> Introduction::encode() const {
  ByteWriter writer;
  writer.text(member.host);
  writer.text(member.host_name);
  writer.number(member.pid);
  writer.number(member.process);
  writer.number(member.rails);
  gate.write(&writer);
  return writer.take();
}

bool Introduction::parse(BytesView bytes, Introduction* out) {
  ByteReader reader(bytes);
  out->member.host = reader.text(kMostName);
  out->member.host_name = reader.text(kMostName);
  out->member.pid = reader.number<std::int32_t>();
  out->member.process = reader.number<std::uint64_t>();
  out->member.rails = reader.number<std::uint8_t>();
  out->gate = NetworkAddress::read(&reader);
  return reader.done();
}

std::vector<Rank> ranks_in(const std::vector<Member>& members, const std::vector<bool>& has_left,
                           std::uint64_t process, const std::string& host) {
  std::vector<Rank> ranks;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].process == process && members[i].host == host && !has_left[i])
      ranks.push_back(static_cast<Rank>(i));
  }
  return ranks;
}

std::vector<Rank> ranks_on(const std::vector<Member>& members, const std::vector<bool>& has_left,
                           const std::string& host) {
  std::vector<Rank> ranks;
  for (std::size_t i = 0; i < members.size(); ++i)
    if (members[i].host == host && !has_left[i]) ranks.push_back(static_cast<Rank>(i));
  return ranks;
}

std::string list_of(std::vector<Rank> ranks) {
  constexpr int kMostRanges = 16;
  std::sort(ranks.begin(), ranks.end());
  std::string text;
  int ranges = 0;
  for (std::size_t i = 0; i < ranks.size();) {
    if (ranges++ == kMostRanges) return text + fmt::format(" and {} more", ranks.size() - i);
    std::size_t end = i + 1;
    while (end < ranks.size() && ranks[end] == ranks[end - 1] + 1) ++end;
    if (!text.empty()) text += ", ";
    text += end - i == 1 ? fmt::format("{}", ranks[i])
                         : fmt::format("{}{}{}", ranks[i], end - i == 2 ? ", " : "-", ranks[end - 1]);
    i = end;
  }
  return text;
}

std::string ranks_text(const std::vector<Rank>& ranks) {
  return (ranks.size() == 1 ? "rank " : "ranks ") + list_of(ranks);
}

std::string hosts_text(const std::vector<std::string>& names) {
  constexpr std::size_t kMostNames = 16;
  std::vector<std::string> unique;
  for (const std::string& name : names) {
    if (std::find(unique.begin(), unique.end(), name) == unique.end()) unique.push_back(name);
  }
  std::string text = unique.size() == 1 ? "host " : "hosts ";
  for (std::size_t i = 0; i < unique.size() && i < kMostNames; ++i) text += (i ? ", " : "") + unique[i];
  if (unique.size() > kMostNames) text += fmt::format(" and {} more", unique.size() - kMostNames);
  return text;
}

}  // namespace hansa::bootstrap
