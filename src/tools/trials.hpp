// Every collective as something that can be filled with known data, run, and judged.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "hansa/hansa.h"
#include "nccl.h"

namespace hansa::tools {

// One rank's side of one collective on floats. Inputs are small integers, so every result is exact in
// any order. `count` elements is the size that nccl-tests would report.
struct Trial {
  const char* name;
  const char* operation;  // for the table's redop column
  int root;               // for the table's root column; -1: none
  bool in_place;          // whether it can run in place
  double bus_factor;      // bus bandwidth over algorithm bandwidth, as nccl-tests defines them
  std::size_t (*elements)(std::size_t count, int ranks);  // of the larger buffer
  ncclResult_t (*run)(const float* input, float* output, std::size_t count, int rank, int ranks,
                      ncclComm_t comm);
  // What output[i] must be, or a negative number where anything goes.
  float (*expected)(std::size_t i, std::size_t count, int rank, int ranks);
  // Where the input lies when the collective runs in place, in elements from the output's start (may be
  // negative).
  std::ptrdiff_t (*offset)(std::size_t count, int rank, int ranks);
};

std::span<const Trial> trials(int ranks);

// Element i of rank r's input.
inline float value(int rank, std::size_t i) {
  return static_cast<float>((static_cast<std::size_t>(rank) * 5 + i * 3 + i / 7) % 11);
}

}  // namespace hansa::tools
