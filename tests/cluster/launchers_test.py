"""Programs on two hosts, started as users start them: launchers_test.py LAUNCHER HANSA LAUNCHED_RANK COMM_ID_RANK TORCHRUN_FOLDER"""
import os
import shutil
import subprocess
import sys
import tempfile

from cluster import Cluster, Unavailable
from launched import AT_COMM_ID, BENCH, check, check_bench, check_ranks, check_sums, environment, timed
from remote_shell import RemoteShell
import torchrun_wheel  # beside bench_parsers, whose folder `launched` makes known

LAUNCHER, HANSA, LAUNCHED_RANK, COMM_ID_RANK, TORCHRUN_FOLDER = sys.argv[1:6]
SSH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "remote_shell.py")
BLOCKS, IN_TURN = ["h0", "h0", "h1", "h1"], ["h0", "h1", "h0", "h1"]
OWN = environment(TMPDIR="/dev/shm", OMP_NUM_THREADS="1")  # what launchers leave there ends with the host
OMPI_NUMBERS = ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"]
PATIENCE = 90


def find(program, package):
    found = shutil.which(program)
    if not found:
        print(f"[  SKIPPED ] {program} is not installed (package {package})")
        sys.exit(0)
    return found


def run_by_ssh(cluster, *command):
    """What a launcher prints that starts its daemons on other hosts by remote_shell.py."""
    with RemoteShell(cluster, OWN) as shell, tempfile.TemporaryFile("w+") as output:
        launcher = cluster.hosts[0].start(command, env=OWN, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            shell.serve(launcher, PATIENCE)
        except subprocess.TimeoutExpired:
            launcher.kill()
        output.seek(0)
        printed = output.read()
    check(launcher.wait() == 0, f"{' '.join(command)}: exit status {launcher.returncode}", printed)
    return printed


def mpich(cluster):
    mpiexec = [find("mpiexec.mpich", "mpich"), "-launcher", "ssh", "-launcher-exec", SSH, "-iface", "eth0", "-hosts", "h0,h1", "-n", "4"]
    for place, hosts in (("2", BLOCKS), ("1", IN_TURN)):
        check_bench(run_by_ssh(cluster, *mpiexec, "-ppn", place, HANSA, *BENCH), hosts)
        check_ranks(run_by_ssh(cluster, *mpiexec, "-ppn", place, LAUNCHED_RANK), hosts, "PMI-1")
        check_sums(run_by_ssh(cluster, *mpiexec, "-ppn", place, *AT_COMM_ID, COMM_ID_RANK, "PMI_RANK", "PMI_SIZE"))


def open_mpi(cluster):
    mpirun = [find("mpirun.openmpi", "openmpi-bin"), "--allow-run-as-root", "--mca", "plm_rsh_agent", SSH, "--mca", "plm_rsh_no_tree_spawn", "1",
              "--mca", "oob_tcp_if_include", "eth0", "--bind-to", "none", "-H", "h0:2,h1:2", "-np", "4"]
    for place, hosts in (("slot", BLOCKS), ("node", IN_TURN)):
        check_bench(run_by_ssh(cluster, *mpirun, "--map-by", place, HANSA, *BENCH), hosts)
        check_ranks(run_by_ssh(cluster, *mpirun, "--map-by", place, LAUNCHED_RANK), hosts, "PMIx")
        check_sums(run_by_ssh(cluster, *mpirun, "--map-by", place, *AT_COMM_ID, COMM_ID_RANK, *OMPI_NUMBERS))


def torchrun(cluster):
    """An agent on each host, which meet at the first's."""
    program, variables = torchrun_wheel.find(TORCHRUN_FOLDER)
    for command, judge in (([HANSA, *BENCH], lambda output: check_bench(output, BLOCKS)),
                           ([LAUNCHED_RANK], lambda output: check_ranks(output, BLOCKS, "torchrun")),
                           ([*AT_COMM_ID, COMM_ID_RANK, "RANK", "WORLD_SIZE"], check_sums)):
        agents = [host.start([program, "--nnodes=2", f"--node-rank={rank}", "--nproc-per-node=2", "--master-addr=h0", "--master-port=29500",
                              "--no-python", *command], env={**OWN, **variables}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True) for rank, host in enumerate(cluster.hosts)]
        printed = [agent.communicate(timeout=PATIENCE) for agent in agents]
        check([agent.returncode for agent in agents] == [0, 0], "both agents end well", printed)
        judge("".join(output for output, _ in printed))


def main():
    try:
        with Cluster(hosts=2, rate="") as cluster:
            timed({"mpich": mpich, "open_mpi": open_mpi, "torchrun": torchrun}[LAUNCHER], cluster)
    except Unavailable as why:
        print(f"[  SKIPPED ] no cluster here: {why}")


main()
