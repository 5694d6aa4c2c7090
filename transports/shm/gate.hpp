// Lets a visitor into a rank's memory until the owner closes it, and lets the owner know that the visitor
// is out. Two words, each written by one side only. Like the ring a template, for the exhaustive test: every
// member function touches one word once.
//
// Why it holds: both sides write their own word and then read the other's, all in the one order of
// sequentially consistent accesses. A visitor that read `open` did so before the owner's close, so that its
// mark came before the owner's look, which therefore finds it until it is taken away.
#pragma once

#include <atomic>
#include <cstdint>

namespace hansa::shm {

template <class Words>
class Visitor {
 public:
  explicit Visitor(Words words) : words_(words) {}
  // In this order: enter, then go on only if admitted, leave either way.
  void enter() { words_.inside().store(1, std::memory_order_seq_cst); }
  bool admitted() { return words_.closed().load(std::memory_order_seq_cst) == 0; }
  void leave() { words_.inside().store(0, std::memory_order_release); }

 private:
  Words words_;
};

template <class Words>
class Doorkeeper {
 public:
  explicit Doorkeeper(Words words) : words_(words) {}
  void close() { words_.closed().store(1, std::memory_order_seq_cst); }
  // After close(): once true, no visitor is or comes inside, and all it did has happened before.
  bool empty() { return words_.inside().load(std::memory_order_seq_cst) == 0; }

 private:
  Words words_;
};

}  // namespace hansa::shm
