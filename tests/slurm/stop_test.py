"""How jobs of srun end early, and that nothing of them stays on the nodes: stop_test.py HANSA"""
import re
import subprocess
import sys
import time

from slurm import Slurm, Unavailable
from launched import bench_parsers, check, timed

HANSA = sys.argv[1]
ENDLESS = ["-N2", "--ntasks-per-node=2", "--unbuffered", HANSA, "bench", "all_reduce", "-b", "8", "-e", "64", "-f", "8", "-n", "300", "-N", "0"]
INTERRUPTED, KILLED = 130, 137
STOP_SECONDS, LIMIT_SECONDS, TIDY_SECONDS = 30, 150, 10


class Running:
    """A benchmark without end that has begun to measure; `ranks` has each rank's process on its node."""

    def __init__(self, slurm, *flags):
        self.slurm, self.output = slurm, ""
        self.process = slurm.start("srun", *flags, *ENDLESS)
        while len(bench_parsers.aws_health_check(self.output)) < 2:
            line = self.process.stdout.readline()
            check(line, "it ended too soon", self.output + slurm.told())
            self.output += line
        self.ranks = [rank["pid"] for rank in bench_parsers.ranks(self.output)]

    def kill(self, rank):
        self.slurm.hosts[rank // 2].run(["sh", "-c", f"kill -KILL {self.ranks[rank]}"])

    def end(self, status, seconds=STOP_SECONDS):
        """The job ends with that status, and all its processes are gone from all nodes. What was printed."""
        try:
            self.output += self.process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            check(False, f"not ended after {seconds} s", self.output + self.slurm.told())
        check(self.process.returncode == status, f"exit status {self.process.returncode}, not {status}", self.output)
        deadline = time.monotonic() + TIDY_SECONDS
        while left := [process for host in self.slurm.hosts for process in processes(host)]:
            check(time.monotonic() < deadline, f"left on the nodes: {left}", self.output)
            time.sleep(0.05)
        return self.output


def processes(host):
    """Tasks, and Slurm's keepers of tasks."""
    listed = host.run(["ps", "-e", "-o", "stat=,comm="], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if line.split()[-1] in ("hansa", "slurmstepd") and not line.startswith("Z")]


def check_stopped(output):
    check("# Stopped by a signal" in output, "it was told to stop", output)
    check("Out of bounds values : 0 OK" in output, "what was measured stands, with its end", output)
    check("Test NCCL failure" not in output, "no rank took another's end for a failure", output)


def names_a_killed_rank(slurm, pmi):
    """Every other rank says who is missing, and the job ends by itself."""
    running = Running(slurm, pmi, "--kill-on-bad-exit=0")
    running.kill(3)
    output = running.end(KILLED)
    dead = rf"rank 3 \(host h1, pid {running.ranks[3]}\) died"
    for rank in range(3):
        check(re.search(rf"^h{rank // 2}: Test NCCL failure: rank {rank}: .*{dead}", output, re.M), f"rank {rank} says: {dead}", output)
    check("srun: error: h1: task 3: Killed" in output, "so does srun", output)
    check("Out of bounds" not in output, "the table has no end", output)


def ends_at_a_bad_exit(slurm, pmi):
    """srun stops the others, mostly before they have said anything."""
    running = Running(slurm, pmi, "--kill-on-bad-exit=1")
    running.kill(3)
    output = running.end(KILLED)
    check("srun: error: h1: task 3: Killed" in output, "srun names the task", output)
    ends = re.findall(r"^srun: error: h\d: tasks? [-,\d]+: (.*)$", output, re.M)
    check(ends.count("Killed") == 1 and set(ends) <= {"Killed", "Exited with exit code 130", "Exited with exit code 3"},
          "the others were told to stop, or have heard of it themselves", output)


def stops_when_cancelled(slurm, pmi):
    running = Running(slurm, pmi)
    job = slurm.run("squeue", "--noheader", "--format=%i")[1].strip()
    check(slurm.run("scancel", job)[0] == 0, f"job {job} is there to be cancelled", running.output)
    check_stopped(running.end(INTERRUPTED))


def stops_at_its_time_limit(slurm, pmi):
    """Slurm counts in minutes and looks twice in one."""
    output = Running(slurm, pmi, "--time=1").end(INTERRUPTED, seconds=LIMIT_SECONDS)
    check("DUE TO TIME LIMIT" in output, "srun says why", output)
    check_stopped(output)


def main():
    try:
        with Slurm() as slurm:
            for pmi in ("--mpi=pmi2", "--mpi=pmix"):
                for scene in (names_a_killed_rank, ends_at_a_bad_exit, stops_when_cancelled):
                    timed(scene, slurm, pmi)
            timed(stops_at_its_time_limit, slurm, "--mpi=pmi2")
    except Unavailable as why:
        print(f"[  SKIPPED ] no Slurm here: {why}")


main()
