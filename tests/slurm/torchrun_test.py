"""torchrun's agents as tasks of srun, one a node: torchrun_test.py HANSA LAUNCHED_RANK TORCHRUN_FOLDER"""
import sys

from slurm import Slurm, Unavailable
from launched import BENCH, check, check_bench, check_ranks, hosts_of, timed
import torchrun_wheel  # beside bench_parsers, whose folder `launched` makes known

HANSA, LAUNCHED_RANK, FOLDER = sys.argv[1:4]
# Which agent comes first is theirs to find out.
ORDERS = (["h0", "h0", "h1", "h1"], ["h1", "h1", "h0", "h0"])


def meets_in_the_agents_store(slurm, flag):
    """Whatever srun has left in the environment speaks of the agents, not of the ranks."""
    program, variables = torchrun_wheel.find(FOLDER)
    agent = [program, "--nnodes=2", "--nproc-per-node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=h0:29500", "--no-python"]
    def ranks(*command):
        status, output = slurm.run("srun", flag, "-N2", "--ntasks-per-node=1", *agent, *command, OMP_NUM_THREADS="1", **variables)
        check(status == 0, f"srun {flag} torchrun {' '.join(command)}: exit status {status}", output)
        return output

    output = ranks(HANSA, *BENCH)
    check(hosts_of(output) in ORDERS, "two ranks on each host", output)
    check_bench(output, hosts_of(output))
    check_ranks(ranks(LAUNCHED_RANK), ORDERS[0], "torchrun")


def main():
    try:
        with Slurm() as slurm:
            for flag in ("--mpi=none", "--mpi=pmi2", "--mpi=pmix"):
                timed(meets_in_the_agents_store, slurm, flag)
    except Unavailable as why:
        print(f"[  SKIPPED ] no Slurm here: {why}")


main()
