"""All C and C++ looks as clang-format writes it."""
import os
import shutil
import subprocess

from source_tree import CODE_SUFFIXES, ROOT, files, finish


def main():
    formatter = shutil.which("clang-format-14") or shutil.which("clang-format")
    if formatter is None:
        finish(["clang-format 14 is not installed"], "clang-format")
    violations = []
    for path in files(suffixes=CODE_SUFFIXES):
        result = subprocess.run([formatter, "--dry-run", "-Werror", "--ferror-limit=1", os.path.join(ROOT, path)],
                                capture_output=True, text=True)
        if result.returncode:
            violations.append(f"{path}: run clang-format -i on it")
    finish(violations, "all C and C++ looks as clang-format writes it")


if __name__ == "__main__":
    main()
