"""`cmake --install`, moved elsewhere, serves: nothing in it names where it was made, and a C program and a CMake project build
against it by find_package, by pkg-config and as NCCL_HOME. install.py BUILD_FOLDER C_COMPILER"""
import os
import re
import subprocess
import sys
import tempfile

from tree import HERE, ROOT, check_sum, clean_environment, entries, expect, install, library_folder, run

MOST_BYTES = 8 << 20
CONSUMER = os.path.join(HERE, "consumer")
SOURCE = os.path.join(CONSUMER, "sum.c")


def check_contents(tree, names, forbidden):
    """No file names a place it was made in; links stay inside; programs and libraries are stripped and movable."""
    for name in names:
        path = os.path.join(tree, name)
        if os.path.islink(path):
            expect(not os.path.isabs(os.readlink(path)) and os.path.realpath(path).startswith(os.path.realpath(tree) + "/")
                   and os.path.exists(path), f"{name} -> {os.readlink(path)} leaves the tree")
            continue
        with open(path, "rb") as file:
            content = file.read()
        for place in forbidden:
            expect(place.encode() not in content, f"{name} names {place}")
        if name.endswith((".cmake", ".pc")):
            expect(b"/usr" not in content, f"{name} names an absolute path")
        if content.startswith(b"\x7fELF"):
            expect(".symtab" not in run("readelf", "-SW", path), f"{name} is not stripped")
            way = re.findall(r"\((?:RPATH|RUNPATH)\).*\[(.*)\]", run("readelf", "-dW", path))
            expect(all(part.startswith("$ORIGIN") for entry in way for part in entry.split(":")), f"{name}: run path {way}")


def check_layout(tree, home, names):
    inside = os.path.relpath(home, tree)
    for wanted in (f"{inside}/include/nccl.h", f"{inside}/include/hansa/hansa.h", f"{inside}/lib/libnccl.so",
                   f"{inside}/lib/libnccl.so.2", "bin/hansa", "share/man/man1/hansa.1", "share/doc/hansa/LICENSE",
                   "share/doc/hansa/copyright", "share/doc/hansa/docs/install.md"):
        expect(wanted in names, f"{wanted} is not installed:\n" + "\n".join(names))
    stray = [name for name in names if re.search(r"(^|/)(nccl\.h|libnccl\.so.*)$", name) and not name.startswith(inside + "/")]
    expect(not stray, f"{stray} lie where others' files of these names are found")
    size = os.path.getsize(os.path.join(home, "lib", "libnccl.so.2"))
    expect(size < MOST_BYTES, f"the stripped library has {size} bytes")
    print(f"{len(names)} files; the stripped library has {size} bytes, the command {os.path.getsize(os.path.join(tree, 'bin', 'hansa'))}")


def compile_sum(compiler, into, flags):
    run(compiler, "-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", SOURCE, "-o", into, *flags, "-ldl", env=clean_environment())


def by_cmake(tree, home, compiler, folder):
    build = os.path.join(folder, "by-cmake")
    run("cmake", "-S", CONSUMER, "-B", build, "-G", "Ninja", f"-DCMAKE_C_COMPILER={compiler}", f"-DCMAKE_PREFIX_PATH={tree}",
        env=clean_environment())
    run("cmake", "--build", build, env=clean_environment())
    check_sum(run(os.path.join(build, "sum"), env=clean_environment()), home, "find_package")
    run("cmake", f"-DFOLDER={os.path.dirname(home)}/cmake/hansa", "-P", os.path.join(CONSUMER, "versions.cmake"), env=clean_environment())


def by_pkg_config(libraries, home, compiler, folder):
    environment = clean_environment(PKG_CONFIG_PATH=os.path.join(libraries, "pkgconfig"))
    # Split as a shell does: the tree's path has a space, which pkg-config escapes.
    flags = subprocess.run(["sh", "-c", 'eval "set -- $(pkg-config --cflags --libs hansa)"; printf "%s\\n" "$@"'], env=environment,
                           check=True, capture_output=True, text=True).stdout.splitlines()
    program = os.path.join(folder, "by-pkg-config")
    run_path = os.path.realpath(run("pkg-config", "--variable=libdir", "hansa", env=environment).strip().replace("\\ ", " "))
    compile_sum(compiler, program, [*flags, f"-Wl,-rpath,{run_path}"])
    check_sum(run(program, env=clean_environment()), home, "pkg-config hansa")
    with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as lists:
        version = re.search(r"project\(hansa VERSION (\S+)", lists.read())[1]
    expect(run("pkg-config", "--modversion", "hansa", env=environment).strip() == version, "hansa.pc has another version")
    numbers = [int(part) for part in version.split(".")]
    shown = run(program, env=clean_environment())
    expect(f"hansa {numbers[0] * 10000 + numbers[1] * 100 + numbers[2]}," in shown, f"project {version}, but {shown}")


def as_nccl_home(home, compiler, folder):
    program = os.path.join(folder, "by-nccl-home")
    compile_sum(compiler, program, ["-I", f"{home}/include", "-L", f"{home}/lib", "-lnccl"])
    check_sum(run(program, env=clean_environment(LD_LIBRARY_PATH=f"{home}/lib")), home, "NCCL_HOME")
    version = run("pkg-config", "--modversion", "nccl", env=clean_environment(PKG_CONFIG_PATH=f"{home}/lib/pkgconfig")).strip()
    soname, full = os.path.join(home, "lib", "libnccl.so.2"), f"{home}/lib/libnccl.so.{version}"
    expect(os.path.realpath(soname) == os.path.realpath(full), f"nccl.pc says {version}, but {soname} is {os.path.realpath(soname)}")


def main():
    build, compiler = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        first, tree = install(build, folder)
        names, libraries = entries(tree), library_folder(tree)
        home = os.path.join(libraries, "hansa")
        check_layout(tree, home, names)
        check_contents(tree, names, [first, os.path.realpath(build), ROOT])
        by_cmake(tree, home, compiler, folder)
        by_pkg_config(libraries, home, compiler, folder)
        as_nccl_home(home, compiler, folder)
        demo = run(os.path.join(tree, "bin", "hansa"), "demo", "--ranks", "2", "--sizes", "4096", "--iterations", "1", env=clean_environment())
        expect("Out of bounds values : 0 OK" in demo, demo)
        print("built and ran by find_package, pkg-config and NCCL_HOME")


if __name__ == "__main__":
    main()
