// PMI-1: lines of text. Rank and size come with the environment.
#include <fmt/format.h>

#include <algorithm>

#include "bootstrap/launchers/environment.hpp"
#include "bootstrap/launchers/pmi.hpp"

namespace hansa::bootstrap {
namespace {

constexpr std::size_t kLeastValue = 16, kMostPmi1Value = 512;  // a whole line must fit into 1024 characters

class Pmi1 final : public KeyValueSpace {
 public:
  Pmi1(PmiSocket socket, Job job) : socket_(std::move(socket)), job_(std::move(job)) {}
  ~Pmi1() override {
    if (greeted_ && socket_.usable())
      (void)socket_.ask_line("cmd=finalize", "finalize_ack", goodbye_deadline());
  }
  Pmi1(const Pmi1&) = delete;
  Pmi1& operator=(const Pmi1&) = delete;

  Status start() {
    const Deadline deadline = answer_deadline();
    HANSA_ASSIGN_OR_RETURN(const PmiAnswer hello, socket_.ask_line("cmd=init pmi_version=1 pmi_subversion=1",
                                                                   "response_to_init", deadline));
    if (!hello.succeeded())
      return Status(Code::kUnsupported,
                    "the launcher's process manager does not speak PMI-1.1; start the "
                    "job with a launcher that does, or with srun --mpi=pmi2");
    greeted_ = true;
    HANSA_ASSIGN_OR_RETURN(const PmiAnswer maxes, socket_.ask_line("cmd=get_maxes", "maxes", deadline));
    const std::size_t most = number_in(maxes.field("vallen_max")).value_or(0);
    if (most <= kLeastValue)
      return Status(Code::kUnsupported,
                    "the launcher's process manager keeps no values of useful length "
                    "(vallen_max); start the job with another launcher");
    most_value_ = std::min(most - 1, kMostPmi1Value);  // some count the terminator
    HANSA_ASSIGN_OR_RETURN(const PmiAnswer name,
                           socket_.ask_line("cmd=get_my_kvsname", "my_kvsname", deadline));
    space_ = name.field("kvsname");
    HANSA_ASSIGN_OR_RETURN(const PmiAnswer mapping, ask_value("PMI_process_mapping", deadline));
    if (const auto place = find_local_place(mapping.field("value"), job_.rank, job_.ranks)) {
      job_.local_rank = place->rank;
      job_.local_ranks = place->ranks;
    }
    return Status();
  }

  const Job& job() const noexcept override { return job_; }
  std::size_t most_value() const noexcept override { return most_value_; }

  Status put(const std::string& key, const std::string& value, Deadline deadline) override {
    HANSA_ASSIGN_OR_RETURN(
        const PmiAnswer answer,
        socket_.ask_line(fmt::format("cmd=put kvsname={} key={} value={}", space_, key, value), "put_result",
                         deadline));
    return answer.succeeded() ? Status() : refused_to_put(key);
  }

  Status fence(Deadline deadline) override {
    HANSA_ASSIGN_OR_RETURN(const PmiAnswer answer,
                           socket_.ask_line("cmd=barrier_in", "barrier_out", deadline));
    return answer.succeeded() ? Status() : gave_up("barrier");
  }

  Result<std::string> get(const std::string& key, Deadline deadline) override {
    HANSA_ASSIGN_OR_RETURN(const PmiAnswer answer, ask_value(key, deadline));
    if (answer.succeeded()) return std::string(answer.field("value"));
    return put_nothing_as(key);
  }

 private:
  Result<PmiAnswer> ask_value(const std::string& key, Deadline deadline) {
    return socket_.ask_line(fmt::format("cmd=get kvsname={} key={}", space_, key), "get_result", deadline);
  }

  PmiSocket socket_;
  Job job_;
  std::string space_;
  std::size_t most_value_ = 0;
  bool greeted_ = false;
};

}  // namespace

Result<std::unique_ptr<KeyValueSpace>> open_pmi1(const Lookup& lookup) {
  HANSA_ASSIGN_OR_RETURN(Job job, job_of(lookup, "PMI_RANK", "PMI_SIZE"));
  job.launcher = "PMI-1";
  HANSA_ASSIGN_OR_RETURN(PmiSocket socket, PmiSocket::of_environment(lookup));
  auto space = std::make_unique<Pmi1>(std::move(socket), std::move(job));
  HANSA_RETURN_IF_ERROR(space->start());
  return std::unique_ptr<KeyValueSpace>(std::move(space));
}

}  // namespace hansa::bootstrap
