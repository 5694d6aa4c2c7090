#include "scripted_pmi.hpp"

#include <poll.h>

#include <cstdio>
#include <cstdlib>

namespace hansa::test {
namespace {

// The value of "name=value" up to a blank, a semicolon or the end.
std::string field(const std::string& text, const std::string& name) {
  const auto at = text.find(name + "=");
  if (at == std::string::npos) return "";
  const auto from = at + name.size() + 1;
  return text.substr(from, text.find_first_of(" ;\n", from) - from);
}

}  // namespace

ScriptedPmi::ScriptedPmi(int ranks, int version, std::string mapping)
    : version_(version), mapping_(std::move(mapping)), clients_(static_cast<std::size_t>(ranks)) {
  for (Client& client : clients_) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) std::abort();
    client.server = pair[0];
    client.client = pair[1];
  }
  thread_ = std::thread([this] { run(); });
}

ScriptedPmi::~ScriptedPmi() {
  for (const Client& client : clients_) ::shutdown(client.client, SHUT_RDWR);
  thread_.join();
  for (const Client& client : clients_) {
    ::close(client.server);
    ::close(client.client);
  }
}

Variables ScriptedPmi::environment(int rank) const {
  Variables result = {{"PMI_FD", std::to_string(clients_[static_cast<std::size_t>(rank)].client)},
                      {"PMI_RANK", std::to_string(rank)},
                      {"PMI_SIZE", std::to_string(clients_.size())}};
  if (version_ == 2) result["PMI_JOBID"] = "17.0";
  return result;
}

void ScriptedPmi::run() {
  std::vector<pollfd> entries;
  for (const Client& client : clients_) entries.push_back({client.server, POLLIN, 0});
  for (std::size_t open = clients_.size(); open > 0;) {
    if (poll(entries.data(), entries.size(), -1) < 0) continue;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].fd < 0 || entries[i].revents == 0) continue;
      char buffer[4096];
      const auto got = ::recv(clients_[i].server, buffer, sizeof buffer, 0);
      if (got <= 0) {
        entries[i].fd = -1;
        --open;
        continue;
      }
      clients_[i].heard.append(buffer, static_cast<std::size_t>(got));
      std::string request;
      while (take(clients_[i], &request)) serve(clients_[i], request);
    }
  }
}

bool ScriptedPmi::take(Client& client, std::string* request) {
  if (!client.messages) {
    const auto end = client.heard.find('\n');
    if (end == std::string::npos) return false;
    *request = client.heard.substr(0, end);
    client.heard.erase(0, end + 1);
    return true;
  }
  if (client.heard.size() < 6) return false;
  const auto length = static_cast<std::size_t>(std::atoi(client.heard.substr(0, 6).c_str()));
  if (client.heard.size() < 6 + length) return false;
  *request = client.heard.substr(6, length);
  client.heard.erase(0, 6 + length);
  return true;
}

void ScriptedPmi::say(Client& client, const std::string& text) const {
  std::string whole = text + "\n";
  if (client.messages) {
    char length[16];
    std::snprintf(length, sizeof length, "%-6zu", text.size());  // as Slurm writes it
    whole = length + text;
  }
  // In two pieces, so that nobody takes a packet for an answer.
  const std::size_t half = whole.size() / 2;
  if (::send(client.server, whole.data(), half, MSG_NOSIGNAL) < 0) return;
  (void)!::send(client.server, whole.data() + half, whole.size() - half, MSG_NOSIGNAL);
}

void ScriptedPmi::serve(Client& client, const std::string& request) {
  const std::lock_guard lock(mutex_);
  if (!word_.empty() && request.find(word_) != std::string::npos) {
    (void)!::send(client.server, bytes_.data(), bytes_.size(), MSG_NOSIGNAL);
    if (bytes_.empty()) ::shutdown(client.server, SHUT_RDWR);
    return;
  }
  const std::string command = field(request, "cmd");
  if (command == "init") {
    const bool same = field(request, "pmi_version") == std::to_string(version_);
    say(client, "cmd=response_to_init pmi_version=" + std::to_string(version_) +
                    " pmi_subversion=1 rc=" + (same ? "0" : "-1"));
    client.messages = version_ == 2;
  } else if (command == "barrier_in" || command == "kvs-fence") {
    at_fence_.push_back(&client);
    if (at_fence_.size() < clients_.size()) return;
    values_.insert(put_.begin(), put_.end());
    for (Client* waiting : at_fence_)
      say(*waiting, version_ == 1 ? "cmd=barrier_out" : "cmd=kvs-fence-response;rc=0;");
    at_fence_.clear();
  } else {
    if (command == "finalize") ++goodbyes_;
    say(client,
        version_ == 1 ? answer_1(request) : answer_2(request, static_cast<int>(&client - clients_.data())));
  }
}

std::string ScriptedPmi::answer_1(const std::string& request) {
  const std::string command = field(request, "cmd"), key = field(request, "key");
  if (command == "get_maxes") return "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=100";
  if (command == "get_my_kvsname") return "cmd=my_kvsname kvsname=kvs_0";
  if (command == "finalize") return "cmd=finalize_ack";
  if (field(request, "kvsname") != "kvs_0") return "cmd=nonsense";
  if (command == "put") {
    const std::string value = field(request, "value");
    const bool fits = value.size() < 100 && put_.emplace(key, value).second;
    return fits ? "cmd=put_result rc=0 msg=success" : "cmd=put_result rc=-1 msg=refused";
  }
  if (command != "get") return "cmd=nonsense";
  if (key == "PMI_process_mapping" && !mapping_.empty()) return "cmd=get_result rc=0 value=" + mapping_;
  const auto found = values_.find(key);
  return found == values_.end() ? "cmd=get_result rc=-1 msg=key_not_found value=unknown"
                                : "cmd=get_result rc=0 msg=success value=" + found->second;
}

std::string ScriptedPmi::answer_2(const std::string& request, int rank) {
  const std::string command = field(request, "cmd"), key = field(request, "key");
  if (command == "fullinit") {
    // As Slurm insists.
    if (field(request, "pmijobid").empty() || field(request, "pmirank").empty() ||
        field(request, "threaded").empty())
      return "cmd=fullinit-response;rc=3;";
    return "cmd=fullinit-response;rc=0;pmi-version=2;pmi-subversion=0;rank=" + std::to_string(rank) +
           ";size=" + std::to_string(clients_.size()) + ";appnum=-1;debugged=FALSE;pmiverbose=FALSE;";
  }
  if (command == "job-getid") return "cmd=job-getid-response;rc=0;jobid=17.0;";
  if (command == "finalize") return "cmd=finalize-response;rc=0;";
  if (command == "info-getjobattr")
    return mapping_.empty() ? "cmd=info-getjobattr-response;rc=0;found=FALSE;"
                            : "cmd=info-getjobattr-response;rc=0;found=TRUE;value=" + mapping_ + ";";
  if (command == "kvs-put") {
    put_.emplace(key, field(request, "value"));
    return "cmd=kvs-put-response;rc=0;";
  }
  const auto found = values_.find(key);
  return found == values_.end() ? "cmd=kvs-get-response;rc=0;found=FALSE;"
                                : "cmd=kvs-get-response;rc=0;found=TRUE;value=" + found->second + ";";
}

}  // namespace hansa::test
