// Every collective with every type and operator, in place and not, over sizes that do not divide evenly.
//
//   collectives_test LAYOUT
#include <iterator>

#include "trial.hpp"

namespace hansa::test {
namespace {

#ifdef HANSA_SANITIZED  // which is slow, and looks at the same code whatever the size
constexpr int kFewRanks = 0;
#else
constexpr int kFewRanks = 3;
#endif
constexpr ncclDataType_t kOneOfEachWidth[] = {ncclUint8, ncclBfloat16, ncclFloat, ncclInt64};

class Suite {
 public:
  explicit Suite(const Place& place) : place_(place), comm_(join(place)), operators_(place, comm_.get()) {}

  bool passed() const { return wrong_ == 0; }

  // Every type and operator; with few ranks at every size, with more at one after the other, as then each
  // call costs time slices. The root moves on from case to case.
  void small() {
    const auto n = static_cast<std::size_t>(place_.ranks);
    const std::size_t sizes[] = {0, 1, n - 1, n, n + 1, 13, 1009};
    const std::size_t each = place_.ranks <= kFewRanks ? std::size(sizes) : 1;
    std::size_t next = 0;
    const auto at_sizes = [&](Kind kind, const Type& type, Op op) {
      for (std::size_t i = 0; i < each; ++i)
        both({kind, type.id, op, sizes[next++ % std::size(sizes)], next_root(), false});
    };
    for (const Type& type : types()) {
      for (const Kind kind : kReducing)
        for (const Op op : kReductions) at_sizes(kind, type, op);
      for (const Kind kind : kMoving) at_sizes(kind, type, Op::kMove);
    }
  }

  // Sizes that take several chunks, whole and not.
  void large() {
    for (const std::size_t bytes : {std::size_t{65536}, std::size_t{300007}, std::size_t{2} << 20})
      for (const ncclDataType_t type : kOneOfEachWidth) {
        const std::size_t count = bytes / type_of(type).size + 1;
        const std::size_t share = count / static_cast<std::size_t>(place_.ranks) + 1;
        for (const Kind kind : kReducing)
          both({kind, type, Op::kSum, by_rank(kind) ? share : count, next_root(), false});
        for (const Kind kind : kMoving)
          both({kind, type, Op::kMove, by_rank(kind) ? share : count, next_root(), false});
      }
  }

  // Large ones where some ranks' memory can be mapped by all and others' cannot, with factors and without.
  void mixed() {
    const std::size_t count = 300007 / sizeof(float), share = count / static_cast<std::size_t>(place_.ranks);
    for (int mapped = 0; mapped < place_.ranks; ++mapped) {
      source_ = mapped == place_.rank ? Source::kLibrary : Source::kHeap;
      for (const Kind kind : kReducing)
        for (const Op op : {Op::kSum, Op::kAvg, Op::kMulSum})
          both({kind, ncclFloat, op, by_rank(kind) ? share : count, next_root(), false});
      for (const Kind kind : kMoving)
        both({kind, ncclFloat, Op::kMove, by_rank(kind) ? share : count, next_root(), false});
    }
    source_ = Source::kHeap;
  }

  void all_roots() {
    for (int root = 0; root < place_.ranks; ++root)
      for (const Kind kind : {Kind::kReduce, Kind::kBroadcast, Kind::kGather, Kind::kScatter})
        both({kind, ncclInt32, kind == Kind::kReduce ? Op::kSum : Op::kMove, 1009, root, false});
  }

 private:
  static bool by_rank(Kind kind) {
    return kind != Kind::kAllReduce && kind != Kind::kReduce && kind != Kind::kBroadcast;
  }
  int next_root() { return root_ = (root_ + 1) % place_.ranks; }

  void both(Case what) {
    constexpr int kShownErrors = 10;
    for (const bool in_place : {false, true}) {
      if (in_place && !can_be_in_place(what.kind)) continue;
      what.in_place = in_place;
      // Every third case lies off its natural alignment to larger words.
      const std::size_t shift = cases_++ % 3 == 0 ? 1 : 0;
      if (!run(what, place_, comm_.get(), operators_, shift, source_) && ++wrong_ > kShownErrors) return;
    }
  }

  Place place_;
  Communicator comm_;
  Operators operators_;
  Source source_ = Source::kHeap;
  int root_ = 0, cases_ = 0, wrong_ = 0;
};

int run_rank(const Place& place) {
  Suite suite(place);
  suite.small();
  suite.all_roots();
  suite.large();
  suite.mixed();
  return suite.passed() ? 0 : 1;
}

}  // namespace
}  // namespace hansa::test

int main(int argc, char** argv) { return hansa::test::run_main(argc, argv, hansa::test::run_rank); }
