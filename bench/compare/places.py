"""Where jobs run: on this machine, or on hosts of tests/cluster that are made for one job and gone after it."""
import os
import signal
import subprocess
import sys
import tempfile
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
        if job.poll() is None:
            os.killpg(job.pid, number)
        try:
            return job.communicate(timeout=5)[0]
        except subprocess.TimeoutExpired:
            continue
    return ""


def run_here(library, layout, arguments, seconds):
    """What rank 0 printed, and why that may not be all. Nothing of the job outlives this."""
    words, environment = library.command(layout)
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="hansa-compare-") as board:
        job = subprocess.Popen([str(word) for word in [*words, layout.ranks, board.name, *arguments]], env=os.environ | environment,
                               text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
        try:
            output, errors = job.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            output, errors = stop(job), f"not done after {seconds:.0f} s"
        finally:
            stop(job)
            Path(board.name + ".store").unlink(missing_ok=True)
    return output, errors


def hosts_of(layout):
    return Cluster(hosts=layout.hosts, rate=RATE, groups=layout.groups, joint=JOINT if layout.groups > 1 else None)


def topology_of(layout):
    """The lines of HANSA_TOPOLOGY."""
    each = layout.hosts // layout.groups
    return "".join(f"group g{group}: h[{group * each}-{(group + 1) * each - 1}]\n" for group in range(layout.groups))


def run_on_hosts(library, layout, arguments, seconds):
    """As run_here. The launcher runs on the first host and starts ranks on the others by remote_shell.py. Hosts share no /dev/shm,
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
            launcher = cluster.hosts[0].start([*words, layout.ranks, board.name, *arguments], env=environment,
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


def run(library, layout, arguments, seconds):
    return (run_on_hosts if layout.hosts else run_here)(library, layout, arguments, seconds)


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
