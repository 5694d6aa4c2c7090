"""The Debian packages: what they hold and need; then, in a root file system of their own, installed by apt, used, removed, and
nothing left. debian.py BUILD_FOLDER

The root file system is this machine's under an overlay in memory, within a mount namespace: it ends with the process. This test
says why it is skipped where that cannot be had; a package that cannot be built or has wrong contents fails it anywhere.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

from tree import HERE, ROOT, expect, fail, run

PACKAGES = ("libhansa-nccl2", "libhansa-nccl-dev", "hansa-tools")
# Where each may put files, beside its own folder of documentation.
PLACES = {
    "libhansa-nccl2": r"usr/lib/([\w-]+/)?hansa/lib/libnccl\.so\.2(\.\d+\.\d+)?",
    "libhansa-nccl-dev": r"usr/lib/([\w-]+/)?(hansa/(include/.+\.h|lib/libnccl\.so|lib/pkgconfig/nccl\.pc)|"
                         r"cmake/hansa/hansa[\w-]+\.cmake|pkgconfig/hansa\.pc)",
    "hansa-tools": r"usr/(bin/hansa|lib/([\w-]+/)?hansa/bin/\w+|share/man/man1/\w+\.1\.gz|share/doc/hansa/.+\.(md|svg))",
}
# What a run of dpkg, apt and the loader keeps for itself.
BOOKKEEPING = ("etc/ld.so.cache",)


def field(package, name):
    return run("dpkg-deb", "--field", package, name).strip()


def contents(package):
    """{path: mode and owner as `ls -l` shows them} of the package's files and links."""
    lines = [line.split(maxsplit=5) for line in run("dpkg-deb", "--contents", package).splitlines()]
    return {line[5].split(" -> ")[0].removeprefix("./"): (line[0], line[1]) for line in lines if not line[0].startswith("d")}


def check_package(name, path):
    found = contents(path)
    strange = [file for file in found if not re.fullmatch(f"{PLACES[name]}|usr/share/doc/{name}/(copyright|changelog.Debian.gz)", file)]
    expect(not strange, f"{name} holds {strange}")
    for file in ("copyright", "changelog.Debian.gz"):
        expect(f"usr/share/doc/{name}/{file}" in found, f"{name} has no {file}")
    wrong = [file for file, (mode, owner) in found.items()
             if owner != "root/root" or (mode[0] != "l" and mode != ("-rwxr-xr-x" if "/bin/" in file else "-rw-r--r--"))]
    expect(not wrong, f"{name}: owner or mode of {[(file, found[file]) for file in wrong]}")
    needs = [need.split()[0] for need in field(path, "Depends").split(", ")]
    expect(needs == (["libhansa-nccl2"] if name.endswith("-dev") else ["libc6"]), f"{name} depends on {needs}")
    for relation in ("Conflicts", "Replaces", "Provides", "Breaks", "Pre-Depends"):
        expect(field(path, relation) == "", f"{name} {relation}")
    if name == "libhansa-nccl2":
        shlibs = run("dpkg-deb", "--info", path, "shlibs").split()
        expect(shlibs[:3] == ["libnccl", "2", name], f"shlibs say {shlibs}")
    print(f"{os.path.basename(path)}: {len(found)} files, {os.path.getsize(path)} bytes; {field(path, 'Depends')}")


def build_packages(build, folder):
    run("cpack", "--config", os.path.join(build, "CPackConfig.cmake"), "-G", "DEB", "-B", folder)
    written = run("dpkg-parsechangelog", "-l", os.path.join(ROOT, "packaging/debian/changelog"), "-S", "Version").strip()
    paths = {}
    for name in PACKAGES:
        found = glob.glob(os.path.join(folder, f"{name}_*.deb"))
        expect(len(found) == 1, f"one package {name} is expected: {found}")
        paths[name] = found[0]
        expect(field(found[0], "Version") == written, f"{found[0]} and packaging/debian/changelog ({written}) differ")
        check_package(name, found[0])
    return paths


def check_left(upper, files):
    """In the overlay's upper folder: nothing of ours, and nothing else made, changed or deleted but books kept."""
    left = []
    for where, below, names in os.walk(upper):
        for name in names + below:
            path = os.path.relpath(os.path.join(where, name), upper)
            if "hansa" in name and not path.startswith(("var/log/", "tmp/")):
                left.append(path)
            elif name in names and path.startswith(("usr/", "etc/", "opt/")) and path not in BOOKKEEPING:
                left.append(path)
    expect(not left, f"left behind: {left}")
    expect(not [file for file in files if os.path.lexists(os.path.join(upper, file))], "files of the packages are left")


def in_namespace(folder):
    """What runs in namespaces of its own: arguments as main() passes them. Status 77 and a reason: it cannot be done here."""
    root, upper = os.path.join(folder, "root"), os.path.join(folder, "memory", "upper")
    mounts = [["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", f"{folder}/memory"],
              ["mkdir", upper, f"{folder}/memory/work"],
              ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={folder}/memory/work", root],
              ["mount", "-t", "proc", "proc", f"{root}/proc"],
              ["mount", "--rbind", "/dev", f"{root}/dev"],
              ["chroot", root, "/bin/true"]]
    for command in mounts:
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            print(f"{' '.join(command)}: {result.stderr.strip()}")
            sys.exit(77)
    inside = os.path.join(root, "tmp", "packages")
    os.mkdir(inside)
    debs = glob.glob(os.path.join(folder, "*.deb"))
    files = [file for deb in debs for file in contents(deb)]
    run("cp", *debs, os.path.join(HERE, "consumer", "sum.c"), inside)
    print(run("chroot", root, "/bin/sh", "-euc", INSIDE, env={
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "PACKAGES": " ".join(PACKAGES)}))
    run("rm", "-r", inside)
    check_left(upper, files)


# Nothing is fetched: apt has no sources. The machine's manual pages are not indexed anew. Documentation that the machine's own dpkg leaves out is wanted here.
INSIDE = r"""
cd /tmp/packages
rm -f /var/lib/man-db/auto-update
all="-o Dpkg::Options::=--force-unsafe-io -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=/dev/null -o Dpkg::Options::=--path-include=/usr/share/doc/* -o Dpkg::Options::=--path-include=/usr/share/man/*"
apt-get install -y -qq --no-install-recommends $all $PWD/*.deb >apt.log 2>&1 || { cat apt.log; exit 1; }
dpkg --verify $PACKAGES
if ldconfig -p | grep -q /hansa/; then echo "the loader's cache knows our folder"; exit 1; fi
cc -std=c99 -D_GNU_SOURCE -Wall -Werror sum.c $(pkg-config --cflags --libs hansa) -ldl \
  -Wl,-rpath,$(realpath $(pkg-config --variable=libdir hansa)) -o sum
./sum | tee sum.log
grep -q 'rank 1: 3 30 -10' sum.log
grep -Eq '^library /usr/lib/([^/]*/)?hansa/lib/libnccl.so.2' sum.log
hansa demo --ranks 2 --sizes 8,4096 --iterations 1 | grep 'Out of bounds values : 0 OK'
man -w hansa >/dev/null 2>&1 || test -e /usr/share/man/man1/hansa.1.gz
apt-get purge -y -qq $all $PACKAGES >apt.log 2>&1 || { cat apt.log; exit 1; }
"""


def main():
    if sys.argv[1] == "--inside":
        in_namespace(sys.argv[2])
        return
    with tempfile.TemporaryDirectory() as folder:
        build_packages(sys.argv[1], folder)
        if os.geteuid() != 0:
            print("[  SKIPPED ] installing them needs root")
            return
        os.mkdir(os.path.join(folder, "root"))
        os.mkdir(os.path.join(folder, "memory"))
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", sys.executable, "-B", __file__, "--inside", folder]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(result.stdout, end="")
        if result.returncode == 77 or "unshare failed" in result.stdout:
            print("[  SKIPPED ] an overlay of the root file system cannot be mounted here")
        elif result.returncode:
            fail(f"status {result.returncode}")


if __name__ == "__main__":
    main()
