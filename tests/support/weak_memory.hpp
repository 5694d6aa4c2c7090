// A model of weak memory, and a search through everything that programs on it can do.
//
// The memory: a word that several threads use atomically keeps all values it ever had. A thread has a
// view, for each word the oldest value it may still read; a load takes any value from there on, so a store
// may become visible late and out of order, as on aarch64. A store with release carries the writer's view, a
// load with acquire takes over the view of what it reads. Sequentially consistent accesses to a word also do
// not read older values than the last such store. Plain words carry no such freedom: every access that is not
// ordered against another thread's access to the word, one of the two a write, is a data race and a failure.
// (This is the release/acquire fragment of C++20 with single-writer words; what it leaves out is a relaxed
// load that sees a store its own thread's later store caused.)
//
// The search: states are copied, stepped in every thread with every choice of every load, and remembered.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

namespace hansa::test {

inline constexpr int kModelWords = 12;  // of each kind, at most
inline constexpr int kModelThreads = 3;

// Which of several possible values loads take: counts through all combinations.
class Choices {
 public:
  std::uint32_t choose(std::uint32_t of) {
    if (next_ == taken_.size()) {
      taken_.push_back(0);
      of_.push_back(of);
    }
    return taken_[next_++];
  }
  // To the next combination; false when there is none.
  bool advance() {
    next_ = 0;
    while (!taken_.empty() && ++taken_.back() == of_.back()) {
      taken_.pop_back();
      of_.pop_back();
    }
    return !taken_.empty();
  }

 private:
  std::vector<std::uint32_t> taken_, of_;
  std::size_t next_ = 0;
};

class WeakMemory {
 public:
  // By word: how many of its writes (or, for the reads of a plain word, reads by each thread) a thread knows
  // of.
  struct View {
    std::array<std::uint8_t, kModelWords> atomic{}, plain{};
    std::array<std::array<std::uint8_t, kModelWords>, kModelThreads> reads{};
    void join(const View& other) {
      auto* mine = reinterpret_cast<std::uint8_t*>(this);
      const auto* theirs = reinterpret_cast<const std::uint8_t*>(&other);
      for (std::size_t i = 0; i < sizeof *this; ++i) mine[i] = std::max(mine[i], theirs[i]);
    }
  };

  // Set by the search before each step.
  Choices* choices = nullptr;
  std::string failure;
  int accesses = 0;  // to atomic words in this step

  std::uint64_t load(int thread, int word, std::memory_order order) {
    ++accesses;
    View& view = views_[thread];
    auto& history = history_[word];
    if (order == std::memory_order_seq_cst)
      view.atomic[word] = std::max(view.atomic[word], latest_seq_cst_[word]);
    const std::uint32_t oldest = view.atomic[word];
    const auto which = oldest + choices->choose(static_cast<std::uint32_t>(history.size() + 1) - oldest);
    view.atomic[word] = static_cast<std::uint8_t>(which);
    if (which == 0) return 0;  // every word begins as zero
    const Write& write = history[which - 1];
    if (order != std::memory_order_relaxed) view.join(write.view);
    return write.value;
  }
  void store(int thread, int word, std::uint64_t value, std::memory_order order) {
    ++accesses;
    View& view = views_[thread];
    auto& history = history_[word];
    const auto time = static_cast<std::uint8_t>(history.size() + 1);
    view.atomic[word] = time;
    if (order == std::memory_order_seq_cst) latest_seq_cst_[word] = time;
    Write write{value, {}};
    write.view.atomic[word] = time;
    if (order != std::memory_order_relaxed) write.view = view;
    history.push_back(write);
  }
  std::uint64_t read_plain(int thread, int word) {
    View& view = views_[thread];
    if (view.plain[word] != writes_[word]) failure = "a plain word is read while another thread writes it";
    view.reads[thread][word] = ++reads_[thread][word];
    return plain_[word];
  }
  void write_plain(int thread, int word, std::uint64_t value) {
    View& view = views_[thread];
    if (view.plain[word] != writes_[word]) failure = "two threads write a plain word";
    for (int other = 0; other < kModelThreads; ++other) {
      if (view.reads[other][word] != reads_[other][word])
        failure = "a plain word is written while another reads it";
    }
    view.plain[word] = ++writes_[word];
    view.reads[thread][word] = reads_[thread][word];
    plain_[word] = value;
  }

  void append_key(std::string& key) const {
    const auto append = [&key](const auto& object) {
      key.append(reinterpret_cast<const char*>(&object), sizeof object);
    };
    append(views_);
    append(latest_seq_cst_);
    append(plain_);
    append(writes_);
    append(reads_);
    for (const auto& history : history_) {
      key.push_back(static_cast<char>(history.size()));
      for (const Write& write : history) {
        append(write.value);
        append(write.view);
      }
    }
  }

 private:
  struct Write {
    std::uint64_t value;
    View view;
  };
  std::array<View, kModelThreads> views_{};
  std::array<std::vector<Write>, kModelWords> history_;
  std::array<std::uint8_t, kModelWords> latest_seq_cst_{};
  std::array<std::uint64_t, kModelWords> plain_{};
  std::array<std::uint8_t, kModelWords> writes_{};
  std::array<std::array<std::uint8_t, kModelWords>, kModelThreads> reads_{};
};

// An atomic word of the model, with the interface of std::atomic_ref.
struct ModelWord {
  WeakMemory* memory;
  int thread, word;
  std::uint64_t load(std::memory_order order) const { return memory->load(thread, word, order); }
  void store(std::uint64_t value, std::memory_order order) const {
    memory->store(thread, word, value, order);
  }
};

struct Exploration {
  std::string failure;  // empty: nothing can go wrong
  std::size_t states = 0, steps = 0, ends = 0;
};

// Visits every state reachable from `first`. A State is copyable and has: memory (a WeakMemory);
// step(thread), which touches at most one atomic word; finished(); key(), equal for equal states. Fails on
// whatever memory.failure says, and if there is a state from which no end can be reached any more.
template <class State>
Exploration explore(const State& first) {
  Exploration result;
  std::unordered_map<std::string, std::size_t> known{{first.key(), 0}};
  std::vector<State> open{first};
  std::vector<std::size_t> open_index{0};
  std::vector<std::vector<std::size_t>> came_from(1);
  std::vector<std::size_t> ends;
  while (!open.empty()) {
    const State state = std::move(open.back());
    const std::size_t index = open_index.back();
    open.pop_back();
    open_index.pop_back();
    if (state.finished()) ends.push_back(index);
    for (int thread = 0; thread < kModelThreads; ++thread) {
      Choices choices;
      do {
        State next = state;
        next.memory.choices = &choices;
        next.memory.accesses = 0;
        next.step(thread);
        ++result.steps;
        if (next.memory.accesses > 1) next.memory.failure = "a step is not atomic";
        if (!next.memory.failure.empty()) {
          result.failure = next.memory.failure;
          return result;
        }
        const auto [place, is_new] = known.emplace(next.key(), known.size());
        if (is_new) {
          came_from.emplace_back();
          open_index.push_back(place->second);
          open.push_back(std::move(next));
        }
        came_from[place->second].push_back(index);
      } while (choices.advance());
    }
  }
  result.states = known.size();
  result.ends = ends.size();
  // Backwards from the ends: whatever is not met on the way is stuck.
  std::vector<bool> reaches_end(known.size(), false);
  for (const std::size_t end : ends) reaches_end[end] = true;
  std::size_t met = ends.size();
  for (std::vector<std::size_t> todo = ends; !todo.empty();) {
    const std::size_t index = todo.back();
    todo.pop_back();
    for (const std::size_t before : came_from[index]) {
      if (reaches_end[before]) continue;
      reaches_end[before] = true;
      ++met;
      todo.push_back(before);
    }
  }
  if (met != known.size()) result.failure = "a state from which no end can be reached";
  return result;
}

}  // namespace hansa::test
