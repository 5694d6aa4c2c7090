"""Who may include whom: each part only what lies below it, and a third-party header in one folder only."""
import re

from source_tree import CODE_SUFFIXES, files, finish, read

BELOW_ALL = ["include", "src/base"]
MIDDLE = ["algorithms", "transports", "src/device", "src/control", "src/bootstrap", "src/topology", "src/schedule",
          "src/simulator", "src/tuner"]
# What a part may include besides itself. Parts of the middle floor do not know each other, but for the pairs below.
FLOORS = {
    "include": [],
    "src/base": ["include"],
    "algorithms": ["include"],
    **{part: BELOW_ALL for part in MIDDLE if part != "algorithms"},
    "src/bootstrap": BELOW_ALL + ["src/control"],    # a rank's connections live in the control thread's event loop
    "transports": BELOW_ALL + ["src/control"],       # shared memory is lent over its sockets
    "src/simulator": BELOW_ALL + ["src/topology"],   # what a schedule is priced on
    "src/executor": BELOW_ALL + MIDDLE,
    "src/core": BELOW_ALL + MIDDLE + ["src/executor"],
    "src/capi": BELOW_ALL + MIDDLE + ["src/executor", "src/core"],
}
TOP = ("src/tools", "bench", "tests", "python")   # may include everything
C_ABI = {"include/nccl.h", "include/hansa/hansa.h"}
C_ABI_USERS = ("src/capi", "include/hansa/hansa.h", "include/nccl.h") + TOP

# A third-party header, and the one folder of the library that knows it. fmt, which every part says things with, is no
# such boundary; tools, benchmarks and tests may use what they like.
HOMES = {
    "sodium": "src/base",
    "hwy": "src/device/host",
    "rdma": "transports/libfabric",
    "ucp": "transports/ucx",
    "hwloc": "src/topology",
    "nlohmann": "src/topology",
    "cuda": "src/device/cuda",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
ALL_FILES = set(files())


def part_of(path):
    parts = [part for part in FLOORS if path.startswith(part + "/")]
    return max(parts, key=len) if parts else None


def resolve(name):
    """The project file that an include means, or None for others'."""
    return next((candidate for candidate in (f"include/{name}", f"src/{name}", name) if candidate in ALL_FILES), None)


def transport_of(path):
    pieces = path.split("/")
    return pieces[1] if pieces[0] == "transports" and len(pieces) > 2 else None


def home_of(name):
    return next((home for prefix, home in HOMES.items() if re.match(prefix + "[_/.]", name)), None)


def complaint(path, name, target):
    part = part_of(path)
    if target is None:
        home = home_of(name)
        cuda_in_abi = path == "include/nccl.h" and name.startswith("cuda")
        return f"<{name}> belongs to {home}" if home and not cuda_in_abi and not path.startswith(home + "/") else None
    if target in C_ABI and not path.startswith(C_ABI_USERS):
        return f"{target} is for the C ABI's own code and for its users"
    if part_of(target) == part:
        here, there = transport_of(path), transport_of(target)
        if here and there and here != there:
            return f"transport {here} knows transport {there}"
        return None
    return None if part_of(target) in FLOORS[part] else f"{part} must not include {target}"


def main():
    violations = []
    for path in files(suffixes=CODE_SUFFIXES):
        if path.startswith(TOP):
            continue
        if part_of(path) is None:
            violations.append(f"{path}: no floor is given for this folder")
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = resolve(match[2])
            if match[1] == '"' and target is None and home_of(match[2]) is None:
                found = f'"{match[2]}" names no file of the project'
            else:
                found = complaint(path, match[2], target)
            if found:
                violations.append(f"{path}:{number}: {found}")
    finish(violations, "each part includes only what lies below it")


if __name__ == "__main__":
    main()
