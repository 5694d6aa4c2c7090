// Process managers for tests: the other ends of PMI_FD for a few ranks, with one key-value space and a fence.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/config.hpp"

namespace hansa::test {

inline std::vector<std::byte> some_bytes(std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 31 + i / 256);
  return bytes;
}

// An environment of one's own.
class Variables {
 public:
  Variables(std::initializer_list<std::pair<const std::string, std::string>> list) : list_(list) {}
  std::string& operator[](const std::string& name) { return list_[name]; }
  // Refers to this object.
  Lookup lookup() const {
    return [this](const char* name) -> const char* {
      const auto found = list_.find(name);
      return found == list_.end() ? nullptr : found->second.c_str();
    };
  }

 private:
  std::map<std::string, std::string> list_;
};

// One thread serves all ranks, in turn: what a rank asks is answered when it has come as a whole; a fence is
// answered when all have asked for it.
class ScriptedPmi {
 public:
  ScriptedPmi(int ranks, int version, std::string mapping);
  ~ScriptedPmi();
  Variables environment(int rank) const;
  int goodbyes() const { return goodbyes_; }
  // Says `bytes` to every request that contains `word`; hangs up if there are none.
  void instead(std::string word, std::string bytes) {
    const std::lock_guard lock(mutex_);
    word_ = std::move(word);
    bytes_ = std::move(bytes);
  }

 private:
  struct Client {
    int server = -1, client = -1;
    std::string heard;
    bool messages = false;  // after the first line of PMI-2
  };
  void run();
  bool take(Client& client, std::string* request);
  void serve(Client& client, const std::string& request);
  void say(Client& client, const std::string& text) const;
  std::string answer_1(const std::string& request);
  std::string answer_2(const std::string& request, int rank);

  const int version_;
  const std::string mapping_;
  std::vector<Client> clients_;
  std::vector<Client*> at_fence_;
  std::map<std::string, std::string> values_, put_;  // what has been put is there after the fence
  std::mutex mutex_;
  std::string word_, bytes_;
  std::atomic<int> goodbyes_{0};
  std::thread thread_;
};

}  // namespace hansa::test
