"""The rules find what they are for: each is given code that breaks it and code that does not."""
import floors
import state
from source_tree import finish, scan

STATE = """
namespace hansa {{
namespace {{
{outside}
}}
struct Point {{ int x = 0; static constexpr int kLimit = 3; }};
int f(int a, std::function<void()> b = {{}}) {{
  {inside}
  const int c[] = {{1, 2}};
  return a + static_cast<int>(c[0]);
}}
}}
"""
MUTABLE_OUTSIDE = ["int counter = 0;", "static std::atomic<int> calls{0};", "std::mutex lock;", "thread_local int depth;",
                   "const char* name;", "std::vector<int> list = {1, 2};", "int table[4] = {};", "Point* first = nullptr;"]
FINE_OUTSIDE = ["constexpr int kLimit = 4;", "const std::string kName = \"a;b\";", "using T = std::vector<int>;",
                "int g(int x);", "std::string h(const std::string& text, int = 3);", "class Later;",
                "constexpr int kTable[] = {1, 2};", "static_assert(sizeof(int) == 4);", "bool operator==(P a, P b);",
                "const char* const kText = \"x\";", "#define A int x = 3;", "// int counter = 0;"]
MUTABLE_INSIDE = ["static int calls = 0;", "static std::mutex lock;", "thread_local Rank rank = 3;", "static X x{};"]
FINE_INSIDE = ["int calls = 0;", "static const X x = make();", "static constexpr int k = 3;", "auto l = [] { return 1; };"]
INCLUDES = [  # file, name, whether it is allowed
    ("algorithms/ring.cc", "hansa/algorithm.hpp", True), ("algorithms/ring.cc", "base/log.hpp", False),
    ("src/base/log.cc", "base/config.hpp", True), ("src/base/log.cc", "core/communicator.hpp", False),
    ("src/core/group.cc", "executor/execution.hpp", True), ("src/executor/execution.cc", "core/group.hpp", False),
    ("src/core/group.cc", "nccl.h", False), ("src/capi/nccl.cc", "nccl.h", True),
    ("transports/shm/shm.cc", "rdma/fabric.h", False), ("transports/libfabric/loader.cc", "rdma/fabric.h", True),
    ("transports/shm/shm.cc", "transports/inproc/inproc.hpp", False),
    ("transports/builtin.cc", "transports/inproc/inproc.hpp", True), ("src/tuner/tuner.cc", "vector", True),
]


def state_breaches(outside="", inside=""):
    text = STATE.format(outside=outside, inside=inside)
    return sum(state.mutable(scope, statement) for scope, statement, _ in scan(text)[1])


def main():
    wrong = []
    for expected, outside, inside in ((1, MUTABLE_OUTSIDE, MUTABLE_INSIDE), (0, FINE_OUTSIDE, FINE_INSIDE)):
        wrong += [f"state: {line}" for line in outside if state_breaches(outside=line) != expected]
        wrong += [f"state: in a function: {line}" for line in inside if state_breaches(inside=line) != expected]
    for path, name, allowed in INCLUDES:
        if (floors.complaint(path, name, floors.resolve(name)) is None) != allowed:
            wrong.append(f"floors: {path} includes {name}")
    function = "int f() {\n" + "  g({1});\n" * 70 + "}\n"
    lengths = [scope.end - scope.start + 1 for scope in scan("namespace a {\n" + function + "}\n")[0]
               if scope.kind == "function"]
    if lengths != [72]:
        wrong.append(f"budgets: a function of 72 lines measures {lengths}")
    finish(wrong, "the rules find what they are for")


if __name__ == "__main__":
    main()
