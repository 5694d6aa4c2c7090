"""nccl.h in all its dresses, and beside NVIDIA's: as C99 and C++, with and without CUDA's headers, before and after them, as every
version; the same names, values and layouts as NVIDIA's of the same version; and NVIDIA's own, compiled and linked against this library,
runs. Takes the C and C++ compilers, the library, and a folder to keep what is fetched."""
import os
import re
import subprocess
import sys
import tempfile

import nvidia

OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "include")
VERSIONS = (None, 22707, 22803, 22902, 22907, 23003, 23005, 23007, 23102, 23203)
SIZES = {22707: 72, 22803: 80, 22902: 88, 22907: 88, 23003: 96, 23005: 96, 23007: 96, 23102: 112, 23203: 120}
NEWEST = 23203

# Two ranks, driven by one thread.
PROGRAM = """
#include <stdio.h>
int main(void) {
  ncclComm_t comms[2];
  int values[2] = {1, 41}, version = 0;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  ncclUniqueId id;
  config.blocking = 1;
  if (ncclGetVersion(&version) || ncclGetUniqueId(&id) || ncclGroupStart()) return 1;
  for (int i = 0; i < 2; ++i)
    if (ncclCommInitRankConfig(&comms[i], 2, id, i, &config)) return 2;
  if (ncclGroupEnd() || ncclGroupStart()) return 3;
  for (int i = 0; i < 2; ++i)
    if (ncclAllReduce(&values[i], &values[i], 1, ncclInt, ncclSum, comms[i], NULL)) return 4;
  if (ncclGroupEnd()) return 5;
  printf("%d %d %d\\n", version, values[0], values[1]);
  for (int i = 0; i < 2; ++i) ncclCommDestroy(comms[i]);
  return 0;
}
"""


class Compilers:
    def __init__(self, c, cxx, library, folder):
        self.languages = {"C99": [c, "-std=c99", "-x", "c"], "C++11": [cxx, "-std=c++11", "-x", "c++"], "C++20": [cxx, "-std=c++20", "-x", "c++"]}
        self.library, self.folder = library, folder

    def compile(self, language, text, *options, link=False):
        source, binary = os.path.join(self.folder, "source"), os.path.join(self.folder, "binary")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        command = [*self.languages[language], "-Wall", "-Wextra", "-Werror", *options, source]
        if link:
            libraries = os.path.dirname(self.library)
            command += ["-x", "none", "-o", binary, self.library, f"-Wl,-rpath,{libraries}"]
        else:
            command += ["-fsyntax-only"]
        got = subprocess.run(command, capture_output=True, text=True)
        if got.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{text}\n{got.stderr[:3000]}")
        return subprocess.run([binary], check=True, stdout=subprocess.PIPE, text=True).stdout if link else ""


def compile_everywhere(compilers, cuda):
    program = "int main(void) { ncclConfig_t config = NCCL_CONFIG_INITIALIZER; return config.size != %d; }\n"
    count = 0
    for language in compilers.languages:
        for version in VERSIONS if language == "C99" else (None, NEWEST):
            text = program % SIZES[version or 22707]
            options = ["-I", OURS] + ([f"-DHANSA_NCCL_API={version}"] if version else [])
            with_cuda = [*options, "-isystem", cuda]
            compilers.compile(language, "#include <nccl.h>\n" + text, "-pedantic", *options)
            for order in ("#include <nccl.h>\n", "#include <nccl.h>\n#include <cuda_runtime.h>\n", "#include <cuda_runtime.h>\n#include <nccl.h>\n"):
                compilers.compile(language, order + text, *with_cuda)
                count += 1
            # Without them although they are there, and they come later.
            compilers.compile(language, "#include <nccl.h>\n#include <cuda_runtime.h>\n" + text, "-DHANSA_NO_CUDA", *with_cuda)
            count += 2
    print(f"{count} ways to include nccl.h compile")


def facts(header):
    """A program that prints every number of the header: macros, enumerators, sizes and offsets."""
    plain = re.sub(r"/\*.*?\*/|//[^\n]*", "", header, flags=re.S)
    macros = sorted(set(re.findall(r"#define (NCCL_[A-Z_]+) +\(?-?[0-9]", plain)) - {"NCCL_UNDEF_FLOAT", "NCCL_H_"})
    lines = [f'  printf("{name} %lld\\n", (long long){name});' for name in macros + ["NCCL_CONFIG_UNDEF_INT", "NCCL_API_MAGIC"]]
    for body in re.findall(r"typedef enum\s*\{(.*?)\}", plain, re.S):
        for name in re.findall(r"\b(nccl\w+|NCCL_\w+)\s*=", body):
            if "dummy" not in name:
                lines.append(f'  printf("{name} %lld\\n", (long long){name});')
    for body, name in re.findall(r"typedef struct\s*\w*\s*\{((?:[^{}]|\{[^{}]*\})*)\}\s*(nccl\w+);", plain):
        lines.append(f'  printf("sizeof {name} %zu\\n", sizeof({name}));')
        body = re.sub(r"\{[^{}]*\}", "", body)
        for member in re.findall(r"(\w+)(?:\[[^\]]*\])?\s*;", body):
            lines.append(f'  printf("{name}.{member} %zu %zu\\n", offsetof({name}, {member}), sizeof((({name}*)0)->{member}));')
    return "#include <stddef.h>\n#include <stdio.h>\n#include <nccl.h>\nint main(void) {\n" + "\n".join(lines) + "\n  return 0;\n}\n"


def compare_numbers(compilers, theirs, header, cuda):
    program = facts(header)
    cuda = ["-isystem", cuda]
    wanted = compilers.compile("C99", program, "-isystem", theirs, *cuda, link=True).splitlines()
    got = compilers.compile("C99", program, "-I", OURS, f"-DHANSA_NCCL_API={NEWEST}", *cuda, link=True).splitlines()
    differ = [f"{theirs} there, {ours} here" for theirs, ours in zip(wanted, got) if theirs != ours]
    if differ or len(wanted) != len(got) or len(wanted) < 130:
        sys.exit("\n".join(differ) or f"{len(wanted)} numbers there, {len(got)} here")
    print(f"{len(got)} of {len(wanted)} values, sizes and offsets of 2.32.3 are the same")


def link_theirs(compilers, theirs, header, cuda):
    names = sorted(set(re.findall(r"\bp?nccl[A-Z]\w*(?=\s*\()", re.sub(r"/\*.*?\*/|//[^\n]*|#define[^\n]*", "", header, flags=re.S))))
    names = [name for name in names if "ResetDebugInit" not in name]
    if len(names) < 140:
        sys.exit(f"only {len(names)} functions were found in NVIDIA's header")
    table = "void (*const all[])(void) = {\n" + "".join(f"  (void (*)(void)){name},\n" for name in names) + "};\n"
    output = compilers.compile("C99", "#include <nccl.h>\n" + table + PROGRAM, "-isystem", theirs, "-isystem", cuda,
                               "-Wno-cast-function-type", link=True)
    if output != "22707 42 42\n":
        sys.exit(f"compiled with NVIDIA's header: {output}")
    print(f"{len(names)} functions of NVIDIA's header link, and its program runs")


def main():
    c, cxx, library, folder = sys.argv[1:5]
    cuda = nvidia.cuda(folder)
    theirs, _ = nvidia.nccl(folder)
    with open(os.path.join(theirs, "nccl.h"), encoding="utf-8") as file:
        header = file.read()
    with tempfile.TemporaryDirectory() as temporary:
        compilers = Compilers(c, cxx, library, temporary)
        compile_everywhere(compilers, cuda)
        compare_numbers(compilers, theirs, header, cuda)
        link_theirs(compilers, theirs, header, cuda)


if __name__ == "__main__":
    main()
