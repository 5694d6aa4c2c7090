#include "queries.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/support/layouts.hpp"

namespace hansa::test {

std::string row_name(const Algorithm& row) {
  return std::string(hansa::name_of(row.collective)) + "_" + std::string(row.name);
}

std::vector<Schedule> build_all(const Algorithm& row, const Query& query) {
  std::vector<Schedule> all;
  for (Rank self = 0; self < query.ranks; ++self) all.push_back(row.build(query, self));
  return all;
}

bool uses_radix(const Algorithm& row) {
  for (Rank ranks = 1; ranks <= 9; ++ranks)
    for (std::uint32_t radix = 3; radix <= 8; ++radix) {
      const auto binary = on_layouts(row, {row.collective, ranks, 0, 2}),
                 wider = on_layouts(row, {row.collective, ranks, 0, radix});
      if (binary.size() != wider.size()) return true;
      if (!binary.empty() && build_all(row, binary[0]) != build_all(row, wider[0])) return true;
    }
  return false;
}

std::vector<Query> queries(const Algorithm& row, Rank ranks) {
  std::vector<Rank> roots{0};
  if (rooted(row.collective))
    for (Rank root = 1; root < ranks; ++root)
      if (ranks <= 17 || root == 1 || root == ranks - 1) roots.push_back(root);
  std::vector<std::uint32_t> radices{2};
  if (uses_radix(row))
    for (std::uint32_t radix = 3; radix <= 8; ++radix)
      if (ranks <= 16 || radix == 3 + static_cast<std::uint32_t>(ranks) % 6) radices.push_back(radix);
  std::vector<Query> all;
  for (const Rank root : roots)
    for (const std::uint32_t radix : radices) {
      const auto some = on_layouts(row, {row.collective, ranks, root, radix});
      // With many ranks, another layout for every number of them.
      const std::size_t one = static_cast<std::size_t>(ranks) % std::max<std::size_t>(some.size(), 1);
      for (std::size_t i = 0; i < some.size(); ++i)
        if (ranks <= 17 || i == one) all.push_back(some[i]);
    }
  return all;
}

void in_parallel(std::size_t count, const std::function<void(std::size_t)>& job) {
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next.fetch_add(1, std::memory_order_relaxed); i < count;
         i = next.fetch_add(1, std::memory_order_relaxed))
      job(i);
  };
  std::vector<std::thread> threads;
  for (unsigned t = 1; t < std::min<std::size_t>(std::thread::hardware_concurrency(), count); ++t)
    threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace hansa::test
