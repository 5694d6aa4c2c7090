"""The recipes for Spack and EasyBuild: they are read as their tools read them, and what they say agrees with the project: version,
options, libraries, and the files they look for after an installation. recipes.py BUILD_FOLDER

Neither tool is here, so stand-ins record what the recipes ask of them; an unknown name fails, as it would there.
"""
import glob
import os
import re
import sys
import tempfile
import types

from tree import ROOT, entries, expect, install, run

# The libraries that scripts/common.sh installs for a build, and what the recipes call them. Tools are the build systems' own.
LIBRARIES = {"libfmt-dev": ("fmt", "fmt"), "libsodium-dev": ("libsodium", "libsodium"), "libhwy-dev": ("highway", "Highway"),
             "libfabric-dev": ("libfabric", "libfabric"), "libcli11-dev": ("cli11", "CLI11"),
             "nlohmann-json3-dev": ("nlohmann-json", "nlohmann_json")}
TOOLS = {"cmake", "ninja-build", "g++", "pkg-config", "python3", "libgtest-dev", "libbenchmark-dev"}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def project_version():
    return re.search(r"project\(hansa VERSION (\S+)", read("CMakeLists.txt"))[1]


def wanted_libraries(column):
    packages = re.search(r"build_packages=\((.*?)\)", read("scripts/common.sh"), re.S)[1].split()
    unknown = set(packages) - set(LIBRARIES) - TOOLS
    expect(not unknown, f"scripts/common.sh installs {unknown}, which the recipes in packaging/ and this test do not know")
    return {LIBRARIES[package][column] for package in packages if package in LIBRARIES}


def check_options(name, arguments):
    options = [re.fullmatch(r"-D(\w+)=(\w+)", argument) for argument in arguments]
    expect(all(options), f"{name}: not all of {arguments} set an option")
    declared = set(re.findall(r"^option\((\w+)", read("CMakeLists.txt"), re.M)) | {"CMAKE_INSTALL_LIBDIR"}
    strange = [match[1] for match in options if match[1] not in declared]
    expect(not strange, f"{name} sets {strange}, which CMakeLists.txt does not declare")
    expect({"HANSA_TESTS", "HANSA_BENCH"} <= {match[1] for match in options}, f"{name} builds tests")


class Prefix(str):
    """A path whose attributes are the paths below it, as Spack's."""

    def __getattr__(self, name):
        return Prefix(f"{self}/{name}")

    def join(self, name):
        return Prefix(f"{self}/{name}")


class Changes(dict):
    """What a recipe does to an environment."""

    def set(self, name, value):
        self[name] = value

    def prepend_path(self, name, value):
        self[name] = value


class CMakePackage:
    """What Spack's class of this name offers to a recipe."""

    prefix = Prefix("PREFIX")

    def define(self, name, value):
        return f"-D{name}={'ON' if value is True else 'OFF' if value is False else value}"


def spack_names(said, hansa):
    """The names that `from spack.package import *` and the build system bring, each directive noting how it was called."""

    def directive(name):
        return lambda *positional, **named: said.setdefault(name, []).append((positional, named))

    names = {name: directive(name) for name in ("license", "version", "variant", "depends_on", "requires", "generator")}
    names["HeaderList"] = names["find_libraries"] = lambda found, **_: found
    names["Executable"] = lambda _: lambda *arguments, **__: run(hansa, *arguments)
    names["EnvironmentModifications"] = names["Spec"] = object
    return names


def load_spack(said, hansa):
    modules = {"spack": {}, "spack.package": spack_names(said, hansa), "spack_repo": {}, "spack_repo.builtin": {},
               "spack_repo.builtin.build_systems": {}, "spack_repo.builtin.build_systems.cmake": {"CMakePackage": CMakePackage}}
    for name, content in modules.items():
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(content)
    recipe = {}
    exec(compile(read("packaging/spack/package.py"), "packaging/spack/package.py", "exec"), recipe)  # as Spack does
    return recipe["Hansa"]


def check_spack(installed, program):
    said = {}
    package = load_spack(said, program)
    expect(issubclass(package, CMakePackage) and (package.__doc__ or "").endswith("."), "Hansa is a CMakePackage with a description")
    versions = [positional[0] for positional, _ in said["version"]]
    expect(versions == [project_version()], f"Spack's recipe knows {versions}, the project is {project_version()}")
    expect(f"hansa-{project_version()}.tar.gz" in package.url, f"{package.url} is another version's")
    depends = {re.match(r"[\w-]+", positional[0])[0] for positional, _ in said["depends_on"]}
    expect(depends == wanted_libraries(0) | {"c", "cxx", "cmake"}, f"Spack's recipe depends on {sorted(depends)}")
    variants = {positional[0] for positional, _ in said["variant"]}
    asked = {name for _, named in said["depends_on"] for name in re.findall(r"[+~](\w+)", named.get("when", ""))}
    expect(variants == asked, f"variants {variants}, conditions on {asked}")
    hansa = package()
    check_options("Spack's recipe", hansa.cmake_args())
    expect("-DCMAKE_INSTALL_LIBDIR=lib" in hansa.cmake_args(), "the folders below count on lib")
    run, build = Changes(), Changes()
    hansa.setup_run_environment(run)
    hansa.setup_dependent_build_environment(build, None)
    expect(run == {"LD_LIBRARY_PATH": "PREFIX/lib/hansa/lib", "NCCL_HOME": "PREFIX/lib/hansa"}, f"it sets {run}")
    expect(build == {"NCCL_HOME": run["NCCL_HOME"]}, f"for those who depend on it, it sets {build}")
    expect(package.determine_version("hansa") == project_version(), "it does not find the version of an installed hansa")
    files = package.sanity_check_is_file + [str(header).removeprefix("PREFIX/") for header in hansa.headers]
    expect(set(files) <= set(installed), f"Spack looks for {set(files) - set(installed)}, which are not installed")
    print(f"packaging/spack/package.py: {sorted(depends)}")


def check_easybuild(installed):
    paths = glob.glob(os.path.join(ROOT, "packaging", "easybuild", "*.eb"))
    expect(paths, "no easyconfig")
    for path in paths:
        recipe = {"SOURCELOWER_TAR_GZ": "%(namelower)s-%(version)s.tar.gz", "SHLIB_EXT": "so", "SYSTEM": {"name": "system", "version": ""}}
        before = set(recipe)
        exec(compile(read(os.path.relpath(path, ROOT)), path, "exec"), recipe)  # as EasyBuild does
        given = set(recipe) - before - {"__builtins__"}
        known = {"easyblock", "name", "version", "homepage", "description", "toolchain", "sources", "checksums", "builddependencies",
                 "dependencies", "configopts", "modextrapaths", "modextravars", "sanity_check_paths", "sanity_check_commands",
                 "moduleclass"}
        expect(given == known, f"{path}: parameters missing or unknown: {given ^ known}")
        expect(recipe["version"] == project_version(), f"{path} is for {recipe['version']}, the project is {project_version()}")
        toolchain = recipe["toolchain"]
        proper = f"{recipe['name']}-{recipe['version']}-{toolchain['name']}-{toolchain['version']}.eb"
        expect(os.path.basename(path) == proper, f"{path} is to be called {proper}")
        depends = {name for name, *_ in recipe["builddependencies"] + recipe["dependencies"]}
        expect(depends == wanted_libraries(1) | {"binutils", "CMake", "Ninja"}, f"{path} depends on {sorted(depends)}")
        check_options(path, recipe["configopts"].split())
        expect(len(recipe["checksums"]) == len(recipe["sources"]), f"{path}: a checksum for each source")
        files, folders = recipe["sanity_check_paths"]["files"], recipe["sanity_check_paths"]["dirs"]
        folders = folders + [recipe["modextrapaths"]["LD_LIBRARY_PATH"], recipe["modextravars"]["NCCL_HOME"].removeprefix("%(installdir)s/")]
        missing = set(files) - set(installed) | {folder for folder in folders if not any(name.startswith(folder + "/") for name in installed)}
        expect(not missing, f"{path} looks for {missing}, which are not installed")
        expect(all(command.startswith("hansa ") for command in recipe["sanity_check_commands"]), "a check of something else")
        print(f"{os.path.relpath(path, ROOT)}: {sorted(depends)}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        _, tree = install(sys.argv[1], folder)
        # Both tools have the libraries put into lib, whatever the machine's custom.
        installed = [re.sub(r"^lib(64|/[\w]+-linux-gnu)/", "lib/", name) for name in entries(tree)]
        check_spack(installed, os.path.join(tree, "bin", "hansa"))
        check_easybuild(installed)


if __name__ == "__main__":
    main()
