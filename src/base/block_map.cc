#include "hansa/block_map.hpp"

namespace hansa {

BlockMap BlockMap::split(std::size_t elements, std::uint32_t blocks) {
  BlockMap map;
  map.kind_ = Kind::kSplit;
  map.quotient_ = elements / blocks;
  map.remainder_ = elements % blocks;
  map.max_elements_ = map.quotient_ + (map.remainder_ > 0);
  return map;
}

BlockMap BlockMap::uniform(std::size_t elements, Layout input, Layout output) {
  BlockMap map;
  map.kind_ = Kind::kUniform;
  map.quotient_ = elements;
  map.max_elements_ = elements;
  map.input_ = input;
  map.output_ = output;
  return map;
}

BlockMap BlockMap::table(Layout input, Layout output, const std::size_t* wire, std::size_t max_elements) {
  BlockMap map;
  map.kind_ = Kind::kTable;
  map.max_elements_ = max_elements;
  map.input_ = input;
  map.output_ = output;
  map.wire_ = wire;
  return map;
}

Extent BlockMap::at(Place place, std::uint32_t id) const {
  if (kind_ == Kind::kSplit) {
    const std::size_t longer = id < remainder_ ? id : remainder_;
    return {id * quotient_ + longer, quotient_ + (id < remainder_)};
  }
  const Layout& layout = place == Place::kInput ? input_ : output_;
  const std::uint32_t k = (id - layout.origin) / layout.stride;
  if (kind_ == Kind::kUniform) return {k * quotient_, quotient_};
  return {layout.offsets[k], layout.counts[k]};
}

std::size_t BlockMap::elements(std::uint32_t id) const {
  switch (kind_) {
    case Kind::kSplit:
      return quotient_ + (id < remainder_);
    case Kind::kUniform:
      return quotient_;
    case Kind::kTable:
      return wire_[id];
  }
  return 0;
}

}  // namespace hansa
