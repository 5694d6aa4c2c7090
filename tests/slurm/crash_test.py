"""Nothing of a Slurm outlives its maker, which is killed in the middle of a job."""
import os
import signal
import subprocess
import sys

import slurm
from launched import check
from processes import children_of, gone

JOB = ["srun", "-N2", "--ntasks-per-node=2", "--unbuffered", "sh", "-c", "echo runs; sleep 1000 & exec sleep 1000"]
FOLDERS = ["/run", "/tmp", "/dev/shm", "/var/lib", "/var/log", "/var/spool", "/sys/fs/cgroup"]
NAMES = ["(", "-name", "*slurm*", "-o", "-name", "*munge*", "-o", "-name", "*pmix*", ")"]


def traces():
    """What the machine has of Slurm: files, and whoever listens at its ports."""
    files = subprocess.run(["find", *FOLDERS, "-maxdepth", "2", *NAMES], capture_output=True, text=True, check=False).stdout
    listeners = subprocess.run(["ss", "--no-header", "--listening", "--tcp", "--numeric", "sport = :6817 or sport = :6818"],
                               capture_output=True, text=True, check=True).stdout
    return sorted(files.splitlines() + listeners.splitlines())


def main():
    before = traces()
    maker = subprocess.Popen([sys.executable, "-B", slurm.__file__, "--nodes", "2", *JOB], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
    lines = [maker.stdout.readline() for _ in range(4)]
    if "[  SKIPPED ]" in lines[0]:
        print(lines[0])
        return
    check(lines == ["runs\n"] * 4, "four tasks run", "".join(lines))
    below = children_of([maker.pid])
    names = subprocess.run(["ps", "-o", "comm=", "-p", ",".join(map(str, below))], capture_output=True, text=True, check=True).stdout
    check({"munged", "slurmctld", "slurmd", "slurmstepd", "sleep"} <= set(names.split()), "daemons and tasks run below the maker", names)
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    check(gone(below), "all of them end with the maker")
    check(traces() == before, f"left on the machine: {sorted(set(traces()) - set(before))}")


main()
