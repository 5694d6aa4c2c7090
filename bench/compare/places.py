"""Where jobs run: on this machine, or on hosts of tests/cluster that are made for one job and gone after it."""
import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import libraries

sys.path.insert(0, str(libraries.ROOT / "tests/cluster"))
from cluster import Cluster, Unavailable  # noqa: E402
from remote_shell import RemoteShell  # noqa: E402

RATE, JOINT = "1gbit", "250mbit"  # of a host's link, of the one between groups
# Bytes a second of one stream, after what the shapers let pass at first: the receiver's side, then the sender's.
SINK = """
import socket, sys, time
with socket.create_server(("", 5001)) as server:
    print("ready", flush=True)
    stream, room = server.accept()[0], bytearray(1 << 20)
    end, total = time.monotonic() + 0.3, 0
    while time.monotonic() < end: stream.recv_into(room)
    start = time.monotonic()
    while time.monotonic() < start + 0.7: total += stream.recv_into(room)
    print(total / (time.monotonic() - start))
"""
SOURCE = """
import socket, sys
stream, bytes = socket.create_connection((sys.argv[1], 5001)), bytes(1 << 20)
try:
    while True: stream.sendall(bytes)
except OSError: pass
"""


def stop(job):
    """What it had printed. Launchers end their ranks when they are asked to, not when they are killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):  # the group may outlive its first
            os.killpg(job.pid, number)
        try:
            return job.communicate(timeout=5)[0]
        except subprocess.TimeoutExpired:
            continue
    return ""


class JobHere:
    """A library's ranks on this machine. They sleep, and make one loop when they are given a turn, so that jobs of all libraries can be
    on the same cores at once and take turns within a fraction of a second: virtual cores move about every few seconds, and a figure
    taken where they are near says nothing beside one taken where they are far."""

    def __init__(self, library, layout, arguments):
        words, environment = library.command(layout)
        self.ranks, self.left, self.late = layout.ranks, b"", ""
        self.board = tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="hansa-compare-")
        self.errors = tempfile.TemporaryFile("w+")
        self.fifo = Path(self.board.name + ".turns")
        os.mkfifo(self.fifo)
        self.turns = os.open(self.fifo, os.O_RDWR)
        self.job = subprocess.Popen([str(word) for word in [*words, layout.ranks, self.board.name, self.fifo, *arguments]],
                                    env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors,
                                    start_new_session=True)

    def line(self, seconds):
        """The next that rank 0 prints; None if there comes none."""
        end = time.monotonic() + seconds
        while b"\n" not in self.left:
            if not select.select([self.job.stdout], [], [], max(0, end - time.monotonic()))[0]:
                self.late = f"not done after {seconds:.0f} s"
                return None
            more = os.read(self.job.stdout.fileno(), 65536)
            if not more:
                return None
            self.left += more
        line, _, self.left = self.left.partition(b"\n")
        return line.decode()

    def hear(self, wanted, seconds):
        """What `wanted` makes of the first line of which it makes anything; None if there comes none."""
        while (line := self.line(seconds)) is not None:
            if (found := wanted(line)) is not None:
                return found
        return None

    def give_turn(self):
        os.write(self.turns, bytes(self.ranks))

    def close(self):
        """Why it ended before it was done, if it did. Nothing of the job outlives this."""
        if not self.late:
            try:
                self.job.wait(20)
            except subprocess.TimeoutExpired:
                self.late = "does not end"
        stop(self.job)
        os.close(self.turns)
        self.fifo.unlink()
        Path(self.board.name + ".store").unlink(missing_ok=True)
        self.board.close()
        self.errors.seek(0)
        return self.late or self.errors.read().strip()


def hosts_of(layout):
    return Cluster(hosts=layout.hosts, rate=RATE, groups=layout.groups, joint=JOINT if layout.groups > 1 else None)


def topology_of(layout):
    """The lines of HANSA_TOPOLOGY."""
    each = layout.hosts // layout.groups
    return "".join(f"group g{group}: h[{group * each}-{(group + 1) * each - 1}]\n" for group in range(layout.groups))


def run_on_hosts(library, layout, arguments, seconds):
    """What rank 0 printed, and why that may not be all. The launcher runs on the first host and starts ranks on the others by remote_shell.py. Hosts share no /dev/shm,
    so the board is an ordinary file."""
    with (hosts_of(layout) as cluster, tempfile.NamedTemporaryFile(dir=libraries.BUILD) as board,
          tempfile.NamedTemporaryFile("w", dir=libraries.BUILD) as topology, tempfile.TemporaryFile("w+") as output,
          tempfile.TemporaryFile("w+") as errors):
        topology.write(topology_of(layout))
        topology.flush()
        words, environment = library.command(layout)
        environment = os.environ | {"TMPDIR": "/dev/shm", "HANSA_TOPOLOGY": topology.name if layout.groups > 1 else ""} | environment
        why = ""
        with RemoteShell(cluster, environment) as shell:
            launcher = cluster.hosts[0].start([*words, layout.ranks, board.name, "-", *arguments], env=environment,
                                              stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
            try:
                shell.serve(launcher, seconds)
            except subprocess.TimeoutExpired:
                why = f"not done after {seconds:.0f} s"
                launcher.kill()
            launcher.wait()
        Path(board.name + ".store").unlink(missing_ok=True)
        output.seek(0), errors.seek(0)
        return output.read(), why or errors.read()


def goodput(layout):
    """Bytes a second of a stream {"host": between hosts of a group, "joint": between groups} of what the layout has."""
    with hosts_of(layout) as cluster:
        ends = {"host": 1} | ({"joint": layout.hosts - 1} if layout.groups > 1 else {})
        found = {}
        for link, end in ends.items():
            sink = cluster.hosts[end].start([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True)
            sink.stdout.readline()
            source = cluster.hosts[0].start([sys.executable, "-c", SOURCE, cluster.hosts[end].addresses[0]])
            found[link] = float(sink.communicate(timeout=20)[0])
            source.wait(timeout=20)
        return found
