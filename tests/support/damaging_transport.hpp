// A transport that damages one message on its way out.
#pragma once

#include <cstdint>
#include <memory>

#include "hansa/transport.hpp"

namespace hansa::test {

struct Damage {
  enum class Kind {
    kBit,       // one bit of what is sent
    kStamp,     // one bit of the word that goes with it
    kShorter,   // its last byte is cut off
    kRepeated,  // the message before it is sent once more instead
  };
  Kind kind = Kind::kBit;
  std::uint32_t message = 0;  // of all that the rank sends, from 0
  std::size_t bit = 0;        // of the message or the word
};

std::unique_ptr<Transport> damaging_transport(std::unique_ptr<Transport> inner, const Damage& damage);

}  // namespace hansa::test
