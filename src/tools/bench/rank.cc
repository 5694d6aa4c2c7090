#include "tools/bench/rank.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <optional>

#include "tools/bench/buffers.hpp"
#include "tools/bench/machine.hpp"
#include "tools/bench/report.hpp"

namespace hansa::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

// What stays the same over the sizes of one table section.
struct Section {
  Type type;
  Op op;  // of the data: kMove where nothing is reduced
  int root;
  ncclRedOp_t handle;
};

class Rank {
 public:
  Rank(const Options& options, const Seat& seat) : options_(options), seat_(seat) {
    if (seat.rank == 0) report_.emplace(options_);
  }

  int run() {
    const Status status = all();
    if (!status.ok()) seat_.watch->fail(seat_.rank, status);
    summary_.stopped = seat_.watch->board().ending == Ending::kStopped;
    if (halves_ > 0) summary_.mean_bandwidth /= halves_;
    if (report_ && (status.ok() || summary_.stopped))
      report_->foot(summary_, options_.memory && status.ok() ? &memory_ : nullptr);
    if (!status.ok()) return kCallFailed;
    return summary_.wrong_checks > 0 || !summary_.fast_enough(options_) ? kWrong : kDone;
  }

 private:
  Status all() {
    seat_.watch->begin("bringing the ranks together");
    HANSA_RETURN_IF_ERROR(introduce());
    const long long before = memory_now();
    HANSA_RETURN_IF_ERROR(connect());
    HANSA_RETURN_IF_ERROR(remember(before, &MemoryUse::communicators));
    HANSA_RETURN_IF_ERROR(allocate());
    if (report_) report_->table_head();
    settle();
    HANSA_RETURN_IF_ERROR(programs());
    if (options_.local_register)
      HANSA_RETURN_IF_ERROR(status_of(buffers_->forget(comm_, options_.local_register == 2), comm_));
    HANSA_RETURN_IF_ERROR(seat_.meeting->barrier());
    return seat_.watch->release(comm_) ? status_of(ncclCommDestroy(comm_), nullptr)
                                       : Status(Code::kAborted, "the benchmark ends");
  }

  // Who is there; which ranks work together; how much memory all can have.
  Status introduce() {
    Introduction own;
    own.color = static_cast<int>(options_.split.color(seat_.process));
    own.process_id = getpid();
    own.device = (options_.device >= 0 ? options_.device : seat_.local) + seat_.thread;
    std::strncpy(own.host, host_name().c_str(), sizeof own.host - 1);
    std::strncpy(own.device_name, processor_name().c_str(), sizeof own.device_name - 1);
    own.memory = available_memory();
    HANSA_ASSIGN_OR_RETURN(const auto ranks, seat_.meeting->all_of(own, seat_.ranks));
    std::size_t most = options_.maxbytes;
    ranks_ = 0;
    for (int i = 0; i < seat_.ranks; ++i) {
      const Introduction& one = ranks[static_cast<std::size_t>(i)];
      const auto neighbours = static_cast<std::size_t>(std::ranges::count_if(
          ranks, [&](const Introduction& r) { return !std::strcmp(r.host, one.host); }));
      most = std::min(most, one.memory / 4 * 3 / neighbours / 2);
      if (one.color != own.color) continue;
      if (ranks_ == 0) leader_ = i;
      if (i == seat_.rank) rank_ = ranks_;
      ++ranks_;
    }
    const bool reduced = most < options_.maxbytes;
    if (report_) report_->head(ranks, reduced ? most : 0);
    options_.maxbytes = most;
    options_.minbytes = std::min(options_.minbytes, most);
    HANSA_RETURN_IF_ERROR(same_work(ranks));
    return fits_matrix();
  }

  // All groups must measure the same number of things, or they would wait for one another in vain.
  Status same_work(const std::vector<Introduction>& ranks) const {
    const bool depends = options_.root < 0 || std::ranges::any_of(options_.programs, &Program::power_of_two);
    for (const Introduction& one : ranks)
      if (depends && std::ranges::count(ranks, one.color, &Introduction::color) != ranks_)
        return Status(
            Code::kInvalidArgument,
            "groups of different sizes (NCCL_TESTS_SPLIT) cannot run hypercube, or each root in turn");
    return {};
  }

  Status fits_matrix() const {
    const auto& matrix = options_.traffic.matrix;
    if (!matrix) return {};
    if (matrix->n < static_cast<std::size_t>(ranks_))
      return Status(Code::kInvalidArgument,
                    fmt::format("the traffic matrix is for {} ranks; there are {}", matrix->n, ranks_));
    const std::size_t needed = program_->shape(0, 1, rank_, ranks_, 0, options_.traffic).busiest;
    if (needed > options_.maxbytes)
      return Status(Code::kInvalidArgument,
                    fmt::format("the traffic matrix needs {} bytes: say so with -b and -e", needed));
    return {};
  }

  Status connect() {
    ncclUniqueId own{};
    if (seat_.rank == leader_) HANSA_RETURN_IF_ERROR(status_of(ncclGetUniqueId(&own), nullptr));
    HANSA_ASSIGN_OR_RETURN(const auto ids, seat_.meeting->all_of(own, seat_.ranks));
    const ncclUniqueId& id = ids[static_cast<std::size_t>(leader_)];
    HANSA_RETURN_IF_ERROR(
        status_of(ncclCommInitRank(&comm_, ranks_, id, rank_), nullptr).within("ncclCommInitRank"));
    seat_.watch->keep(comm_);
    return {};
  }

  Status allocate() {
    const long long before = memory_now();
    const std::size_t shift = static_cast<std::size_t>(options_.unalign) * 8;  // room for the widest type
    auto made = Buffers::make(options_.maxbytes + shift, options_.malloc_buffers);
    HANSA_RETURN_IF_ERROR(made.status());
    buffers_.emplace(std::move(made).value());
    if (options_.local_register)
      HANSA_RETURN_IF_ERROR(status_of(buffers_->enroll(comm_, options_.local_register == 2), comm_));
    return remember(before, &MemoryUse::buffers);
  }

  long long memory_now() const { return options_.memory ? used_memory() : 0; }

  // Notes what all processes have grown by since `before` was measured.
  Status remember(long long before, long long MemoryUse::*into) {
    if (!options_.memory) return {};
    HANSA_RETURN_IF_ERROR(seat_.meeting->barrier());
    HANSA_ASSIGN_OR_RETURN(const auto grown, seat_.meeting->all_of(memory_now() - before, seat_.ranks));
    memory_.*into = std::ranges::max(grown);
    return {};
  }

  Status programs() {
    const long long before = memory_now();
    for (const Program* program : options_.programs) {
      program_ = program;
      if (report_ && options_.programs.size() > 1) report_->note(fmt::format("# {}", program->name));
      HANSA_RETURN_IF_ERROR(sections(*program));
    }
    return remember(before, &MemoryUse::measurements);
  }

  Status sections(const Program& program) {
    if (program.power_of_two && (ranks_ & (ranks_ - 1)) != 0) {
      if (report_) report_->note(fmt::format("nRanks {} is not a power of 2, skipping", ranks_));
      return {};
    }
    const bool each_root = program.rooted && options_.root < 0;
    for (const Type& type : options_.types())
      for (const Op op : options_.ops(program))
        for (int root = 0; root < (each_root ? ranks_ : 1); ++root) {
          Section section{type, program.reduces ? op : Op::kMove, each_root ? root : options_.root, ncclSum};
          HANSA_RETURN_IF_ERROR(make_operator(section));
          HANSA_RETURN_IF_ERROR(one_section(section, program.shown_op ? program.shown_op : name_of(op)));
          if (section.op == Op::kMulSum)
            HANSA_RETURN_IF_ERROR(status_of(ncclRedOpDestroy(section.handle, comm_), comm_));
        }
    return {};
  }

  Status make_operator(Section& section) {
    if (section.op != Op::kMulSum) {
      section.handle = section.op == Op::kMove ? ncclSum : static_cast<ncclRedOp_t>(section.op);
      return {};
    }
    std::uint64_t scalar = two(section.type);
    return status_of(
        ncclRedOpCreatePreMulSum(&section.handle, &scalar, section.type.id, ncclScalarHostImmediate, comm_),
        comm_);
  }

  Shape shape_of(const Section& section, std::size_t bytes) const {
    return program_->shape(bytes, section.type.size, rank_, ranks_, section.root, options_.traffic);
  }

  Status one_section(const Section& section, const char* op_name) {
    HANSA_RETURN_IF_ERROR(seat_.meeting->barrier());
    for (std::size_t bytes = options_.minbytes; bytes <= options_.maxbytes;
         bytes = bytes == 0 ? 1 : bytes * 2) {
      announce(bytes, "warm-up");
      const Shape shape = shape_of(section, bytes);
      for (long iteration = 0; iteration < options_.warmup_iters; ++iteration)
        HANSA_RETURN_IF_ERROR(operate(section, shape, false, iteration));
    }
    for (long cycle = 0; options_.run_cycles == 0 || cycle < options_.run_cycles; ++cycle) {
      std::size_t bytes = options_.minbytes;
      do {
        const Shape shape = shape_of(section, bytes);
        Row row;
        row.bytes = std::max(shape.send, shape.receive) * shape.element;
        row.count = program_->of_nccl_tests ? shape.count : shape.busiest;
        row.type = section.type.name;
        row.op = op_name;
        row.root = program_->rooted ? section.root : -1;
        HANSA_ASSIGN_OR_RETURN(row.apart, measure(section, shape, false));
        HANSA_ASSIGN_OR_RETURN(row.in_place, measure(section, shape, true));
        summary_.mean_bandwidth += row.apart.bus_bandwidth + row.in_place.bus_bandwidth;
        halves_ += 2;
        if (report_) report_->row(row);
      } while (options_.advance(bytes));
    }
    return {};
  }

  void announce(std::size_t bytes, const char* what) {
    const std::string text = fmt::format("{} of {} bytes, {}", program_->name, bytes, what);
    if (seat_.thread == 0) seat_.watch->begin(text);
    if (report_) report_->progress(text);
  }

  // Each iteration has memory of its own, as far as there is any, so that caches help no more than in a
  // program.
  Status operate(const Section& section, const Shape& shape, bool in_place, long iteration) {
    const std::size_t bytes = std::max(shape.send, shape.receive) * shape.element;
    const std::size_t places = bytes > 0 ? std::max<std::size_t>(options_.maxbytes / bytes, 1) : 1;
    const std::size_t away = bytes * (static_cast<std::size_t>(iteration) % places) + off(section);
    const Call call{buffers_->input(shape, in_place, away),
                    buffers_->output(shape, in_place, away),
                    section.type.id,
                    section.handle,
                    in_place,
                    comm_};
    const ncclResult_t result = program_->run(shape, call);
    if (result == ncclSuccess) return {};
    return status_of(result, comm_)
        .within(fmt::format("{} of {} bytes", program_->name, shape.count * shape.element));
  }

  std::size_t off(const Section& section) const {
    return static_cast<std::size_t>(options_.unalign) * section.type.size;
  }

  Result<Measured> measure(const Section& section, const Shape& shape, bool in_place) {
    announce(shape.count * shape.element, in_place ? "in place" : "out of place");
    if (options_.check > 0) fill(section, shape, in_place);
    HANSA_RETURN_IF_ERROR(operate(section, shape, in_place, 0));
    HANSA_RETURN_IF_ERROR(seat_.meeting->barrier());
    double seconds = 0;
    std::vector<double> each;
    HANSA_RETURN_IF_ERROR(options_.timing == Timing::kBarrier
                              ? time_alone(section, shape, in_place, each)
                              : time_in_a_row(section, shape, in_place, seconds, each));
    Measured measured;
    HANSA_RETURN_IF_ERROR(gather_iterations(each, measured));
    if (options_.timing == Timing::kBarrier) {
      measured.seconds =
          std::accumulate(measured.iterations.begin(), measured.iterations.end(), 0.0) / options_.iters;
    } else {
      HANSA_ASSIGN_OR_RETURN(measured.seconds, over_ranks(seconds));
    }
    const auto bytes = static_cast<double>(program_->moved(shape) * shape.element);
    measured.algorithm_bandwidth = measured.seconds > 0 ? bytes / 1e9 / measured.seconds : 0;
    measured.bus_bandwidth = measured.algorithm_bandwidth * program_->bus_factor(ranks_);
    HANSA_RETURN_IF_ERROR(check(section, shape, in_place, measured));
    return measured;
  }

  void fill(const Section& section, const Shape& shape, bool in_place) {
    ++seed_;
    buffers_->fill(*program_, shape, section.type, section.op, seed_, in_place, off(section));
  }

  // nccl-tests' way: one operation behind the other, and their time divided by their number.
  Status time_in_a_row(const Section& section, const Shape& shape, bool in_place, double& seconds,
                       std::vector<double>& each) {
    const int blocking = options_.blocking, operations = options_.agg_iters;
    const bool grouped = operations > 1 && blocking != 1 && blocking != 2;
    const bool keeps = options_.keeps_iterations() || blocking == 3;
    if (keeps) each.reserve(static_cast<std::size_t>(options_.iters));
    const auto begin = Clock::now();
    auto from = begin;
    for (long iteration = 0; iteration < options_.iters; ++iteration) {
      if (grouped) HANSA_RETURN_IF_ERROR(status_of(ncclGroupStart(), comm_));
      for (int i = 0; i < operations; ++i) {
        HANSA_RETURN_IF_ERROR(operate(section, shape, in_place, iteration * operations + i));
        if (blocking == 1) HANSA_RETURN_IF_ERROR(seat_.meeting->barrier());
      }
      if (grouped) HANSA_RETURN_IF_ERROR(status_of(ncclGroupEnd(), comm_));
      if (!keeps) continue;
      const auto now = Clock::now();
      each.push_back(seconds_between(from, now) / operations);
      from = now;
      if (blocking != 3) continue;
      HANSA_RETURN_IF_ERROR(seat_.meeting->barrier());
      from = Clock::now();
    }
    seconds = blocking == 3 ? std::accumulate(each.begin(), each.end(), 0.0) / options_.iters
                            : seconds_between(begin, Clock::now()) / options_.iters / operations;
    if (!options_.keeps_iterations()) each.clear();
    return {};
  }

  Status time_alone(const Section& section, const Shape& shape, bool in_place, std::vector<double>& each) {
    each.reserve(static_cast<std::size_t>(options_.iters));
    for (long iteration = 0; iteration < options_.iters; ++iteration) {
      HANSA_RETURN_IF_ERROR(seat_.meeting->barrier());
      const auto begin = Clock::now();
      HANSA_RETURN_IF_ERROR(operate(section, shape, in_place, iteration));
      each.push_back(seconds_between(begin, Clock::now()));
    }
    return {};
  }

  // The slowest rank's time of each iteration, of all ranks and of each process.
  Status gather_iterations(const std::vector<double>& each, Measured& measured) {
    if (each.empty()) return {};
    const std::size_t n = each.size(), ranks = static_cast<std::size_t>(seat_.ranks);
    std::vector<double> all(n * ranks);
    HANSA_RETURN_IF_ERROR(
        seat_.meeting->exchange(std::as_bytes(std::span(each)), std::as_writable_bytes(std::span(all))));
    measured.iterations.assign(n, 0);
    measured.by_process.assign(static_cast<std::size_t>(seat_.processes), std::vector<double>(n, 0));
    for (std::size_t rank = 0; rank < ranks; ++rank)
      for (std::size_t i = 0; i < n; ++i) {
        double& slowest = measured.by_process[rank / static_cast<std::size_t>(seat_.threads)][i];
        slowest = std::max(slowest, all[rank * n + i]);
        measured.iterations[i] = std::max(measured.iterations[i], slowest);
      }
    return {};
  }

  // Of all ranks' times, the one that -a asks for.
  Result<double> over_ranks(double own) {
    HANSA_ASSIGN_OR_RETURN(const auto all, seat_.meeting->all_of(own, seat_.ranks));
    switch (options_.average) {
      case 0:
        return all.front();
      case 2:
        return std::ranges::min(all);
      case 3:
        return std::ranges::max(all);
      default:
        return std::accumulate(all.begin(), all.end(), 0.0) / seat_.ranks;
    }
  }

  Status check(const Section& section, const Shape& shape, bool in_place, Measured& measured) {
    measured.checked = options_.check > 0 && (!in_place || program_->in_place);
    for (int i = 0; i < options_.check && measured.wrong == 0; ++i) {
      fill(section, shape, in_place);
      HANSA_RETURN_IF_ERROR(operate(section, shape, in_place, 0));
      long long own = 0;
      if (measured.checked)
        own = static_cast<long long>(
            buffers_->wrong(*program_, shape, section.type, section.op, seed_, in_place, off(section)));
      HANSA_ASSIGN_OR_RETURN(const auto all, seat_.meeting->all_of(own, seat_.ranks));
      measured.wrong = std::accumulate(all.begin(), all.end(), 0LL);
      measured.wrong_by_rank = all;
      summary_.wrong_checks +=
          static_cast<int>(std::ranges::count_if(all, [](long long wrong) { return wrong > 0; }));
    }
    return {};
  }

  Options options_;
  const Seat seat_;
  const Program* program_ = options_.programs.front();  // which is run
  std::optional<Report> report_;
  int rank_ = 0, ranks_ = 1, leader_ = 0;  // among those of the same color; the leader's rank among all
  ncclComm_t comm_ = nullptr;
  std::optional<Buffers> buffers_;
  std::uint64_t seed_ = 0;
  long halves_ = 0;  // of rows
  Summary summary_;
  MemoryUse memory_;
};

}  // namespace

int run_rank(const Options& options, const Seat& seat) { return Rank(options, seat).run(); }

}  // namespace hansa::bench
