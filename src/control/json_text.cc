#include "control/json_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace hansa::control {
namespace {

// The length of the character that text begins with, or 0 where it is no UTF-8.
std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  std::size_t bytes = 0;
  if (byte(0) < 0x80) bytes = 1;
  if (byte(0) >= 0xc2 && byte(0) < 0xe0) bytes = 2;
  if (byte(0) >= 0xe0 && byte(0) < 0xf0) bytes = 3;
  if (byte(0) >= 0xf0 && byte(0) < 0xf5) bytes = 4;
  if (bytes > text.size()) return 0;
  for (std::size_t i = 1; i < bytes; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // Too long a form, a half of a pair, beyond the last character.
  if (bytes == 3 && ((byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xed && byte(1) >= 0xa0))) return 0;
  if (bytes == 4 && ((byte(0) == 0xf0 && byte(1) < 0x90) || (byte(0) == 0xf4 && byte(1) >= 0x90))) return 0;
  return bytes;
}

}  // namespace

std::string quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    if (bytes == 0)
      out += '?';
    else if (text[0] == '"' || text[0] == '\\')
      out += {'\\', text[0]};
    else if (static_cast<unsigned char>(text[0]) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(text[0]));
    else
      out += text.substr(0, bytes);
    text.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return out + '"';
}

std::string file_word(std::string_view text) {
  std::string word(text);
  for (char& c : word)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.') c = '-';
  return word.empty() || word[0] == '.' ? "host" + word : word;
}

}  // namespace hansa::control
