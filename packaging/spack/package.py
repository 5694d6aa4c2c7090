"""Spack's recipe for Hansa. docs/install.md says how a site uses it."""

import os
import re

from spack_repo.builtin.build_systems.cmake import CMakePackage

from spack.package import *


class Hansa(CMakePackage):
    """Collective communication for AI clusters, in place of NCCL: a libnccl.so.2 on which programs built for NCCL run
    unchanged, over shared memory and libfabric."""

    # The recipe is part of the archive it builds, so it cannot hold that archive's checksum: `spack develop` takes a
    # checkout, `spack install --no-checksum` an archive in the current folder or a mirror.
    url = f"file://{os.getcwd()}/hansa-0.1.0.tar.gz"
    manual_download = True

    executables = ["^hansa$"]
    sanity_check_is_file = ["bin/hansa", "lib/hansa/include/nccl.h", "lib/hansa/lib/libnccl.so.2"]

    license("BSD-3-Clause")

    version("0.1.0")

    variant("libfabric", default=True, description="Reach other hosts over this Spack's libfabric")

    generator("ninja")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("cli11@2.3:", type="build")
    depends_on("fmt@9:", type="build")
    depends_on("highway@1.0.3:", type="build")
    depends_on("libsodium@1.0.18:", type="build")
    depends_on("nlohmann-json@3.11.2:", type="build")
    # Loaded at run time, so that one build serves hosts with and without it. The link type is for the run path, which
    # leads the library to this Spack's copy.
    depends_on("libfabric@1.17:", when="+libfabric")
    depends_on("libfabric@1.17:", type="build", when="~libfabric")

    requires("%gcc@12:", "%clang@14:", policy="one_of", msg="Hansa is written in C++20")
    requires("platform=linux", msg="Hansa uses Linux's memfd, pidfd and epoll")

    @classmethod
    def determine_version(cls, exe):
        output = Executable(exe)("--version", output=str, error=str)
        match = re.search(r"hansa (\d+\.\d+\.\d+)", output)
        return match.group(1) if match else None

    @property
    def home(self):
        """What builds take as NCCL_HOME."""
        return self.prefix.lib.hansa

    @property
    def headers(self):
        return HeaderList([self.home.include.join("nccl.h")])

    @property
    def libs(self):
        return find_libraries("libnccl", root=self.home.lib, shared=True)

    def cmake_args(self):
        return [
            self.define("CMAKE_INSTALL_LIBDIR", "lib"),
            self.define("HANSA_TESTS", False),
            self.define("HANSA_BENCH", False),
        ]

    # Who loads the module wants Hansa where NCCL would be.
    def setup_run_environment(self, env: EnvironmentModifications) -> None:
        env.prepend_path("LD_LIBRARY_PATH", self.home.lib)
        env.set("NCCL_HOME", self.home)

    def setup_dependent_build_environment(
        self, env: EnvironmentModifications, dependent_spec: Spec
    ) -> None:
        env.set("NCCL_HOME", self.home)
