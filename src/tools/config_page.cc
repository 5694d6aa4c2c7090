#include "tools/config_page.hpp"

#include <fmt/format.h>

#include <map>
#include <vector>

#include "base/config.hpp"
#include "base/nccl_names.hpp"
#include "base/slingshot_settings.hpp"
#include "base/tcp_settings.hpp"

namespace hansa::tools {
namespace {

constexpr const char* kTop = R"(# Settings: the environment and configuration files

This page is made by `hansa config --markdown` from the table in `src/base/settings.cc`; a test compares the two.
`hansa config --show-origin` shows what holds on a machine and where each value comes from.

## Where values come from

The later wins:

1. the defaults below;
2. `/etc/nccl.conf`, for the site;
3. the file that `NCCL_CONF_FILE` names, or else `.nccl.conf` in the user's home, for the user;
4. the environment.

Where one place sets both a name of ours and NCCL's name for the same, ours wins. An empty value in the environment hides
one in a file. All is read once, when the library is first used.

A line of a file is `NAME=VALUE`; `#` begins a comment; of a name that comes twice in a file the first counts. Other than
NCCL, this library does not hand on what such files say about names that are neither `HANSA_` nor `NCCL_`: it says so. A file
that belongs to somebody else than the user or root, or that others may write, is left out with a warning.

A bad value, and a `HANSA_` name that does not exist, are said on stderr, the latter with the nearest name that does, and
ignored. An unknown `NCCL_` name is left alone.
)";

constexpr const char* kDebug = R"(
## What is written

Lines are `hansa HOST:PID:RANK LEVEL message`, each written whole. NCCL's levels are known: `VERSION` prints the one line
`NCCL version X.Y.Z+hansaA.B.C` from rank 0 of the first communicator, and so does `INFO`, with what was found in the
environment and in files; `ATTN` is `WARN` here and `ABORT` is `INFO`. Unlike NCCL's, the default is `WARN`.

`NCCL_DEBUG_SUBSYS` selects among INFO and TRACE lines: a list, or with `^` before it all but those. Lines of this library
belong to `INIT` (communicators), `BOOTSTRAP` (how ranks meet), `NET` (fabrics) or `ENV` (settings); errors belong to all.

`NCCL_DEBUG_FILE` is opened for each line and appended to: nothing is overwritten, and no descriptor stays open. `%h` is the
host's name without its domain, `%p` the process; `/dev/stdout` and `/dev/stderr` mean what they say. What cannot be
written there goes to stderr.
)";

constexpr const char* kMeeting = R"(
## Meeting at a fixed address: NCCL_COMM_ID

With `NCCL_COMM_ID=HOST:PORT` every process may call `ncclGetUniqueId` by itself: all get the same id. Rank 0 must run on the
host with that address; in `ncclCommInitRank` it listens there until all other ranks have come, and those try until it does,
within `HANSA_INIT_TIMEOUT`. Communicators are made one after the other, by as many ranks as each says; each gets a root
and keys of its own, so those made before go on working.

An ordinary unique id carries a random secret, and nobody without it can join. Here there is no way to pass one on: **only the
address protects the job**, unless `HANSA_SECRET` is the same word in all processes. Use a file that only its user can read:
`HANSA_SECRET=@/path/to/file`. An INFO line says when it is missing.
)";

constexpr const char* kSlingshot = R"(
## What is set for Slingshot

On a host with Slingshot (an interface `hsn*`, a device in `/sys/class/cxi`, `SLINGSHOT_*` variables of the launcher, or cxi in
`FI_PROVIDER`) this library sets what sites tell their users to set by hand, before it loads libfabric. What is set already
stays as it is, also if it is empty. One INFO line (`NET`) says which values hold and who set them. Decision 018 tells how, and
what is left to the user.
)";

constexpr const char* kTcp = R"(
## What is set for TCP

Wherever this library loads libfabric it sets, as above, what the providers `tcp;ofi_rxm` and `net` do better with. Without (libfabric
was loaded before, by MPI, on all ranks) messages of more than 16 KiB cost two crossings more over the former. Decision 020 has the
measurements.
)";

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c;
  }
  return result;
}

std::string code(std::string_view text) { return text.empty() ? "" : fmt::format("`{}`", escaped(text)); }

std::string rows(bool foreign) {
  std::string text = foreign ? "\n| Name | Takes | Does |\n|---|---|---|\n"
                             : "\n| Name | Default | Takes | Does |\n|---|---|---|---|\n";
  for (const Setting& setting : settings()) {
    if (setting.foreign() != foreign) continue;
    const std::string help =
        escaped(setting.help) +
        (setting.trait == Setting::Trait::kTesting ? " *For tests of this library.*" : "");
    text += foreign ? fmt::format("| `{}` | {} | {} |\n", setting.name, escaped(setting.accepts), help)
                    : fmt::format("| `{}` | {} | {} | {} |\n", setting.name, code(setting.standard),
                                  escaped(setting.accepts), help);
  }
  return text;
}

// One row for each reason.
std::string ignored_rows() {
  std::map<std::string_view, std::string> by_reason;
  std::vector<std::string_view> order;
  for (const IgnoredName& one : ignored_nccl_names()) {
    std::string& names = by_reason[one.why];
    if (names.empty()) order.emplace_back(one.why);
    names += (names.empty() ? "`" : ", `") + std::string(one.name) + "`";
  }
  std::string text = "\n| Why | Names |\n|---|---|\n";
  for (const std::string_view why : order) text += fmt::format("| {} | {} |\n", why, by_reason[why]);
  return text;
}

std::string slingshot_rows() {
  std::string text = "\n| Variable | Value | Why | Who says so |\n|---|---|---|---|\n";
  for (const SlingshotSetting& one : slingshot_settings())
    text += fmt::format("| `{}` | `{}` | {} | {} |\n", one.name, one.value, escaped(one.why),
                        escaped(one.source));
  return text;
}

std::string tcp_rows() {
  std::string text = "\n| Variable | Value | Why |\n|---|---|---|\n";
  for (const TcpSetting& one : tcp_settings())
    text += fmt::format("| `{}` | `{}` | {} |\n", one.name, one.value, escaped(one.why));
  return text;
}

}  // namespace

std::string environment_page() {
  return kTop + std::string("\n## This library's settings\n") + rows(false) +
         "\n## NCCL's variables that are honoured\n" + rows(true) +
         "\n`NCCL_ALGO`: a name that means nothing here (NVLS, NVLSTree, Collnet...) is said and passed "
         "over, and "
         "never an error.\n" +
         kDebug + kMeeting + kSlingshot + slingshot_rows() + kTcp + tcp_rows() +
         "\n## NCCL's variables that are known and ignored\n" + ignored_rows();
}

}  // namespace hansa::tools
