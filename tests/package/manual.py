"""The manual page names every command that `hansa --help` names, and no other, and its markup is clean. manual.py PATH_OF_HANSA"""
import os
import re
import shutil
import subprocess
import sys

from tree import ROOT, expect, run

PAGE = os.path.join(ROOT, "docs", "man", "hansa.1")


def commands(hansa, *path):
    """Every command that does something, as its words: ["demo"], ["schedule", "show"], ..."""
    listed = run(hansa, *path, "--help").partition("\nSubcommands:\n")[2]
    names = re.findall(r"^  ([\w-]+)", listed, re.M)
    return [command for name in names for command in commands(hansa, *path, name)] if names else [" ".join(path)]


def main():
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    section = page.partition("\n.Sh COMMANDS\n")[2].partition("\n.Sh ")[0]
    described = sorted(item.partition(" Ar ")[0] for item in re.findall(r"^\.It Cm (.+)$", section, re.M))
    offered = sorted(commands(sys.argv[1]))
    expect(described == offered, f"docs/man/hansa.1 describes {described}, hansa --help offers {offered}")
    expect(shutil.which("groff") is not None, "groff is not installed")
    shown = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", PAGE], capture_output=True, text=True, check=True)
    expect(shown.stderr == "", f"groff complains of docs/man/hansa.1: {shown.stderr}")
    print(f"{len(offered)} commands: {', '.join(offered)}")


if __name__ == "__main__":
    main()
