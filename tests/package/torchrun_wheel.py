"""PyTorch's torchrun: that on the PATH, or that of a wheel from PyPI, installed into a folder of the build once. Nothing else of PyTorch
is used."""
import os
import shutil
import subprocess
import sys

# By itself the wheel needs no more to run its launcher. Those for CUDA do not load without NVIDIA's libraries.
WHEELS = ("torch==2.13.0", "typing_extensions")
FETCHING = 400


def skip(why):
    print(f"[  SKIPPED ] no torchrun: {str(why).strip()[-2000:]}")
    sys.exit(0)


def find(folder):
    """The program, and the variables it needs; ends the test as skipped if there is none to be had."""
    installed = shutil.which("torchrun")
    return (installed, {}) if installed else install(folder)


def install(folder):
    if not os.path.exists(folder):
        partial = folder + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", partial, *WHEELS]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=FETCHING)
        except subprocess.SubprocessError as error:
            skip(f"{' and '.join(WHEELS)} cannot be had from PyPI by pip: {error.stderr or error}")
        os.rename(partial, folder)
    program, variables = os.path.join(folder, "bin", "torchrun"), {"PYTHONPATH": folder}
    works = subprocess.run([program, "--help"], env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    if works.returncode != 0:
        skip(f"PyPI's wheel for this machine does not run: {works.stderr}")
    return program, variables
