// Which network interfaces a user allows, in NCCL's words (its user guide, NCCL_SOCKET_IFNAME).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hansa/status.hpp"

namespace hansa::bootstrap {

class InterfaceFilter {
 public:
  // "eth,ib" beginnings of names; "=eth0,ib0" whole names; "^docker" and "^=docker0" all but those; "" all.
  // kInvalidArgument where ^ or = is followed by nothing. Pure.
  static Result<InterfaceFilter> parse(std::string_view text);

  bool admits(std::string_view name) const;
  bool names(std::string_view name) const;  // whether it is one of the words, and wanted

 private:
  bool except_ = false, exact_ = false;
  std::vector<std::string> words_;
};

}  // namespace hansa::bootstrap
