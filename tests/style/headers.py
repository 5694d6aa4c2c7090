"""Each public header compiles alone: the C ABI's as C99 and later and as C++11 and later, the others as C++20. Takes
the C and the C++ compiler."""
import os
import subprocess
import sys

from source_tree import ROOT, files, finish

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I", os.path.join(ROOT, "include")]
USE = ("ncclConfig_t config = NCCL_CONFIG_INITIALIZER;\n"
       "ncclSimInfo_t simulation = NCCL_SIM_INFO_INITIALIZER;\n")


def compiles(compiler, language, standard, header):
    source = f"#include <{header}>\n" + (USE if header.endswith(".h") else "")
    command = [compiler, "-x", language, f"-std={standard}", *STRICT, "-"]
    if language == "c":
        command.insert(1, "-Wstrict-prototypes")
    result = subprocess.run(command, input=source, capture_output=True, text=True)
    return [] if result.returncode == 0 else [f"{header} as {standard}:\n{result.stderr}"]


def main():
    c, cxx = sys.argv[1:3]
    violations = []
    for path in files(("include",)):
        header = os.path.relpath(path, "include")
        if header.endswith(".h"):
            for standard in ("c99", "c11"):
                violations += compiles(c, "c", standard, header)
            for standard in ("c++11", "c++20"):
                violations += compiles(cxx, "c++", standard, header)
        else:
            violations += compiles(cxx, "c++", "c++20", header)
    finish(violations, "each public header compiles alone")


if __name__ == "__main__":
    main()
