#!/usr/bin/env python3
"""Slurm on one machine: every node is a host of tests/cluster with a munged and a slurmd of its own, the first has slurmctld, too.

    slurm.py [--nodes 2] COMMAND...

runs COMMAND (srun, sinfo, sh ...) on the first node. All that the daemons write goes to a /run that each host has for itself, in
memory, and their ports are the host's: nothing of them can be left on the machine, whatever ends the maker. Needs slurmctld,
slurmd, slurm-client and munge of Debian, and what a cluster needs.
"""
import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster"))
from cluster import Cluster, Unavailable  # noqa: E402
from launched import environment  # noqa: E402

CONFIGURATION_FILE, TEMPORARY = "/run/slurm/slurm.conf", "/run/slurm/tmp"
# Nodes may have more processors than the machine: tasks then share them, as the ranks of other tests do.
CONFIGURATION = """\
ClusterName=hansa
SlurmctldHost=h0
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
StateSaveLocation=/run/slurm/state
SlurmdSpoolDir=/run/slurm/spool
SlurmctldPidFile=/run/slurm/slurmctld.pid
SlurmdPidFile=/run/slurm/slurmd.pid
TmpFS={temporary}
NodeName={nodes} CPUs=8
PartitionName=all Nodes=ALL Default=YES State=UP
"""
SET_UP = f"""
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/munge /run/slurm/spool /run/slurm/state {TEMPORARY}
echo "$1" > {CONFIGURATION_FILE}
umask 077
cat > /run/munge/key
"""
SYSTEM_PATH = os.environ["PATH"] + ":/usr/sbin"
MUNGED = ["munged", "--foreground", "--key-file=/run/munge/key", "--seed-file=/run/munge/seed"]
SLURMCTLD, SLURMD = ["slurmctld", "-D"], ["slurmd", "-D"]
READY_SECONDS, JOB_SECONDS = 30, 90


class Slurm(Cluster):
    """As a context: hosts h0, h1 ... whose nodes are idle. Commands run on h0."""

    def __init__(self, nodes=2):
        missing = [tool for tool in ("slurmctld", "slurmd", "srun", "munged") if not shutil.which(tool, path=SYSTEM_PATH)]
        if missing:
            raise Unavailable(f"{', '.join(missing)} not installed (packages slurmctld, slurmd, slurm-client, munge)")
        self.variables = environment(PATH=SYSTEM_PATH, SLURM_CONF=CONFIGURATION_FILE, TMPDIR=TEMPORARY)
        self.daemons, self.log = [], tempfile.TemporaryFile("a+")
        super().__init__(nodes, rate="")
        try:
            self._start_daemons()
            self._await_nodes()
        except BaseException:
            self.close()
            raise

    def close(self):
        super().close()
        for daemon in self.daemons:
            daemon.wait()
        self.log.close()

    def start(self, *command, **variables):
        """subprocess.Popen of a command on the first node; output and errors come together."""
        return self.hosts[0].start(command, env={**self.variables, **variables}, text=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, *command, **variables):
        """The exit status and the output."""
        process = self.start(*command, **variables)
        try:
            output = process.communicate(timeout=JOB_SECONDS)[0]
        except subprocess.TimeoutExpired:
            sys.exit(f"not done after {JOB_SECONDS} s: {' '.join(command)}\n{self.told()}")
        return process.returncode, output

    def told(self):
        """What the daemons have written."""
        self.log.seek(0)
        return self.log.read()

    def _start_daemons(self):
        key = secrets.token_hex(64)
        configuration = CONFIGURATION.format(nodes=",".join(host.name for host in self.hosts), temporary=TEMPORARY)
        for host in self.hosts:
            host.run(["sh", "-c", SET_UP, "sh", configuration], input=key, text=True)
            self._start_daemon(host, MUNGED)
        self._start_daemon(self.hosts[0], SLURMCTLD)
        for host in self.hosts:
            self._start_daemon(host, SLURMD)

    def _start_daemon(self, host, command):
        self.daemons.append(host.start(command, env=self.variables, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log))

    def _await_nodes(self):
        deadline = time.monotonic() + READY_SECONDS
        while self.run("sinfo", "--noheader", "--Node", "--format=%T") != (0, "idle\n" * len(self.hosts)):
            if time.monotonic() > deadline or any(daemon.poll() is not None for daemon in self.daemons):
                raise RuntimeError(f"Slurm does not start:\n{self.told()}")
            time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    try:
        with Slurm(given.nodes) as slurm:
            return subprocess.run(slurm.hosts[0].enter(given.command), env=slurm.variables, check=False).returncode
    except Unavailable as why:
        print(f"[  SKIPPED ] no Slurm here: {why}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
