"""Jobs whose ranks a launcher spreads over hosts: what they are started with, and what must be printed by `hansa bench`, and by
launched_rank and comm_id_rank of tests/multiprocess."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "package"))
import bench_parsers  # noqa: E402

SIZES = [8, 64, 512, 4096]
BENCH = ["bench", "all_reduce", "-b", "8", "-e", "4K", "-f", "8", "-n", "2"]
AT_COMM_ID = ["env", "NCCL_COMM_ID=h0:5000"]  # before a program whose rank 0 runs there
TRACES = ("SLURM", "SBATCH", "PMI", "OMPI_", "MPI_", "HYDI_", "TORCHELASTIC_", "RANK", "WORLD_SIZE", "LOCAL_", "MASTER_")


def environment(**more):
    """This process's, without what an outer launcher left in it."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith(TRACES)}, **more}


def check(holds, what, output=""):
    if not holds:
        sys.exit(f"failed: {what}\n{output}")


def timed(scene, place, *arguments):
    begin = time.monotonic()
    scene(place, *arguments)
    print(f"{' '.join([scene.__name__, *arguments])}: {time.monotonic() - begin:.1f} s", flush=True)


def hosts_of(output):
    """Of the ranks of a benchmark, in order."""
    return [line["node"] for line in bench_parsers.RANK.finditer(output)]


def check_bench(output, hosts):
    """One table of all sizes by as many ranks, each on its host, where ranks are counted from 0."""
    ranks = [(line["node"], int(line["device"])) for line in bench_parsers.RANK.finditer(output)]
    wanted = [(host, hosts[:rank].count(host)) for rank, host in enumerate(hosts)]
    check(ranks == wanted, f"ranks are {ranks}, not {wanted}", output)
    check(output.count("# Using devices") == 1, "one benchmark", output)
    check(bench_parsers.aws_distributed_training(output) == SIZES, f"sizes {SIZES}", output)
    bench_parsers.cscs_reframe_tests(output)


def check_ranks(output, hosts, launcher):
    """A line of each rank, which has its place among all and on its host from the launcher."""
    ranks = len(hosts)
    wanted = [f"rank {rank} of {ranks}, {hosts[:rank].count(host)} of {hosts.count(host)} here, by {launcher}: sum {ranks * (ranks + 1) // 2}"
              for rank, host in enumerate(hosts)]
    found = sorted(line for line in output.splitlines() if line.startswith("rank "))
    check(found == wanted, "expected\n  " + "\n  ".join(wanted) + "\ngot", output)


def check_sums(output):
    """Of four ranks that meet at NCCL_COMM_ID."""
    found = sorted(line for line in output.splitlines() if re.match(r"rank \d of \d: sum", line))
    check(found == [f"rank {rank} of 4: sum 10" for rank in range(4)], "four ranks have met at NCCL_COMM_ID", output)
