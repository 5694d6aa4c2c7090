#include "base/environment.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <vector>

namespace hansa {

Lookup process_environment() {
  return [](const char* name) -> const char* { return std::getenv(name); };
}

void for_each_variable(const std::function<void(std::string_view name, std::string_view value)>& use) {
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != text.npos) use(text.substr(0, equals), text.substr(equals + 1));
  }
}

void supplement_environment(std::span<const Assignment> additions) {
  struct Block {
    std::vector<std::string> texts;
    std::vector<char*> entries;
    const Block* before = nullptr;
  };
  static std::atomic<const Block*> newest{nullptr};
  auto* const block = new Block;  // others may keep what getenv() gave them for ever
  for (const Assignment& one : additions)
    if (std::getenv(one.name.c_str()) == nullptr) block->texts.push_back(one.name + "=" + one.value);
  if (block->texts.empty()) {
    delete block;
    return;
  }
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry)
    block->entries.push_back(*entry);
  for (std::string& text : block->texts) block->entries.push_back(text.data());
  block->entries.push_back(nullptr);
  block->before = newest.exchange(block);
  std::atomic_ref<char**>(::environ).store(block->entries.data(), std::memory_order_release);
}

}  // namespace hansa
