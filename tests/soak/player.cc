#include "player.hpp"

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <numeric>

namespace hansa::test {
namespace {

constexpr std::size_t kMostCircles = 5;

// What children are made of.
bool can_be_parent(const Circle& circle) { return circle.blocking && circle.ranks() > 1; }

bool under_way(ncclResult_t result) { return result == ncclSuccess || result == ncclInProgress; }

}  // namespace

Player::Player(const Seat& seat) : seat_(seat) {
  for (hansaStream_t& stream : streams_) seat_.demand(hansaStreamCreate(&stream), "hansaStreamCreate");
}

Player::~Player() {
  for (const hansaStream_t stream : streams_) seat_.demand(hansaStreamDestroy(stream), "hansaStreamDestroy");
}

void Player::play() {
  for (std::uint64_t epoch = seat_.run.first_epoch; seat_.next_epoch(posted_); ++epoch) play_epoch(epoch);
}

void Player::play_epoch(std::uint64_t epoch) {
  seat_.tally().epoch.store(epoch, std::memory_order_relaxed);
  dice_ = dice_of(seat_.run.seed, static_cast<std::uint64_t>(seat_.lane), epoch);
  found();
  if (dice_.one_in(3)) found();
  const std::size_t steps = 5 + dice_.below(40);
  for (std::size_t step = 1; step <= steps; ++step) {
    seat_.tally().step.store(step, std::memory_order_relaxed);
    play_step();
  }
  doing("the end");
  while (!circles_.empty()) leave(throw_circle());
}

void Player::play_step() {
  using Step = void (Player::*)();
  constexpr std::pair<std::size_t, Step> kSteps[] = {
      {24, &Player::collective}, {8, &Player::group},   {6, &Player::streams},
      {2, &Player::barrier},     {2, &Player::split},   {1, &Player::shrink},
      {2, &Player::destroy},     {1, &Player::abandon}, {1, &Player::shrink_away}};
  std::size_t all = 0;
  for (const auto& [weight, step] : kSteps) all += weight;
  std::size_t thrown = dice_.below(all);
  for (const auto& [weight, step] : kSteps) {
    if (thrown < weight) return (this->*step)();
    thrown -= weight;
  }
}

void Player::found() {
  doing("ncclCommInitRankConfig");
  Circle circle;
  circle.members.resize(static_cast<std::size_t>(seat_.run.ranks));
  std::iota(circle.members.begin(), circle.members.end(), 0);
  dice_.shuffle(circle.members);
  circle.blocking = !dice_.one_in(4);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = circle.blocking ? 1 : 0;
  const ncclUniqueId id = seat_.next_id(posted_);
  const ncclResult_t result =
      ncclCommInitRankConfig(&circle.comm, circle.ranks(), id, circle.rank_of(seat_.rank), &config);
  if (!under_way(result)) seat_.demand(result, "ncclCommInitRankConfig");
  seat_.demand(outcome(circle, result), "ncclCommInitRankConfig, later", circle.comm);
  adopt(std::move(circle));
}

void Player::adopt(Circle circle) {
  if (circle.comm != nullptr) {
    int rank = -1, count = -1;
    seat_.demand(ncclCommUserRank(circle.comm, &rank), "ncclCommUserRank");
    seat_.demand(ncclCommCount(circle.comm, &count), "ncclCommCount");
    if (rank != circle.rank_of(seat_.rank) || count != circle.ranks()) seat_.fail("another place than due");
    seat_.tally().communicators.fetch_add(1, std::memory_order_relaxed);
  }
  circles_.push_back(std::move(circle));
}

void Player::leave(std::size_t which) {
  if (circles_[which].comm != nullptr) seat_.demand(ncclCommDestroy(circles_[which].comm), "ncclCommDestroy");
  circles_.erase(circles_.begin() + static_cast<std::ptrdiff_t>(which));
}

std::size_t Player::throw_circle(const std::function<bool(const Circle&)>& fits) {
  const std::size_t first = throw_circle();
  for (std::size_t i = 0; i < circles_.size(); ++i) {
    const std::size_t which = (first + i) % circles_.size();
    if (fits(circles_[which])) return which;
  }
  return circles_.size();
}

ncclResult_t Player::settle(const Circle& circle) const {
  ncclResult_t state = ncclInProgress;
  while (state == ncclInProgress) {
    seat_.demand(ncclCommGetAsyncError(circle.comm, &state), "ncclCommGetAsyncError");
    if (state == ncclInProgress) usleep(100);
  }
  return state;
}

ncclResult_t Player::outcome(const Circle& circle, ncclResult_t called) const {
  return !circle.blocking && under_way(called) ? settle(circle) : called;
}

void Player::judge(const Acts& acts) {
  for (const auto& act : acts) {
    if (!act) continue;
    if (!act->judge()) seat_.fail("wrong bytes");
    seat_.tally().operations.fetch_add(1, std::memory_order_relaxed);
    seat_.tally().bytes.fetch_add(act->bytes(), std::memory_order_relaxed);
  }
}

void Player::collective() {
  doing("one collective");
  const Circle& circle = circles_[throw_circle()];
  Acts acts;
  acts.push_back(throw_collective(dice_, seat_, circle));
  if (acts[0]) seat_.demand(outcome(circle, acts[0]->start(nullptr)), "a collective", circle.comm);
  judge(acts);
}

void Player::group() {
  doing("a group");
  const std::size_t count = 1 + dice_.below(5);
  const bool blocking = circles_[throw_circle()].blocking;  // a group is of one kind
  Acts acts;
  std::vector<std::size_t> where;
  for (std::size_t i = 0; i < count; ++i) {
    where.push_back(throw_circle([&](const Circle& circle) { return circle.blocking == blocking; }));
    const Circle& circle = circles_[where.back()];
    acts.push_back(dice_.one_in(2) ? throw_collective(dice_, seat_, circle)
                                   : throw_messages(dice_, seat_, circle));
  }
  // Circle by circle, each rank beginning with another one.
  seat_.demand(ncclGroupStart(), "ncclGroupStart");
  for (std::size_t i = 0; i < circles_.size(); ++i) {
    const std::size_t which = (i + static_cast<std::size_t>(seat_.rank)) % circles_.size();
    for (std::size_t k = 0; k < count; ++k) {
      if (where[k] != which || !acts[k]) continue;
      if (const ncclResult_t result = acts[k]->start(nullptr); !under_way(result))
        seat_.demand(result, "a call in a group", circles_[which].comm);
    }
  }
  if (const ncclResult_t result = ncclGroupEnd(); !under_way(result)) seat_.demand(result, "ncclGroupEnd");
  for (const std::size_t which : where)
    if (const Circle& circle = circles_[which]; circle.comm != nullptr)
      seat_.demand(outcome(circle, ncclSuccess), "a group's operation", circle.comm);
  judge(acts);
}

void Player::streams() {
  doing("streams");
  const std::size_t count = 1 + dice_.below(6);
  Acts acts;
  for (std::size_t i = 0; i < count; ++i) {
    const Circle& circle = circles_[throw_circle()];
    const hansaStream_t stream = dice_.one_of(streams_);
    acts.push_back(dice_.one_in(3) ? throw_messages(dice_, seat_, circle)
                                   : throw_collective(dice_, seat_, circle));
    if (!acts.back()) continue;
    if (const ncclResult_t result = acts.back()->start(hansaStreamAsCuda(stream)); !under_way(result))
      seat_.demand(result, "a call on a stream", circle.comm);
  }
  for (const hansaStream_t stream : streams_)
    seat_.demand(hansaStreamSynchronize(stream), "hansaStreamSynchronize");
  judge(acts);
}

void Player::barrier() {
  doing("hansaBarrier");
  const Circle& circle = circles_[throw_circle()];
  if (circle.comm != nullptr)
    seat_.demand(outcome(circle, hansaBarrier(circle.comm, nullptr)), "hansaBarrier", circle.comm);
}

void Player::split() {
  doing("ncclCommSplit");
  const std::size_t which = throw_circle(can_be_parent);
  if (which == circles_.size() || circles_.size() >= kMostCircles) return;
  const Circle parent = circles_[which];
  constexpr int kColors = 3;  // the last is none
  std::vector<int> colors, keys;
  for (int rank = 0; rank < parent.ranks(); ++rank) {
    colors.push_back(dice_.rank_below(kColors));
    keys.push_back(dice_.rank_below(4));
  }
  const int self = parent.rank_of(seat_.rank);
  ncclComm_t child = nullptr;
  if (self >= 0) {
    const int color = colors[static_cast<std::size_t>(self)];
    seat_.demand(ncclCommSplit(parent.comm, color == kColors - 1 ? NCCL_SPLIT_NOCOLOR : color,
                               keys[static_cast<std::size_t>(self)], &child, nullptr),
                 "ncclCommSplit", parent.comm);
    if ((child == nullptr) != (color == kColors - 1)) seat_.fail("a color without a communicator");
  }
  for (int color = 0; color < kColors - 1; ++color) {
    std::vector<int> order;
    for (int rank = 0; rank < parent.ranks(); ++rank)
      if (colors[static_cast<std::size_t>(rank)] == color) order.push_back(rank);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return keys[static_cast<std::size_t>(a)] < keys[static_cast<std::size_t>(b)];
    });
    if (order.empty()) continue;
    Circle circle;
    for (const int rank : order) circle.members.push_back(parent.members[static_cast<std::size_t>(rank)]);
    if (circle.rank_of(seat_.rank) >= 0) circle.comm = child;
    adopt(std::move(circle));
  }
}

Circle Player::without(const Circle& circle, const std::vector<int>& excluded) const {
  Circle rest;
  for (int rank = 0; rank < circle.ranks(); ++rank)
    if (std::find(excluded.begin(), excluded.end(), rank) == excluded.end())
      rest.members.push_back(circle.members[static_cast<std::size_t>(rank)]);
  return rest;
}

void Player::shrink() {
  doing("ncclCommShrink");
  const std::size_t which = throw_circle(can_be_parent);
  if (which == circles_.size() || circles_.size() >= kMostCircles) return;
  const Circle& parent = circles_[which];
  std::vector<int> excluded{dice_.rank_below(parent.ranks())};
  Circle rest = without(parent, excluded);
  if (rest.rank_of(seat_.rank) >= 0)
    seat_.demand(ncclCommShrink(parent.comm, excluded.data(), 1, &rest.comm, nullptr, NCCL_SHRINK_DEFAULT),
                 "ncclCommShrink", parent.comm);
  adopt(std::move(rest));
}

void Player::destroy() {
  doing("ncclCommDestroy");
  if (circles_.size() > 1) leave(throw_circle());
}

bool Player::quit(Circle& circle, int quitter) {
  // A failed call that did not block may touch its buffers until the communicator is aborted.
  std::unique_ptr<Act>& act = abandoned_ = throw_meeting(dice_, seat_, circle);
  const bool on_stream = dice_.one_in(3);
  const auto nap = static_cast<useconds_t>(dice_.one_in(2) ? 0 : dice_.below(3000));
  // Nobody is to be torn out of what went before.
  seat_.meet();
  if (circle.rank_of(seat_.rank) == quitter) {
    usleep(nap);
    seat_.demand(ncclCommAbort(circle.comm), "ncclCommAbort");
    circle.comm = nullptr;
    return true;
  }
  if (circle.comm == nullptr) return false;
  ncclResult_t result = act->start(on_stream ? hansaStreamAsCuda(streams_[0]) : nullptr);
  if (on_stream && under_way(result))
    result = hansaStreamSynchronize(streams_[0]);
  else if (on_stream)
    (void)hansaStreamSynchronize(streams_[0]);
  else
    result = outcome(circle, result);
  const std::string text = ncclGetLastError(circle.comm);
  if (result != ncclRemoteError || text.find("ncclCommAbort") == std::string::npos)
    seat_.fail(std::string("after an abort elsewhere a call ended with ") + ncclGetErrorString(result) +
               ": " + text);
  if (hansaBarrier(circle.comm, nullptr) == ncclSuccess) seat_.fail("a failed communicator works on");
  return false;
}

void Player::abandon() {
  doing("ncclCommAbort and a new id");
  const std::size_t which = throw_circle();
  Circle circle = circles_[which];
  if (circle.ranks() < 2) return;
  circles_.erase(circles_.begin() + static_cast<std::ptrdiff_t>(which));
  const bool quitter = quit(circle, dice_.rank_below(circle.ranks()));
  if (!quitter && circle.comm != nullptr) seat_.demand(ncclCommAbort(circle.comm), "ncclCommAbort");
  found();
}

void Player::shrink_away() {
  doing("ncclCommShrink after an abort");
  const std::size_t which = throw_circle(can_be_parent);
  if (which == circles_.size()) return;
  Circle circle = circles_[which];
  circles_.erase(circles_.begin() + static_cast<std::ptrdiff_t>(which));
  std::vector<int> excluded{dice_.rank_below(circle.ranks())};
  Circle rest = without(circle, excluded);
  if (!quit(circle, excluded.front()) && circle.comm != nullptr) {
    seat_.demand(ncclCommShrink(circle.comm, excluded.data(), 1, &rest.comm, nullptr, NCCL_SHRINK_ABORT),
                 "ncclCommShrink", circle.comm);
    seat_.demand(ncclCommAbort(circle.comm), "ncclCommAbort");
  }
  adopt(std::move(rest));
}

}  // namespace hansa::test
