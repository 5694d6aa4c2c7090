"""The README's first program compiles and runs as the README says. Takes the C compiler and the library's folder."""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXPECTED = ["rank 0: 2 20 200", "rank 1: 2 20 200"]


def main():
    compiler, library = sys.argv[1:3]
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as readme:
        program = re.search(r"```c\n(.*?)```", readme.read(), re.S)[1]
    with tempfile.TemporaryDirectory() as folder:
        source, binary = os.path.join(folder, "first.c"), os.path.join(folder, "first")
        with open(source, "w", encoding="utf-8") as file:
            file.write(program)
        subprocess.run([compiler, "-std=c99", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", source, "-I", os.path.join(ROOT, "include"),
                        "-L", library, f"-Wl,-rpath,{library}", "-lnccl", "-o", binary], check=True)
        output = subprocess.run([binary], check=True, stdout=subprocess.PIPE, text=True).stdout
    print(output, end="")
    if sorted(output.splitlines()) != EXPECTED:
        sys.exit(f"expected {EXPECTED}")


if __name__ == "__main__":
    main()
