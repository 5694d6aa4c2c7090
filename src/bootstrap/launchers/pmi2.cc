// PMI-2: messages with a length in front. Rank and size are the process manager's answer.
#include <fmt/format.h>

#include "bootstrap/launchers/environment.hpp"
#include "bootstrap/launchers/pmi.hpp"

namespace hansa::bootstrap {
namespace {

constexpr std::size_t kMostPmi2Value = 512;  // the standard's limit is 1024, for keys and all in some servers

class Pmi2 final : public KeyValueSpace {
 public:
  explicit Pmi2(PmiSocket socket) : socket_(std::move(socket)) { job_.launcher = "PMI-2"; }
  ~Pmi2() override {
    if (greeted_ && socket_.usable())
      (void)socket_.ask_message("cmd=finalize;", "finalize-response", goodbye_deadline());
  }
  Pmi2(const Pmi2&) = delete;
  Pmi2& operator=(const Pmi2&) = delete;

  Status start(const std::string& job_id, std::int64_t rank) {
    const Deadline deadline = answer_deadline();
    HANSA_ASSIGN_OR_RETURN(
        const PmiAnswer version,
        socket_.ask_line("cmd=init pmi_version=2 pmi_subversion=0", "response_to_init", deadline));
    if (!version.succeeded() || version.field("pmi_version") != "2")
      return Status(Code::kUnsupported,
                    "the launcher's process manager does not speak PMI-2; under Slurm, "
                    "start the job with srun --mpi=pmi2");
    HANSA_ASSIGN_OR_RETURN(
        const PmiAnswer hello,
        socket_.ask_message(fmt::format("cmd=fullinit;pmijobid={};pmirank={};threaded=FALSE;", job_id, rank),
                            "fullinit-response", deadline));
    const auto self = number_in(hello.field("rank")), all = number_in(hello.field("size"));
    if (!hello.succeeded() || !self || !all || *self >= *all)
      return Status(Code::kRemote,
                    "the launcher's process manager does not say which rank this is; was "
                    "PMI_RANK or PMI_JOBID changed?");
    greeted_ = true;
    job_.rank = *self;
    job_.ranks = *all;
    HANSA_ASSIGN_OR_RETURN(const PmiAnswer id,
                           socket_.ask_message("cmd=job-getid;", "job-getid-response", deadline));
    space_ = id.field("jobid");
    HANSA_ASSIGN_OR_RETURN(const PmiAnswer mapping,
                           socket_.ask_message("cmd=info-getjobattr;key=PMI_process_mapping;",
                                               "info-getjobattr-response", deadline));
    if (const auto place = find_local_place(mapping.field("value"), job_.rank, job_.ranks)) {
      job_.local_rank = place->rank;
      job_.local_ranks = place->ranks;
    }
    return Status();
  }

  const Job& job() const noexcept override { return job_; }
  std::size_t most_value() const noexcept override { return kMostPmi2Value; }

  Status put(const std::string& key, const std::string& value, Deadline deadline) override {
    HANSA_ASSIGN_OR_RETURN(const PmiAnswer answer,
                           socket_.ask_message(fmt::format("cmd=kvs-put;key={};value={};", key, value),
                                               "kvs-put-response", deadline));
    return answer.succeeded() ? Status() : refused_to_put(key);
  }

  Status fence(Deadline deadline) override {
    HANSA_ASSIGN_OR_RETURN(const PmiAnswer answer,
                           socket_.ask_message("cmd=kvs-fence;", "kvs-fence-response", deadline));
    return answer.succeeded() ? Status() : gave_up("fence");
  }

  Result<std::string> get(const std::string& key, Deadline deadline) override {
    HANSA_ASSIGN_OR_RETURN(
        const PmiAnswer answer,
        socket_.ask_message(fmt::format("cmd=kvs-get;jobid={};srcid=0;key={};", space_, key),
                            "kvs-get-response", deadline));
    if (answer.succeeded() && answer.field("found") == "TRUE") return std::string(answer.field("value"));
    return put_nothing_as(key);
  }

 private:
  PmiSocket socket_;
  Job job_;
  std::string space_;
  bool greeted_ = false;
};

}  // namespace

Result<std::unique_ptr<KeyValueSpace>> open_pmi2(const Lookup& lookup) {
  HANSA_ASSIGN_OR_RETURN(const std::int64_t rank, number_of(lookup, "PMI_RANK", 0, kMostRanks - 1));
  HANSA_ASSIGN_OR_RETURN(PmiSocket socket, PmiSocket::of_environment(lookup));
  auto space = std::make_unique<Pmi2>(std::move(socket));
  HANSA_RETURN_IF_ERROR(space->start(text_of(lookup, "PMI_JOBID"), rank));
  return std::unique_ptr<KeyValueSpace>(std::move(space));
}

}  // namespace hansa::bootstrap
