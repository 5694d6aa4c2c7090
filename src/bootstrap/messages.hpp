// What links say, as structures and as bytes. Every parse() trusts nothing: it answers false for bytes that
// encode() would not have made, within the bounds below. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "bootstrap/bytes.hpp"
#include "bootstrap/network_address.hpp"
#include "hansa/bootstrap.hpp"

namespace hansa::bootstrap {

// Raised with every change of what follows, so that different versions tell each other instead of guessing.
inline constexpr std::uint16_t kProtocol = 8;

inline constexpr std::size_t kMostText = 4096;                   // of a failure
inline constexpr std::size_t kMostName = 256;                    // of a host
inline constexpr std::size_t kMostContribution = 64 << 10;       // of a rank to one exchange
inline constexpr std::size_t kMostTable = std::size_t{1} << 30;  // of all ranks
inline constexpr Rank kMostRanks = 1 << 24;
inline constexpr std::size_t kMostMessage = 128 << 10;  // of anything but tables

enum class Message : std::uint8_t {
  kRegister = 1,  // leader to root: Registration
  kEnter,         // member to leader, leader to root: Entry
  kWelcome,       // root to leaders, leader to members: Process, who speaks
  kAssign,        // root to leader: Assignment
  kDone,          // leader to root: joined, the root is no longer needed
  kAttach,        // leader to its parent in the tree: Attachment
  kGather,        // member to leader, leader to parent: Contributions
  kTable,         // the same of all ranks, back
  kLate,          // someone's time is over: Lateness; to the root while joining, else through the whole tree
  kMissing,       // leader to parent: Absence, who below has not contributed
  kFail,          // any direction: Failure
  kLeave,         // member to leader; and the leader's answer when it has told the others
  kLeft,          // through the whole tree: Absence, who left
  kNeighbours,    // leader to members: Neighbours, whom to tell should the leader die
  kAdmit,         // usher to rank: Admission
  kConcern,       // member to leader, and up to the first: RaisedConcern
  kRollCall,      // the first leader to everybody: RollCall
  kPresent,       // the answers, back: Contributions of Presence
  kVerdict,       // the first leader to everybody: Verdict
  kDead,          // through the whole tree, failed before or not: Obituary
  kWithdraw,      // leader to root, in a reunion: Withdrawal, of a rank whose time is over
  kDismiss,       // root to leader, in a reunion: Dismissal, the answer to that or why a rank need not wait
  kCannotCome,    // rank to root: Dismissal
};

// A process as people and peers know it.
struct Process {
  Rank rank = -1;  // one that lives in it; -1: none known
  std::int32_t pid = 0;
  std::uint64_t id = 0;  // random, see Member::process
  std::string host_name;

  std::string text() const;  // "rank 3 (host n1, pid 4711)"
  void write(ByteWriter* to) const;
  static Process read(ByteReader* from);
};

// Where the leader of a host is found.
struct Neighbour {
  std::string host;
  NetworkAddress gate;

  void write(ByteWriter* to) const;
  static Neighbour read(ByteReader* from);
};

struct Neighbours {
  std::vector<Neighbour> list;  // at most 3: parent and children in the tree

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Neighbours* out);
};

struct Registration {
  Process leader;
  Neighbour place;  // where children in the tree connect

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Registration* out);
};

struct Entry {
  std::uint16_t protocol = kProtocol;
  Rank ranks = 0;  // that this rank believes in
  Process process;

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Entry* out);
};

// Whether a rank that enters speaks of the same communicator as `other`, who believes in `ranks`.
Status judge(const Entry& entry, const Process& other, Rank ranks);

// What a rank that came to a meeting point needs to find the root; the secret it has already.
struct Admission {
  NetworkAddress root;
  std::array<std::byte, 16> communicator{};

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Admission* out);
};

struct Welcome {
  Process process;

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Welcome* out);
};

struct Assignment {
  std::uint32_t index = 0, hosts = 0;  // place in the tree: children of i are 2i+1 and 2i+2
  std::uint32_t connections = 0;       // that the root has accepted
  Process parent;                      // these two: where index > 0
  Neighbour parent_place;

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Assignment* out);
};

struct Attachment {
  std::uint32_t index = 0;
  Process leader;
  Neighbour place;

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Attachment* out);
};

struct Lateness {
  std::uint64_t sequence = 0;  // of the exchange; 0 is joining
  std::uint32_t waited_ms = 0;

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Lateness* out);
};

struct Absence {
  std::uint64_t sequence = 0;
  std::vector<Rank> ranks;

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Absence* out);
};

struct Obituary {
  std::vector<Rank> ranks;
  Status death;  // of them all

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Obituary* out);
};

struct Failure {
  Status status;

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Failure* out);
};

struct Contribution {
  Rank rank = 0;
  BytesView bytes;  // points into what was parsed
};

// A list of contributions in any order of ranks; each rank once, all in [0, ranks).
std::vector<std::byte> encode_contributions(std::uint64_t sequence, const std::vector<Contribution>& list);
std::size_t most_table(Rank ranks);  // bytes of the largest list of so many
bool parse_contributions(BytesView bytes, Rank ranks, std::uint64_t* sequence,
                         std::vector<Contribution>* list);

// How a rank introduces itself to all others.
struct Introduction {
  Member member;
  NetworkAddress gate;  // of its process: where it can be found should this communicator fail

  std::vector<std::byte> encode() const;
  static bool parse(BytesView bytes, Introduction* out);
};

// Of those that have not left, the ranks in that process, or on the whole host. (The host matters for a
// process in tests, where one poses as several.)
std::vector<Rank> ranks_in(const std::vector<Member>& members, const std::vector<bool>& has_left,
                           std::uint64_t process, const std::string& host);
std::vector<Rank> ranks_on(const std::vector<Member>& members, const std::vector<bool>& has_left,
                           const std::string& host);

// "3, 5-9": increasing ranks for people, cut where it would become long.
std::string list_of(std::vector<Rank> ranks);
// "rank 3" or "ranks 3, 5-9".
std::string ranks_text(const std::vector<Rank>& ranks);
// "host a" or "hosts a, b", each once, cut where it would become long.
std::string hosts_text(const std::vector<std::string>& names);

// Of a process that cannot take in what the others say.
inline constexpr char kStarved[] = "out of memory: RLIMIT_AS or the memory cgroup may be too low";

}  // namespace hansa::bootstrap
