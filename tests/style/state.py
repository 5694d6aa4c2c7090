"""No hidden state: what outlives a function and changes lives in src/core/factory, the environment is read in one file."""
import re

from source_tree import CODE_SUFFIXES, LIBRARY_FOLDERS, blank, files, finish, read, scan

HOME = "src/core/factory"
# Where a whole process, or a thread, must share something below the core, and what.
SHARED = {
    "src/base/fault_point.hpp": "which place goes wrong, for tests",
    "src/base/fault_point.cc": "the same",
    "src/base/environment.cc": "what others may have pointers into, for ever",
    "src/base/log.cc": "which rank a thread speaks for; what is said once",
    "src/control/event_loop.cc": "the one control thread of a process",
    "src/device/host/host_memory.cc": "an allocation's number is never given twice",
    "transports/inproc/inproc.cc": "the ranks of a process find each other",
    "transports/shm/shm.cc": "the ranks of a process find each other",
    "transports/process.cc": "numbers for what a process hands out",
}
ENVIRONMENT = "src/base/environment.cc"

NO_VARIABLE = re.compile(
    r"^(using|typedef|template|extern \w+ \w+ ?\(|static_assert|class|struct|union|enum|friend|namespace|return|public|private)\b")
FUNCTION = re.compile(r"^[\w:\s*&]+(?:<[^()]*>)?[\s*&]+\w+ ?\(")
VARIABLE = re.compile(r"^(?:(?:static|inline|thread_local|constinit|extern|volatile|const|unsigned|long|struct)\s+)*[A-Za-z_][\w:]*(?:<.*>)?[\s*&]+"
                      r"[A-Za-z_]\w*(?:\[[^\]]*\])*\s*(?:=.*|\{.*\})?$")


def is_namespace(scope):
    return scope is None or (scope.kind == "namespace" and is_namespace(scope.outer))


def is_constant(declaration):
    return "constexpr" in declaration or re.search(r"\bconst\b", declaration.rpartition("*")[2]) is not None


def mutable(scope, statement):
    """Whether the statement defines a variable that outlives its scope and can change."""
    if NO_VARIABLE.match(statement) or "operator" in statement or is_constant(statement.split("=")[0]):
        return False
    if is_namespace(scope):
        return not FUNCTION.match(statement) and bool(VARIABLE.match(statement))
    return bool(re.match(r"(inline\s+)?(static|thread_local)\b(?!.*\)\s*(const|noexcept|override|= default)*$)", statement)) \
        and bool(VARIABLE.match(statement) or re.search(r"\{\}$|=", statement))


def main():
    violations = []
    for path in files(LIBRARY_FOLDERS, CODE_SUFFIXES):
        if path.startswith("src/tools/"):
            continue
        text = read(path)
        if path != ENVIRONMENT:
            for number, line in enumerate(blank(text).splitlines(), 1):
                if re.search(r"\b(getenv|secure_getenv|setenv|putenv|unsetenv|environ)\b", line):
                    violations.append(f"{path}:{number}: reads the environment; that is {ENVIRONMENT}'s")
        for scope, statement, line in scan(text)[1]:
            if not path.startswith(HOME) and path not in SHARED and mutable(scope, statement):
                violations.append(f"{path}:{line}: mutable and lives on: {statement[:90]}")
    finish(violations, f"no state that outlives a function but in {HOME}")


if __name__ == "__main__":
    main()
