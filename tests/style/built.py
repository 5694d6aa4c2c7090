"""A test that is not built protects nothing: every *_test.cc is in the build. Takes the build folder."""
import json
import os
import sys

from source_tree import ROOT, files, finish


def main():
    with open(os.path.join(sys.argv[1], "compile_commands.json"), encoding="utf-8") as commands:
        compiled = {os.path.relpath(entry["file"], ROOT) for entry in json.load(commands)}
    tests = files(("tests",), ("_test.cc", "_test.c"))
    finish([f"{path} is in no CMakeLists.txt" for path in tests if path not in compiled],
           "every *_test.cc is built")


if __name__ == "__main__":
    main()
