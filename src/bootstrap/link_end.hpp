// What the end of a link tells of the process at its other end, in words for everybody.
#pragma once

#include <string>
#include <vector>

#include "bootstrap/messages.hpp"

namespace hansa::bootstrap {

// How the link to a process ended.
struct LinkEnd {
  int error = 0;              // see LinkOwner
  Rail rail = {};             // of a link to another host
  std::string own_host = {};  // where that rail is

  // Its host does not answer, so that the others there are as lost.
  bool is_silence() const;
};

// kRemote: `ranks` of `process` are dead, or cannot be reached.
Status death_of(const Process& process, const std::vector<Rank>& ranks, const LinkEnd& end);
Status death_in_init(const Process& process, const LinkEnd& end);
// The same of a process that answers nothing to a rank of `end.own_host`, whatever it answers to others.
Status out_of_reach(const Process& process, Rank asker, const LinkEnd& end);

}  // namespace hansa::bootstrap
