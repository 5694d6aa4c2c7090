"""PyTorch's torchrun starts our programs, and their ranks meet in its agent's store. torchrun.py HANSA LAUNCHED_RANK FOLDER"""
import os
import subprocess
import sys
import tempfile

import bench_parsers
import torchrun_wheel

HANSA, LAUNCHED_RANK, FOLDER = sys.argv[1:4]
PATIENCE = 120


def start(torchrun, variables, *command):
    """What two ranks print."""
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run([torchrun, "--standalone", "--nproc-per-node=2", "--no-python", *command], capture_output=True,
                                text=True, timeout=PATIENCE, env={**os.environ, **variables, "OMP_NUM_THREADS": "1", "TMPDIR": folder})
    if result.returncode != 0:
        sys.exit(f"torchrun {' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def main():
    torchrun = torchrun_wheel.find(FOLDER)
    expected = [f"rank {rank} of 2, {rank} of 2 here, by torchrun: sum 3" for rank in range(2)]
    if (lines := sorted(start(*torchrun, LAUNCHED_RANK).splitlines())) != expected:
        sys.exit(f"expected {expected}, got {lines}")
    output = start(*torchrun, HANSA, "bench", "all_reduce", "-b", "8", "-e", "4K", "-f", "8", "-n", "2")
    if [rank["device"] for rank in bench_parsers.ranks(output)] != [0, 1] or output.count("# Using devices") != 1:
        sys.exit(f"not one benchmark of two ranks:\n{output}")
    bench_parsers.read_all(output, "all_reduce", [8, 64, 512, 4096], 2)


main()
