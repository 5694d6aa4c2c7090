// How a communicator comes to be: its place, its session, its connections.
#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <new>
#include <system_error>

#include "base/config.hpp"
#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "core/communicator.hpp"
#include "core/factory.hpp"
#include "topology/nearest_rail.hpp"
#include "topology/topology_file.hpp"
#include "tuner/tuner.hpp"

namespace hansa {

void Communicator::connect_in_background() try {
  if (origin_.parent) origin_.parent->nursery_.expect(*this);
  connector_ = std::thread([this] {
    const Status status = come_to_be();
    if (!status.ok()) (void)fail(status);
    if (origin_.parent) end_birth(status);
  });
} catch (const std::system_error&) {
  if (origin_.parent) origin_.parent->nursery_.ended(*this, Status(), nullptr);
  throw;
}

// The last that the connecting thread does: what it gives away may end as soon as it is given.
void Communicator::end_birth(const Status& status) {
  ticket_.reset();
  Origin origin = std::move(origin_);
  std::unique_ptr<Communicator> kept;
  if (!status.ok() || absent()) kept = origin.recall();
  origin.parent->nursery_.ended(*this, status, std::move(kept));
}

Status Communicator::connect() {
  // In the nursery, too, so that who aborts the parent ends this.
  if (origin_.parent) origin_.parent->nursery_.expect(*this);
  const Status status = come_to_be();
  ticket_.reset();
  if (origin_.parent) origin_.parent->nursery_.ended(*this, Status(), nullptr);
  origin_ = {};
  return status;
}

Status Communicator::come_to_be() {
  const LogRank rank(options_.rank);
  Status status;
  try {
    status = meet();
  } catch (const std::bad_alloc&) {
    status = Status(Code::kSystem,
                    "out of memory while connecting: RLIMIT_AS or the memory cgroup may be too low");
  } catch (const std::system_error& error) {
    status = Status(Code::kSystem,
                    fmt::format("a thread cannot be started: {}; RLIMIT_NPROC or the pids cgroup may be "
                                "too low",
                                error.what()));
  }
  // The others would wait for this rank until their time is over.
  if (Session* session = joined_.load(std::memory_order_acquire); session && !status.ok())
    session->raise(status.code() == Code::kRemote
                       ? status
                       : Status(Code::kRemote,
                                fmt::format("rank {} could not join: {}", options_.rank, status.message())));
  return status;
}

Status Communicator::meet() {
  if (fault_point(Point::kInitBegin)) return made_to_fail();
  HANSA_RETURN_IF_ERROR(check_wish(config().algorithm));
  if (ticket_) HANSA_RETURN_IF_ERROR(find_place());
  if (absent()) {
    origin_.connected();
    return {};
  }
  const LogRank seated(options_.rank);
  announce_library(options_.rank);
  if (options_.ranks == 1) {
    discard_unique_id(options_.id);
  } else {
    open_log();
    SessionOptions session = session_options();
    session.root_may_be_late = root_may_be_late_;
    if (!kin_.empty()) session.bereaved = [this] { return origin_.parent->session_->dead_among(kin_); };
    HANSA_ASSIGN_OR_RETURN(session_, join(options_.id, options_.rank, options_.ranks, session));
    joined_.store(session_.get(), std::memory_order_release);
    if (own_log_) own_log_->set_number(session_->number());
    if (fault_point(Point::kInitJoined)) return made_to_fail();
    if (!occasion_.empty()) origin_.parent->descent_.remember(occasion_);
    ticket_.reset();
    left_ = std::make_unique<std::atomic<bool>[]>(static_cast<std::size_t>(options_.ranks));
    session_->watch({[this](const Status& reason) { (void)fail(reason); },
                     [this](Rank rank) {
                       left_[static_cast<std::size_t>(rank)].store(true, std::memory_order_release);
                       any_left_.store(true, std::memory_order_release);
                     },
                     [this](std::uint64_t number) { return whereabouts(number); },
                     [this](const Verdict& verdict) { hear(verdict); }});
  }
  HANSA_RETURN_IF_ERROR(connect_peers());
  State connecting = State::kConnecting;
  state_.compare_exchange_strong(connecting, State::kReady);
  log_state();
  HANSA_RETURN_IF_ERROR(failure());
  if (origin_.connected) origin_.connected();
  return {};
}

void Communicator::open_log() {
  control::SectionOptions section{options_.name, options_.rank, options_.ranks, 0, 0};
  if (origin_.parent) {
    section.parent = origin_.parent->number();
    section.parent_rank = origin_.parent->rank();
  }
  own_log_ = logbook().open(section);
  log_.store(own_log_.get(), std::memory_order_release);
  log_state();
  if (const Status failed = failure(); own_log_ && !failed.ok()) own_log_->set_failure(failed.message());
}

void Communicator::log_state() noexcept {
  if (control::LogbookSection* const section = log())
    section->set_standing(static_cast<control::Standing>(state()));
}

SessionOptions Communicator::session_options() const {
  SessionOptions session;
  session.interface = config().interface;
  session.address_family = config().address_family;
  session.port_first = config().port_range.first;
  session.port_last = config().port_range.last;
  session.timeout = config().init_patience();
  session.host_id = config().host_id;
  session.cancelled = &cancelled_;
  return session;
}

void Communicator::descend_from(Origin origin) {
  ticket_.emplace(origin.parent->descent_);
  origin_ = std::move(origin);
}

// Its turn in the parent's descent lasts until its ranks have met, so that the next child's is another
// occasion.
Status Communicator::find_place() {
  if (!ticket_->await(cancelled_))
    return Status(Code::kAborted, "given up: this rank's communicator was aborted meanwhile");
  const auto place =
      origin_.parent->descent_.place(origin_.parent->session_.get(), origin_.wish, session_options());
  HANSA_RETURN_IF_ERROR(place.status());
  options_.id = place.value().id;
  options_.rank = place.value().rank;
  options_.ranks = std::max(place.value().ranks, 1);
  root_may_be_late_ = place.value().root_may_be_late;
  kin_ = place.value().kin;
  occasion_ = place.value().occasion;
  return {};
}

Result<const Window*> Communicator::show(void* buffer, std::size_t bytes, Descent::Ticket& ticket) {
  // The endpoints are used by one thread at a time: not while the progress thread has operations.
  progress().drain(*this);
  if (!ticket.await(cancelled_)) return failure();
  HANSA_RETURN_IF_ERROR(failure());
  if (!one_sided_) {
    const auto endpoints = connections_ ? connections_->endpoints() : std::span<Endpoint* const>();
    one_sided_ = std::make_unique<OneSided>(options_.rank, options_.ranks, host_memory(), endpoints);
  }
  HANSA_ASSIGN_OR_RETURN(auto window, one_sided_->show(session_.get(), buffer, bytes, turn_));
  if (!window) return static_cast<const Window*>(nullptr);
  windows_.push_back(std::move(window));
  return windows_.back().get();
}

const Window* Communicator::window(const void* handle) const {
  for (const auto& window : windows_)
    if (window.get() == handle) return window.get();
  return nullptr;
}

// Kept where it is: what still runs may point to it.
Status Communicator::hide(const void* handle) {
  for (auto window = windows_.begin(); window != windows_.end(); ++window) {
    if (window->get() != handle) continue;
    hidden_windows_.push_back(std::move(*window));
    windows_.erase(window);
    return {};
  }
  return Status(Code::kInvalidUsage, "not a window of this communicator, or deregistered already");
}

Result<UniqueId> Communicator::invite() {
  if (invitation_)
    return Status(Code::kInvalidUsage,
                  "the last unique id of this communicator was not used yet: ncclCommGrow comes first");
  HANSA_ASSIGN_OR_RETURN(const UniqueId id, create_unique_id(session_options()));
  invitation_ = id;
  return id;
}

void Communicator::take_invitation(const UniqueId& id) {
  if (invitation_ == id) invitation_.reset();
}

Rank Communicator::neighbours() const {
  const std::vector<Member>& members = session_->members();
  const Member& self = members[static_cast<std::size_t>(options_.rank)];
  return static_cast<Rank>(std::count_if(members.begin(), members.end(),
                                         [&](const Member& member) { return member.host == self.host; }));
}

// The user's own word for the library wins over the program's for this communicator.
std::string Communicator::transports() const {
  if (!config().transport.empty() || options_.network.empty()) return config().transport;
  return "inproc,shm," + options_.network;
}

// As many as every rank has.
Result<std::vector<Interface>> Communicator::common_rails() const {
  HANSA_ASSIGN_OR_RETURN(auto rails, session_->rails());
  for (const Member& member : session_->members())
    rails.resize(std::min<std::size_t>(rails.size(), member.rails));
  if (rails.size() < 2) rails.clear();
  return rails;
}

// How many ranks of this host come before this one.
std::uint32_t Communicator::place_on_host() const {
  const std::vector<Member>& members = session_->members();
  const auto self = members.begin() + options_.rank;
  return static_cast<std::uint32_t>(
      std::count_if(members.begin(), self, [&](const Member& member) { return member.host == self->host; }));
}

namespace {

// " on 4 hosts in 2 groups", as far as there are several.
std::string where(const Levels& levels) {
  if (levels.hosts() < 2) return {};
  return fmt::format(" on {} hosts{}", levels.hosts(),
                     levels.groups() > 1 ? fmt::format(" in {} groups", levels.groups()) : "");
}

}  // namespace

// Hosts by what connected; groups by the file, where there is one.
Status Communicator::find_levels() {
  const std::vector<std::uint32_t> hosts = connections_->hosts();
  std::vector<std::uint32_t> groups;
  if (!config().topology.empty()) {
    HANSA_ASSIGN_OR_RETURN(const TopologyFile file, TopologyFile::read(config().topology));
    for (const Member& member : session_->members()) {
      const auto group = file.group_of(member.host_name);
      if (!group)
        return Status(Code::kInvalidUsage, fmt::format("HANSA_TOPOLOGY={} has no group for host {}",
                                                       config().topology, member.host_name));
      groups.push_back(*group);
    }
  }
  levels_ = Levels(hosts, groups);
  return {};
}

Status Communicator::connect_peers() {
  PlanCache::Reach reach{std::size_t{1} << 20, true, false};
  std::span<Endpoint* const> endpoints;
  if (session_) {
    TransportOptions options;
    options.rank = options_.rank;
    options.ranks = options_.ranks;
    options.lanes = 2 * kReturnLanes;
    options.communicator = session_->number();
    options.memory = &host_memory();
    options.shared = &shared_parts();
    options.copier = config().copier;
    options.neighbours = neighbours();
    // A peer that does not answer is to be blamed before all others lose their patience with this rank.
    options.patience = std::min(options.patience, config().init_patience() / 4);
    options.cancelled = &cancelled_;
    // On one host the loopback interface is the safest; beyond it, what the ranks have met on.
    std::string address;
    std::vector<Interface> rails;
    if (options.neighbours < options.ranks) {
      HANSA_ASSIGN_OR_RETURN(address, session_->address());
      options.interface = address;
      HANSA_ASSIGN_OR_RETURN(rails, common_rails());
      options.rails = rails;
      options.nearest_rail = nearest_rail(rails, place_on_host());
      options.rails_changed = [this](const RailCounts& now) {
        if (own_log_) own_log_->set_rails(now);
      };
    }
    HANSA_ASSIGN_OR_RETURN(connections_, Connections::open(*session_, options, transports()));
    endpoints = connections_->endpoints();
    lingers_ = connections_->any(&Capabilities::lingers);
    awaits_peers_ = connections_->any(&Capabilities::awaits_peers);
    HANSA_RETURN_IF_ERROR(find_levels());
    reach.levels = &levels_;
    if (fault_point(Point::kInitAgreed)) return made_to_fail();
    HANSA_RETURN_IF_ERROR(agree_on_reach(endpoints, reach));
    // Where messages are the kernel's, it needs the core, and perhaps other hosts do, which share it.
    yields_ = crowded_ || connections_->any(&Capabilities::asks_kernel);
    if (own_log_) own_log_->describe(connections_->summary(), crowded_);
    (void)fault_point(Point::kInitReady);
    HANSA_INFO_ON(kInit, "communicator {}of {} ranks{} ready: {}{}; {}",
                  options_.name.empty() ? "" : fmt::format("\"{}\" ", options_.name), options_.ranks,
                  where(levels_), connections_->summary(),
                  !reach.direct    ? ""
                  : reach.deposits ? ", large messages by way of memory that all map"
                                   : ", large messages from memory to memory",
                  crowded_ ? "more ranks than cores here" : "a core for every rank here");
  }
  plans_.emplace(
      options_.rank, options_.ranks, endpoints, reach, config().algorithm, host_combine_chooser(),
      [this] { return poll_within_step(); }, host_memory());
  return {};
}

namespace {

// What ranks tell each other before they start.
struct Facts {
  std::uint64_t message_bytes, direct, copies_dear, deposits, wants_depots, wishes, checksum, groups;
  cpu_set_t cores;
};

std::uint64_t digest(std::span<const Rank> numbers) {
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes()});
}

}  // namespace

// Also the barrier after which traffic may start.
Status Communicator::agree_on_reach(std::span<Endpoint* const> endpoints, PlanCache::Reach& reach) {
  for (const Endpoint* endpoint : endpoints)
    if (endpoint) {
      reach.message_bytes = std::min(reach.message_bytes, endpoint->capabilities().message_bytes());
      reach.direct = reach.direct && endpoint->capabilities().direct;
      reach.copies_dear = reach.copies_dear || endpoint->capabilities().staged == Staged::kAll;
      reach.deposits = reach.deposits || endpoint->capabilities().deposits;
    }
  Facts mine{reach.message_bytes,
             reach.direct,
             reach.copies_dear,
             reach.deposits,
             config().copier == Copier::kDepot,
             std::hash<std::string>()(config().algorithm),
             config().checksum,
             digest(levels_.group_of()),
             {}};
  sched_getaffinity(0, sizeof mine.cores, &mine.cores);
  HANSA_ASSIGN_OR_RETURN(const auto everyone, session_->allgather(std::as_bytes(std::span(&mine, 1))));
  const std::vector<Member>& members = session_->members();
  cpu_set_t cores = mine.cores;
  bool wants_depots = false;
  for (std::size_t rank = 0; rank < everyone.size(); ++rank) {
    Facts theirs;
    if (everyone[rank].size() != sizeof theirs)
      return Status(Code::kInvalidUsage, fmt::format("rank {} runs another version of this library", rank));
    std::memcpy(&theirs, everyone[rank].data(), sizeof theirs);
    if (theirs.wishes != mine.wishes)
      return Status(Code::kInvalidUsage,
                    fmt::format("rank {} has another HANSA_ALGORITHM than rank {}: set the same for all",
                                rank, options_.rank));
    if (theirs.checksum != mine.checksum)
      return Status(Code::kInvalidUsage,
                    fmt::format("rank {} has another HANSA_CHECKSUM than rank {}: set the same for all", rank,
                                options_.rank));
    if (theirs.groups != mine.groups)
      return Status(Code::kInvalidUsage,
                    fmt::format("rank {} has other groups in HANSA_TOPOLOGY than rank {}: give all the same",
                                rank, options_.rank));
    reach.message_bytes = std::min<std::size_t>(reach.message_bytes, theirs.message_bytes);
    reach.direct = reach.direct && theirs.direct != 0;
    reach.copies_dear = reach.copies_dear || theirs.copies_dear != 0;
    reach.deposits = reach.deposits || theirs.deposits != 0;
    wants_depots = wants_depots || theirs.wants_depots != 0;
    if (members[rank].host != members[static_cast<std::size_t>(options_.rank)].host) continue;
    CPU_OR(&cores, &cores, &theirs.cores);
  }
  crowded_ = neighbours() > CPU_COUNT(&cores);
  // Two ranks were faster otherwise, whatever their cores.
  reach.deposits = reach.deposits && reach.direct && (wants_depots || (crowded_ && options_.ranks > 2));
  return {};
}

}  // namespace hansa
