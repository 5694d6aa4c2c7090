// The meeting of ranks that a launcher started, through a communicator of its own.
#include <cstring>

#include "tools/bench/launched.hpp"

namespace hansa::bench {
namespace {

class OwnMeeting : public CommunicatorMeeting {
 public:
  OwnMeeting(ncclComm_t comm, Watch& watch) : CommunicatorMeeting(comm), comm_(comm), watch_(watch) {}
  ~OwnMeeting() override {
    if (watch_.release(comm_)) (void)ncclCommDestroy(comm_);
  }

 private:
  ncclComm_t comm_;
  Watch& watch_;
};

}  // namespace

Result<World> world_of(Launcher& launcher, int threads, std::chrono::milliseconds patience) {
  const Job& job = launcher.job();
  ncclUniqueId id{};
  std::vector<std::byte> bytes(sizeof id);
  if (job.rank == 0) {
    HANSA_RETURN_IF_ERROR(status_of(ncclGetUniqueId(&id), nullptr));
    std::memcpy(bytes.data(), &id, sizeof id);
  }
  HANSA_ASSIGN_OR_RETURN(bytes, launcher.broadcast(std::move(bytes), patience));
  if (bytes.size() != sizeof id)
    return Status(Code::kRemote,
                  "rank 0 of the job sent no unique id: do all processes run this same program?");
  std::memcpy(&id, bytes.data(), sizeof id);
  World world;
  world.process = job.rank;
  world.processes = job.ranks;
  world.local = job.local_rank;
  if (job.ranks == 1) return world;
  world.join = [id](const Seat& seat) -> Result<std::unique_ptr<Meeting>> {
    ncclComm_t comm = nullptr;
    HANSA_RETURN_IF_ERROR(status_of(ncclCommInitRank(&comm, seat.ranks, id, seat.rank), nullptr)
                              .within("ncclCommInitRank of all ranks of the job"));
    seat.watch->keep(comm);
    return std::unique_ptr<Meeting>(std::make_unique<OwnMeeting>(comm, *seat.watch));
  };
  return world;
}

}  // namespace hansa::bench
