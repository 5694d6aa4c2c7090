"""What the shared library shows the world: the declared functions and their twins, and a dependency on libc alone. Takes
the library."""
import re
import subprocess
import sys
import os

from source_tree import finish, read

ALLOWED = re.compile(r"(nccl|pnccl|hansa)\w*$")
LIBC = re.compile(r"(lib(c|m|dl|rt|pthread)|ld-linux[\w-]*)\.so\.\d+$")
MOST_BYTES = 8 << 20


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def declared():
    nccl = re.findall(r"HANSA_NCCL_FUNCTION\([^,]+,\s*(nccl\w+),", read("include/nccl.h"))
    nccl += re.findall(r"^(?:REFUSED\(|ANSWERED\(\w+, )(\w+)", read("src/capi/device_api.cc"), re.M)
    nccl = [name if name.startswith("nccl") else "nccl" + name for name in nccl]
    ours = re.findall(r"HANSA_VISIBLE \w+ (hansa\w+)\(", read("include/hansa/hansa.h"))
    return nccl, ours


def main():
    library = sys.argv[1]
    kinds = {}
    for line in run("nm", "-D", "--defined-only", library).splitlines():
        kind, name = line.split()[-2:]
        kinds[name.split("@")[0]] = kind
    violations = [f"exports {name}" for name in kinds if not ALLOWED.match(name)]
    nccl, ours = declared()
    for name in nccl:
        if kinds.get(name) != "W":
            violations.append(f"{name} is not exported as a weak symbol")
        if kinds.get("p" + name) != "T":
            violations.append(f"p{name} is not exported as a strong symbol")
    violations += [f"{name} is not exported" for name in ours if name not in kinds]
    undeclared = set(kinds) - set(nccl) - {"p" + name for name in nccl} - set(ours)
    violations += [f"{name} is exported and in no header" for name in sorted(undeclared)]
    dynamic = run("readelf", "-dW", library)
    violations += [f"needs {name}" for name in re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic) if not LIBC.match(name)]
    if "[libnccl.so.2]" not in dynamic:
        violations.append("its SONAME is not libnccl.so.2")
    if os.path.getsize(library) > MOST_BYTES:
        violations.append(f"{os.path.getsize(library)} bytes are more than {MOST_BYTES}")
    finish(violations, "libnccl.so.2 exports what its headers declare and needs libc alone")


if __name__ == "__main__":
    main()
