#include "bootstrap/launchers/pmix.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>

#include "base/process.hpp"
#include "base/signals.hpp"
#include "bootstrap/launchers/environment.hpp"
#include "bootstrap/launchers/pmix_abi.hpp"

namespace hansa::bootstrap {
namespace {

constexpr const char* kLibrary = "libpmix.so.2";  // the name of 2.x to 5.x
constexpr std::size_t kMostValue = 16384;         // servers carry far more
constexpr std::chrono::seconds kLocalPatience{30};

struct Functions {
  pmix::Init init = nullptr;
  pmix::Finalize finalize = nullptr;
  pmix::Put put = nullptr;
  pmix::Commit commit = nullptr;
  pmix::Fence fence = nullptr;
  pmix::Get get = nullptr;
  pmix::ErrorString error_string = nullptr;
};

template <class Function>
bool find(void* handle, const char* name, Function& into) {
  into = reinterpret_cast<Function>(dlsym(handle, name));
  return into != nullptr;
}

Result<Functions> load() {
  void* const handle = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr)
    return Status(Code::kUnsupported,
                  fmt::format("the launcher speaks PMIx, but {} does not load ({}); install it (Debian: "
                              "libpmix2) or put its folder into LD_LIBRARY_PATH",
                              kLibrary, dlerror()));
  Functions found;
  const bool complete =
      find(handle, "PMIx_Init", found.init) && find(handle, "PMIx_Finalize", found.finalize) &&
      find(handle, "PMIx_Put", found.put) && find(handle, "PMIx_Commit", found.commit) &&
      find(handle, "PMIx_Fence_nb", found.fence) && find(handle, "PMIx_Get_nb", found.get) &&
      find(handle, "PMIx_Error_string", found.error_string);
  if (!complete)
    return Status(Code::kUnsupported,
                  fmt::format("{} lacks a function of PMIx; install PMIx 4 (Debian: libpmix2)", kLibrary));
  return found;
}

// A question, which libpmix reads until it calls back, and the answer, which comes on a thread of libpmix and
// perhaps long after nobody waits any more.
class Request {
 public:
  pmix::Process about{};
  pmix::Info option{};
  std::string key;

  void answer(int status, const pmix::Value* value) {
    const std::lock_guard lock(mutex_);
    status_ = status;
    if (value != nullptr && value->type == pmix::kString && value->string != nullptr) text_ = value->string;
    if (value != nullptr && value->type == pmix::kUint16) number_ = value->uint16;
    if (value != nullptr && value->type == pmix::kUint32) number_ = value->uint32;
    answered_ = true;
    changed_.notify_all();
  }
  // False where the deadline has passed.
  bool wait(Deadline deadline) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, deadline, [this] { return answered_; });
  }
  // After wait().
  int status() const { return status_; }
  const std::optional<std::string>& text() const { return text_; }
  const std::optional<std::uint32_t>& number() const { return number_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool answered_ = false;
  int status_ = pmix::kSuccess;
  std::optional<std::string> text_;
  std::optional<std::uint32_t> number_;
};

using Shared = std::shared_ptr<Request>;

void on_done(int status, void* data) {
  const std::unique_ptr<Shared> request(static_cast<Shared*>(data));
  (*request)->answer(status, nullptr);
}

void on_value(int status, pmix::Value* value, void* data) {
  const std::unique_ptr<Shared> request(static_cast<Shared*>(data));
  (*request)->answer(status, value);
}

class Pmix final : public KeyValueSpace {
 public:
  explicit Pmix(const Functions& library) : library_(library) { job_.launcher = "PMIx"; }
  ~Pmix() override {
    if (started_ && !broken_ && owner_ == process_generation()) library_.finalize(nullptr, 0);
  }
  Pmix(const Pmix&) = delete;
  Pmix& operator=(const Pmix&) = delete;

  Status start() {
    if (const int status = init(); status != pmix::kSuccess)
      return Status(
          Code::kUnsupported,
          fmt::format("PMIX_NAMESPACE is set, but no PMIx server answers ({}); start this process "
                      "by mpirun or srun --mpi=pmix itself, or unset PMIX_NAMESPACE to run it alone",
                      library_.error_string(status)));
    started_ = true;
    const Deadline deadline = deadline_in(kLocalPatience);
    HANSA_ASSIGN_OR_RETURN(const std::uint32_t ranks, number(pmix::kRankWildcard, pmix::kJobSize, deadline));
    if (ranks == 0 || ranks > kMostRanks || self_.rank >= ranks)
      return Status(Code::kRemote, fmt::format("the PMIx server says that this is rank {} of {}; start the "
                                               "job again",
                                               self_.rank, ranks));
    job_.rank = static_cast<Rank>(self_.rank);
    job_.ranks = static_cast<Rank>(ranks);
    const auto local_ranks = number(pmix::kRankWildcard, pmix::kLocalSize, deadline);
    const auto local_rank = number(self_.rank, pmix::kLocalRank, deadline);
    if (local_ranks.ok() && local_rank.ok() && local_rank.value() < local_ranks.value()) {
      job_.local_rank = static_cast<int>(local_rank.value());
      job_.local_ranks = static_cast<int>(local_ranks.value());
    }
    return Status();
  }

  const Job& job() const noexcept override { return job_; }
  std::size_t most_value() const noexcept override { return kMostValue; }

  Status put(const std::string& key, const std::string& value, Deadline) override {
    HANSA_RETURN_IF_ERROR(check_usable());
    pmix::Value given{};
    given.type = pmix::kString;
    given.string = value.c_str();
    int status = library_.put(pmix::kScopeGlobal, key.c_str(), &given);
    if (status == pmix::kSuccess) status = library_.commit();
    return status == pmix::kSuccess ? Status() : fail("take what this rank gives", status);
  }

  Status fence(Deadline deadline) override {
    HANSA_RETURN_IF_ERROR(check_usable());
    const Shared request = about(pmix::kRankWildcard, "");
    std::strncpy(request->option.key, pmix::kCollectData, sizeof request->option.key - 1);
    request->option.value.type = pmix::kBool;
    request->option.value.flag = true;
    return ask("bring the ranks together", request, deadline, [&](void* data) {
      return library_.fence(&request->about, 1, &request->option, 1, on_done, data);
    });
  }

  Result<std::string> get(const std::string& key, Deadline deadline) override {
    HANSA_RETURN_IF_ERROR(check_usable());
    const Shared request = about(0, key);
    HANSA_RETURN_IF_ERROR(look_up(request, deadline));
    if (request->text()) return *request->text();
    return Status(Code::kRemote, fmt::format("rank 0 has put something else as {}; does every rank run the "
                                             "same program?",
                                             key));
  }

 private:
  int init() {
    const SignalsBlocked in_its_threads;
    return library_.init(&self_, nullptr, 0);
  }

  Status check_usable() const {
    if (!broken_ && owner_ == process_generation()) return Status();
    return Status(Code::kInvalidUsage,
                  "this launcher has failed before, or was inherited by a fork; start "
                  "the job again");
  }

  Status fail(std::string_view what, int status) {
    broken_ = true;
    return Status(Code::kRemote,
                  fmt::format("the PMIx server does not {}: {}; look for ranks that have ended", what,
                              library_.error_string(status)));
  }

  Shared about(std::uint32_t rank, std::string key) const {
    auto request = std::make_shared<Request>();
    request->about = self_;
    request->about.rank = rank;
    request->key = std::move(key);
    return request;
  }

  // `call` starts what on_done or on_value reports.
  template <class Call>
  Status ask(std::string_view what, const Shared& request, Deadline deadline, const Call& call) {
    auto handed_over = std::make_unique<Shared>(request);
    const int status = call(handed_over.get());
    if (status == pmix::kOperationSucceeded) return Status();
    if (status != pmix::kSuccess) return fail(what, status);
    (void)handed_over.release();  // the callback's
    if (!request->wait(deadline)) {
      broken_ = true;
      return Status(Code::kRemote, fmt::format("the PMIx server did not {} in time; look for ranks that have "
                                               "not started or have ended",
                                               what));
    }
    return request->status() == pmix::kSuccess ? Status() : fail(what, request->status());
  }

  Status look_up(const Shared& request, Deadline deadline) {
    return ask(fmt::format("know {}", request->key), request, deadline, [&](void* data) {
      return library_.get(&request->about, request->key.c_str(), nullptr, 0, on_value, data);
    });
  }

  // Of the job itself. Not known is no reason to give the launcher up.
  Result<std::uint32_t> number(std::uint32_t rank, const char* key, Deadline deadline) {
    const Shared request = about(rank, key);
    const Status known = look_up(request, deadline);
    broken_ = false;
    HANSA_RETURN_IF_ERROR(known);
    if (request->number()) return *request->number();
    return Status(Code::kRemote, fmt::format("the PMIx server's {} is no number", key));
  }

  const Functions library_;
  const std::uint64_t owner_ = process_generation();
  pmix::Process self_{};
  Job job_;
  bool started_ = false, broken_ = false;
};

}  // namespace

Result<std::unique_ptr<KeyValueSpace>> open_pmix() {
  HANSA_ASSIGN_OR_RETURN(const Functions library, load());
  auto space = std::make_unique<Pmix>(library);
  HANSA_RETURN_IF_ERROR(space->start());
  return std::unique_ptr<KeyValueSpace>(std::move(space));
}

}  // namespace hansa::bootstrap
