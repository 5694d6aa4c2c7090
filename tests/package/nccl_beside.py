"""This library and NVIDIA's: the same exported names, of the same binding; and both in one process, in either order, also where
NVIDIA's names are global. Takes the library and a folder to keep what is fetched."""
import re
import subprocess
import sys

import nvidia

ORDERS = {
    "NVIDIA's first and global": "theirs = ctypes.CDLL({theirs!r}, ctypes.RTLD_GLOBAL); ours = ctypes.CDLL({ours!r})",
    "NVIDIA's last": "ours = ctypes.CDLL({ours!r}); theirs = ctypes.CDLL({theirs!r})",
    "both global": "ours = ctypes.CDLL({ours!r}, ctypes.RTLD_GLOBAL); theirs = ctypes.CDLL({theirs!r}, ctypes.RTLD_GLOBAL)",
}

PROGRAM = """
import ctypes
{load}
version = ctypes.c_int()
assert theirs.ncclGetVersion(ctypes.byref(version)) == 0 and version.value == 23203, version.value
assert ours.ncclGetVersion(ctypes.byref(version)) == 0 and version.value == 22707, version.value
comms = (ctypes.c_void_p * 2)()
assert ours.ncclCommInitAll(comms, 2, None) == 0
values = [(ctypes.c_int * 1)(20 + i) for i in range(2)]
assert ours.ncclGroupStart() == 0
for comm, value in zip(comms, values):
    assert ours.ncclAllReduce(value, value, ctypes.c_size_t(1), 2, 0, ctypes.c_void_p(comm), None) == 0
assert ours.ncclGroupEnd() == 0
assert [value[0] for value in values] == [41, 41]
# What NVIDIA's library would give as a communicator: memory of its own.
foreign = ctypes.create_string_buffer(65536)
ours.ncclGetLastError.restype = ctypes.c_char_p
assert ours.ncclAllReduce(values[0], values[0], ctypes.c_size_t(1), 2, 0, foreign, None) == 4
assert b"another libnccl" in ours.ncclGetLastError(None), ours.ncclGetLastError(None)
for comm in comms:
    assert ours.ncclCommDestroy(ctypes.c_void_p(comm)) == 0
"""


def exported(library):
    names = {}
    for line in subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout.splitlines():
        kind, name = line.split()[-2:]
        if re.match(r"p?nccl[A-Z]", name):
            names[name] = kind
    return names


def main():
    ours, folder = sys.argv[1:3]
    _, theirs = nvidia.nccl(folder)
    wanted, got = exported(theirs), exported(ours)
    wanted.pop("ncclResetDebugInitInternal", None)  # in no header, and called by nobody
    differ = [f"{name}: {wanted.get(name, 'nothing')} there, {got.get(name, 'nothing')} here"
              for name in sorted(wanted.keys() | got.keys()) if wanted.get(name) != got.get(name)]
    if differ or len(wanted) < 170:
        sys.exit("\n".join(differ) or f"only {len(wanted)} names there")
    print(f"{len(got)} of {len(wanted)} exported names are the same, weak and strong alike")
    for name, load in ORDERS.items():
        subprocess.run([sys.executable, "-c", PROGRAM.format(load=load.format(ours=ours, theirs=theirs))], check=True)
        print(f"both in one process, {name}: each is itself")


if __name__ == "__main__":
    main()
