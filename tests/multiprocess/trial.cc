#include "trial.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace hansa::test {
namespace {

constexpr std::size_t kGuard = 64;
constexpr auto kUntouched = static_cast<std::byte>(0xa5);

std::string hex(const std::byte* bytes, std::size_t count) {
  std::string text;
  for (std::size_t i = count; i-- > 0;) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(bytes[i]));
    text += digits;
  }
  return text;
}

}  // namespace

void Release::operator()(std::byte* memory) const {
  if (source == Source::kHeap)
    delete[] memory;
  else
    require(ncclMemFree(memory), Place(), "ncclMemFree");
}

Buffer allocate(Source source, std::size_t bytes) {
  if (source == Source::kHeap) return Buffer(new std::byte[bytes], Release{source});
  void* memory = nullptr;
  require(ncclMemAlloc(&memory, bytes), Place(), "ncclMemAlloc");
  return Buffer(static_cast<std::byte*>(memory), Release{source});
}

Trial::Trial(const Case& what, const Place& place, std::size_t shift, Source source)
    : side_(what, place), size_(type_of(what.type).size) {
  const std::size_t first = kGuard + shift * size_;
  if (what.in_place) {
    const std::ptrdiff_t apart = side_.input_from_output * static_cast<std::ptrdiff_t>(size_);
    input_ = apart > 0 ? first + static_cast<std::size_t>(apart) : first;
    output_ = apart < 0 ? first + static_cast<std::size_t>(-apart) : first;
  } else {
    input_ = first;
    output_ = first + side_.input * size_ + kGuard;
  }
  total_ = std::max(input_ + side_.input * size_, output_ + side_.output * size_) + kGuard;
  memory_ = allocate(source, total_);
  std::memset(memory_.get(), static_cast<int>(kUntouched), total_);
  for (std::size_t i = 0; i < side_.input; ++i) write_input_of(side_.rank, i, at(input_, i));
}

void Trial::write_input_of(int rank, std::size_t i, std::byte* to) const {
  const Case& what = side_.what;
  write_input(type_of(what.type), what.op, rank, side_.ranks, what.salt + i, to);
}

ncclResult_t Trial::start(ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  const bool in_place = side_.what.in_place;
  const void* input = side_.input > 0 || in_place ? memory_.get() + input_ : nullptr;
  void* output = side_.output > 0 || in_place ? memory_.get() + output_ : nullptr;
  return side_.call(input, output, op, comm, stream);
}

void Trial::write_expected(std::size_t i, std::byte* to) const {
  const Type& type = type_of(side_.what.type);
  const Origin origin = side_.origin(i);
  switch (origin.from) {
    case Origin::From::kReduction:
      return write_reduced(type, side_.what.op, side_.ranks, side_.what.salt + origin.index, to);
    case Origin::From::kRank:
      return write_input_of(origin.rank, origin.index, to);
    case Origin::From::kNowhere:
      break;
  }
  // Not the operation's to write: as it was.
  const std::size_t offset = output_ + i * size_;
  const bool was_input = side_.what.in_place && offset >= input_ && offset < input_ + side_.input * size_;
  if (was_input)
    write_input_of(side_.rank, (offset - input_) / size_, to);
  else
    std::memset(to, static_cast<int>(kUntouched), size_);
}

bool Trial::complain(const char* what, std::size_t i, const std::byte* got, const std::byte* wanted) const {
  const Case& c = side_.what;
  std::fprintf(stderr, "rank %d of %d: nccl%s %s %s count %zu root %d %s: %s[%zu] is %s, must be %s\n",
               side_.rank, side_.ranks, name_of(c.kind), type_of(c.type).name, name_of(c.op), c.count, c.root,
               c.in_place ? "in place" : "out of place", what, i, hex(got, size_).c_str(),
               hex(wanted, size_).c_str());
  return false;
}

bool Trial::guarded(std::size_t from, std::size_t to) const {
  for (std::size_t i = from; i < to; ++i)
    if (memory_[i] != kUntouched) {
      std::fprintf(stderr, "rank %d of %d: nccl%s count %zu: byte %td beside the buffers was written\n",
                   side_.rank, side_.ranks, name_of(side_.what.kind), side_.what.count,
                   static_cast<std::ptrdiff_t>(i) - static_cast<std::ptrdiff_t>(output_));
      return false;
    }
  return true;
}

// Many elements at a time: comparing them one by one would take most of a test's time.
template <class Write>
bool Trial::equal(const char* what, std::size_t offset, std::size_t count, const Write& write) const {
  constexpr std::size_t kBatch = 512;
  std::byte wanted[kBatch * 8];
  for (std::size_t first = 0; first < count; first += kBatch) {
    const std::size_t batch = std::min(kBatch, count - first);
    for (std::size_t i = 0; i < batch; ++i) write(first + i, wanted + i * size_);
    if (std::memcmp(at(offset, first), wanted, batch * size_) == 0) continue;
    for (std::size_t i = 0; i < batch; ++i)
      if (std::memcmp(at(offset, first + i), wanted + i * size_, size_) != 0)
        return complain(what, first + i, at(offset, first + i), wanted + i * size_);
  }
  return true;
}

bool Trial::judge() const {
  const auto expected = [this](std::size_t i, std::byte* to) { write_expected(i, to); };
  const auto untouched = [this](std::size_t i, std::byte* to) { write_input_of(side_.rank, i, to); };
  if (!equal("output", output_, side_.output, expected)) return false;
  if (!side_.what.in_place && !equal("input", input_, side_.input, untouched)) return false;
  const std::size_t low = std::min(input_, output_);
  const std::size_t input_end = input_ + side_.input * size_;
  const bool between = side_.what.in_place || guarded(input_end, output_);
  return between && guarded(0, low) && guarded(std::max(input_end, output_ + side_.output * size_), total_);
}

Operators::Operators(const Place& place, ncclComm_t comm) : comm_(comm) {
  for (const Type& type : types()) {
    std::byte scalar[8];
    encode(type, scalar_of(place.rank), scalar);
    require(
        ncclRedOpCreatePreMulSum(&premultiplied_[type.id], scalar, type.id, ncclScalarHostImmediate, comm),
        place, "ncclRedOpCreatePreMulSum");
  }
}

Operators::~Operators() {
  for (const ncclRedOp_t op : premultiplied_) (void)ncclRedOpDestroy(op, comm_);
}

ncclRedOp_t Operators::handle(Op op, ncclDataType_t type) const {
  return op == Op::kMulSum ? premultiplied_[type] : builtin(op);
}

bool run(const Case& what, const Place& place, ncclComm_t comm, const Operators& operators, std::size_t shift,
         Source source) {
  Trial trial(what, place, shift, source);
  require(trial.start(operators.handle(what.op, what.type), comm), place, name_of(what.kind));
  return trial.judge();
}

}  // namespace hansa::test
