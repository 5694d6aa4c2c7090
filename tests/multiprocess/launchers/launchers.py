"""Jobs started by real launchers: launchers.py PROGRAM LAUNCHER [MPIEXEC]

Every rank of a job prints who it is by its launcher and what the allreduce gave; here the lines of all ranks are compared
with what they must be.
"""
import os
import socket
import subprocess
import sys
import tempfile
import time

from tcp_store import TcpStore

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "cluster"))
from launched import check_ranks, environment  # noqa: E402

PROGRAM, LAUNCHER, MPIEXEC = sys.argv[1], sys.argv[2], sys.argv[3:]
PATIENCE = 90


def check(output, ranks, name):
    check_ranks(output, ["here"] * ranks, name)
    print(f"{name}: {ranks} ranks")


def run(command):
    result = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=PATIENCE)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {result.returncode}\n{result.stdout}")
    return result.stdout


def start(environments):
    """A process for each; their output, once all have ended well."""
    processes = [subprocess.Popen([PROGRAM], env=environment(**one), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                 for one in environments]
    output, deadline = "", time.monotonic() + PATIENCE
    try:
        for process in processes:
            output += process.communicate(timeout=max(1, deadline - time.monotonic()))[0]
    finally:
        for process in processes:
            process.kill()
    if any(process.returncode != 0 for process in processes):
        sys.exit(f"exit statuses {[process.returncode for process in processes]}\n{output}")
    return output


def torch_variables(rank, ranks, port, **more):
    return dict(RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(ranks), MASTER_ADDR="localhost",
                MASTER_PORT=str(port), **more)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def absent(command, rank_variable, name):
    """Rank 1 never asks for anything: the others must say so, and end."""
    script = f'[ "${rank_variable}" = 1 ] && exec sleep 60; exec "{PROGRAM}" 1'
    result = subprocess.run([*command, "sh", "-c", script], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, timeout=50)
    if result.returncode == 0 or "in time; look for ranks that have not started" not in result.stdout:
        sys.exit(f"{name} without rank 1: exit status {result.returncode}\n{result.stdout}")
    print(f"{name}: absent rank reported")


def pmi1():
    for ranks in (1, 3):
        check(run([*MPIEXEC, "-n", str(ranks), PROGRAM]), ranks, "PMI-1")
    absent([*MPIEXEC, "-n", "2"], "PMI_RANK", "PMI-1")


def pmi2():
    """The same mpiexec speaks it, too; what asks for it is the variable that Slurm sets."""
    check(run([*MPIEXEC, "-env", "PMI_JOBID", "1.0", "-n", "3", PROGRAM]), 3, "PMI-2")


def pmix():
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = folder
        command = [*MPIEXEC, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]
        for ranks in (1, 3):
            check(run([*command, "-n", str(ranks), PROGRAM]), ranks, "PMIx")
        absent([*command, "-n", "2"], "PMIX_RANK", "PMIx")
        if left := os.listdir(folder):
            sys.exit(f"left behind: {left}")


def master_addr():
    port = free_port()
    check(start([torch_variables(rank, 3, port) for rank in range(3)]), 3, "MASTER_ADDR")


def store():
    """What torchrun sets for its workers, and a store like its agent's. Rank 0 comes last, so that the others wait in it."""
    tcp_store = TcpStore()
    agent = dict(TORCHELASTIC_USE_AGENT_STORE="True", TORCHELASTIC_RUN_ID="run", TORCHELASTIC_RESTART_COUNT="0")
    stranger = socket.create_connection(("127.0.0.1", tcp_store.port))
    stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
    check(start([torch_variables(rank, 3, tcp_store.port, **agent) for rank in (2, 1, 0)]), 3, "torchrun")
    stranger.close()
    if tcp_store.values or tcp_store.complaints:
        sys.exit(f"left in the store: {list(tcp_store.values)}; {tcp_store.complaints}")


def main():
    {"pmi1": pmi1, "pmi2": pmi2, "pmix": pmix, "master_addr": master_addr, "store": store}[LAUNCHER]()


main()
