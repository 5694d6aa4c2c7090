"""What the tests of packages share: running commands, and an installed tree that was moved since."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def fail(text):
    sys.exit(f"FAILED: {text}")


def expect(condition, text):
    if not condition:
        fail(text)


def run(*command, **options):
    """The command's standard output; a command that fails ends the test with all it said."""
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    expect(result.returncode == 0, f"{' '.join(command)}: status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def clean_environment(**more):
    """This process's environment without what would help to find a library, and with `more`."""
    hidden = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH", "CPATH", "LIBRARY_PATH", "HANSA_", "NCCL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return {**kept, **{name: str(value) for name, value in more.items()}}


def install(build, folder):
    """(first, moved): installs the build below `folder`, stripped, and moves the tree away from where it was installed to."""
    first, moved = os.path.join(folder, "first-prefix"), os.path.join(folder, "moved to", "prefix")
    run("cmake", "--install", build, "--prefix", first, "--strip")
    os.makedirs(os.path.dirname(moved))
    os.rename(first, moved)
    return first, moved


def entries(tree):
    """Paths of all files and links below a folder, relative to it, sorted."""
    return sorted(os.path.relpath(os.path.join(where, name), tree)
                  for where, below, names in os.walk(tree)
                  for name in names + [name for name in below if os.path.islink(os.path.join(where, name))])


def library_folder(tree):
    """Where the tree's libraries are: lib, lib64 or lib/MULTIARCH."""
    found = [os.path.dirname(path) for path in entries(tree) if path.endswith("cmake/hansa/hansa-config.cmake")]
    expect(len(found) == 1, f"one hansa-config.cmake is expected: {found}")
    return os.path.join(tree, os.path.dirname(os.path.dirname(found[0])))


def check_sum(output, library, where):
    """The output of consumer/sum.c: right sums, versions that agree with the headers, the library from folder `library`."""
    lines = output.splitlines()
    expect(sorted(lines[:2]) == ["rank 0: 3 30 -10", "rank 1: 3 30 -10"], f"{where}: wrong sums:\n{output}")
    for line in lines[2:4]:
        _, loaded, _, header = line.replace(",", "").split()
        expect(loaded == header, f"{where}: library and header differ: {line}")
    path = lines[4].removeprefix("library ")
    expect(os.path.realpath(path).startswith(os.path.realpath(library) + "/"), f"{where}: loaded {path}, not from {library}")
