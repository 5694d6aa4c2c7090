"""What docs/install.md says of choosing the library holds for this machine's loader: stand-ins play a wheel's library, a framework
linked with it by RPATH, and one that opens it at run time. loading.py PATH_OF_LIBNCCL C_COMPILER"""
import os
import sys
import tempfile

from tree import clean_environment, expect, run

WHEEL = 'int ncclGetVersion(int* version) { *version = 1; return 0; }\n'
# What a framework does: asks the library that it is linked with.
LINKED = '#include <stdio.h>\nint ncclGetVersion(int*);\nint main(void) { int v = 0; ncclGetVersion(&v); printf("%s", v == 1 ? "wheel" : "hansa"); return 0; }\n'
# As XLA after JAX's plugin: the wheel's file by its path first, then a library by name.
OPENING = """#include <dlfcn.h>
#include <stdio.h>
int main(int count, char** arguments) {
  if (count > 1 && dlopen(arguments[1], RTLD_NOW) == NULL) return 1;
  void* library = dlopen("libnccl.so.2", RTLD_NOW);
  if (library == NULL) return 2;
  printf("%s", dlsym(library, "hansaVersion") ? "hansa" : "wheel");
  return 0;
}
"""


def main():
    hansa, compiler = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        wheel, linked, opening = os.path.join(folder, "wheel"), os.path.join(folder, "linked"), os.path.join(folder, "opening")
        os.mkdir(wheel)
        library = os.path.join(wheel, "libnccl.so.2")
        for name, text in (("wheel.c", WHEEL), ("linked.c", LINKED), ("opening.c", OPENING)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        run(compiler, "-shared", "-fPIC", "-Wl,-soname,libnccl.so.2", f"{folder}/wheel.c", "-o", library)
        run(compiler, f"{folder}/linked.c", library, "-Wl,--disable-new-dtags,-rpath,$ORIGIN/wheel", "-o", linked)
        run(compiler, f"{folder}/opening.c", "-ldl", "-o", opening)
        path, preload = {"LD_LIBRARY_PATH": os.path.dirname(hansa)}, {"LD_PRELOAD": hansa}
        cases = [
            ("an RPATH leads to the wheel's", [linked], {}, "wheel"),
            ("LD_LIBRARY_PATH does not change that", [linked], path, "wheel"),
            ("LD_PRELOAD does", [linked], preload, "hansa"),
            ("who opens by name follows LD_LIBRARY_PATH", [opening], path, "hansa"),
            ("but not after the wheel's was opened by its path", [opening, library], path, "wheel"),
            ("LD_PRELOAD comes before that, too", [opening, library], preload, "hansa"),
        ]
        for what, command, environment, expected in cases:
            loaded = run(*command, env=clean_environment(**environment))
            expect(loaded == expected, f"{what}: {loaded}")
        os.remove(library)
        os.symlink(hansa, library)
        expect(run(linked, env=clean_environment()) == "hansa", "the wheel's file replaced by a link: the framework has Hansa")
        print(f"{len(cases) + 1} ways to choose a library are as documented")


if __name__ == "__main__":
    main()
