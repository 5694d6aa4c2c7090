#!/usr/bin/env python3
"""What a fault on one host does to the calls of all ranks: faults_test.py FAULT_RANK [FAULT...], or --measure RUNS before the faults.

Five ranks on four hosts do allreduces; then something breaks. Each call must end in time, with the rank and the host to blame, and
with the network interface where it is the network's fault; or, where nothing is broken, go on. With --measure the table of
docs/errors.md is printed instead.
"""
import ctypes
import math
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

from cluster import Cluster, Unavailable

HOST_OF = [0, 1, 1, 2, 3]  # by rank
COMM_ID_PORT, GATES = 5000, range(20000, 20010)
BYTES = 1 << 20
SYS_PIDFD_GETFD = 438
# Seconds within which all calls end: after what only silence tells of, and after what the kernel tells of.
SOON, KILLED = 5.0, 1.0


@dataclass
class Rank:
    number: int
    process: subprocess.Popen
    lines: list = field(default_factory=list)  # (word, seconds by the monotonic clock, text)
    other: str = ""  # what the library says

    def read(self):
        for line in self.process.stdout:
            word, when, *text = line.split(" ", 2)
            if when.isdigit():
                self.lines.append((word, int(when) / 1e9, text[0].strip() if text else ""))
            else:
                self.other += line

    def said(self, word):
        return next((line for line in list(self.lines) if line[0] == word), None)


def until(holds, seconds):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def pid_of(rank):
    """Of the rank itself, whose parent waits in this test's own namespaces."""
    pid = rank.process.pid
    for _ in range(2):  # nsenter, and what it forks
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as line:
            if not line.read().startswith("nsenter"):
                return pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            pid = int(children.read().split()[0])
    return pid


class Job:
    def __init__(self, cluster, program, size=BYTES, absent=(), **environment):
        self.cluster, self.ranks = cluster, []
        settings = [f"{name}={value}" for name, value in {
            "NCCL_COMM_ID": f"h0:{COMM_ID_PORT}", "HANSA_PORT_RANGE": f"{GATES[0]}-{GATES[-1]}", "HANSA_TRANSPORT": "shm,libfabric",
            "FI_PROVIDER": "tcp,net", **environment}.items()]
        for number, host in enumerate(HOST_OF):
            if number in absent:
                continue
            process = cluster.hosts[host].start(["env", *settings, program, number, len(HOST_OF), size], stdout=subprocess.PIPE,
                                                  stderr=subprocess.STDOUT, text=True)
            self.ranks.append(Rank(number, process))
            threading.Thread(target=self.ranks[-1].read, daemon=True).start()
        if not until(lambda: all(rank.said("begin" if absent else "ready") for rank in self.ranks), 60):
            raise SystemExit(f"failed: not all ranks are ready: {[(rank.lines, rank.other) for rank in self.ranks]}")

    def ended(self):
        return [rank for rank in self.ranks if rank.said("ended") or rank.said("absent")]

    def on(self, host):
        return [rank for rank in self.ranks if HOST_OF[rank.number] == host]

    def end(self):
        for rank in self.ranks:
            rank.process.kill()
            rank.process.wait()


# Each strikes, and returns the ranks that cannot tell any more.
def kill_leader(job):
    """The rank that leads its host's, and whose host has another."""
    return kill(job.ranks[1])


def kill_member(job):
    return kill(job.ranks[2])


def kill_root(job):
    return kill(job.ranks[0])


def kill(rank):
    os.kill(pid_of(rank), signal.SIGKILL)
    return [rank]


def host_dies(job):
    job.cluster.hosts[2].die()
    return job.on(2)


def power_cut(job):
    """Nothing gets out any more, not even that the processes end."""
    job.cluster.unplug(1)
    job.cluster.hosts[1].die()
    return job.on(1)


def link_down(job):
    job.cluster.hosts[1].set_link(0, "down")
    return []


def link_down_of_root(job):
    job.cluster.hosts[0].set_link(0, "down")
    return []


def black_hole(job):
    """The host keeps its link, but nothing comes through."""
    job.cluster.unplug(2)
    return []


def black_hole_between(job):
    """Of two hosts that do not watch each other."""
    job.cluster.part(2, 3)
    return []


def connections(pid):
    """Of that process, by descriptor: sockets of the data between hosts, apart from those of control."""
    pidfd = os.pidfd_open(pid)
    for name in os.listdir(f"/proc/{pid}/fd"):
        if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
            continue
        copy = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, pidfd, int(name), 0)
        if copy < 0:
            continue
        found = socket.socket(fileno=copy)
        try:
            ports = {found.getsockname()[1], found.getpeername()[1]} if found.family == socket.AF_INET and found.type == socket.SOCK_STREAM else None
        except OSError:
            ports = None
        if ports and not ports & {COMM_ID_PORT, *GATES}:
            yield found
        else:
            found.close()
    os.close(pidfd)


def listening(pid):
    """The TCP ports on which a process listens."""
    inodes = {os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
    with open(f"/proc/{pid}/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in list(table)[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}


def garbage(job):
    """From a rank, on its connections to the others."""
    victims = list(connections(pid_of(job.ranks[3])))
    if not victims:
        raise SystemExit("failed: no connection of data found")
    for connection in victims:
        connection.send(b"\xff" * 4096, socket.MSG_DONTWAIT)
        connection.close()
    return []


# What strikes, within which time all calls end, and what their errors name: by the rest, and by those on the host that is cut off.
FAULTS = {
    "kill_leader": (kill_leader, KILLED, r"rank 1 \(host h1, pid \d+\) died", None),
    "kill_member": (kill_member, KILLED, r"rank 2 \(host h1, pid \d+\) died", None),
    "kill_root": (kill_root, KILLED, r"rank 0 \(host h0, pid \d+\) died", None),
    "host_dies": (host_dies, KILLED, r"rank 3 \(host h2, pid \d+\) died", None),
    "power_cut": (power_cut, SOON, r"ranks 1, 2 \(host h1, pid \d+\) lost.*eth0", None),
    "link_down": (link_down, SOON, r"ranks 1, 2 \(host h1, pid \d+\) lost.*eth0", r"lost: the interface eth0 of host h1 is down"),
    "link_down_of_root": (link_down_of_root, SOON, r"rank 0 \(host h0, pid \d+\) lost.*eth0", r"lost: the interface eth0 of host h0 is down"),
    "black_hole": (black_hole, SOON, r"rank 3 \(host h2, pid \d+\) lost.*eth0", r"rank\S* \S+ \(host h\d, pid \d+\) lost.*eth0"),
    "link_down_in_init": (link_down, SOON, r"host h1.* lost during init.*eth0", r"host h0.* lost during init.*eth0 of host h1 is down"),
    "black_hole_between": (black_hole_between, SOON, r"rank [34] \(host h[23], pid \d+\) lost to rank [34]: .*eth0 of host h[23]", None),
    "garbage": (garbage, SOON, r"libfabric, rank \d \(host h\d\): ", None),
}
WHAT = {
    "kill_leader": "SIGKILL of the rank that leads its host's two",
    "kill_member": "SIGKILL of the other one",
    "kill_root": "SIGKILL of the rank whose process made the id",
    "host_dies": "a host ends with all its processes",
    "power_cut": "the same without a last packet",
    "link_down": "`ip link set eth0 down` on a host of two ranks",
    "link_down_of_root": "the same on the host of rank 0",
    "link_down_in_init": "the same during `ncclCommInitRank`",
    "black_hole": "all packets from and to a host are lost",
    "black_hole_between": "packets between two hosts that do not watch each other are lost",
    "garbage": "a rank sends garbage on its connections for data",
}
# What may also do nothing: the provider gives a connection up and makes another, and no message was in it. How that is told of a rank.
MAY_GO_ON, GOES_ON = {"garbage"}, "goes on"
CUT_OFF = {"link_down": 1, "link_down_in_init": 1, "link_down_of_root": 0, "black_hole": 2}  # the host that lives on without the others


def strike(program, name):
    """By rank that can tell: seconds until its call ended, and its error, or that it goes on; none where it does neither."""
    in_init = name.endswith("_in_init")
    with Cluster(hosts=4, rate="1gbit") as cluster:
        job = Job(cluster, program, absent=[4] if in_init else [])
        if in_init:
            time.sleep(0.5)  # all are waiting for the one that does not come
        begin = time.monotonic()
        silent = FAULTS[name][0](job)
        witnesses = [rank for rank in job.ranks if rank not in silent]
        until(lambda: all(rank in job.ended() for rank in witnesses), SOON)
        before = {rank.number: len(rank.lines) for rank in witnesses}
        until(lambda: all(rank in job.ended() for rank in witnesses), SOON if name not in MAY_GO_ON else 1)
        ends = {rank.number: rank.said("ended") or rank.said("absent") for rank in witnesses}
        if name in MAY_GO_ON and all(len(rank.lines) > before[rank.number] and rank.lines[-1][0] == "alive" for rank in witnesses):
            ends = {rank.number: (GOES_ON, begin, GOES_ON) for rank in witnesses}
        job.end()
        return {number: (end[1] - begin, end[2]) if end else None for number, end in ends.items()}


def check(program, name):
    if name in LASTING:
        return [f"{name}: {what}" for what in goes_on(program, *LASTING[name])]
    _, limit, by_rest, by_cut_off = FAULTS[name]
    wrong = []
    for number, seen in strike(program, name).items():
        cut_off = CUT_OFF.get(name) == HOST_OF[number]
        wanted = by_cut_off if cut_off and by_cut_off else by_rest
        if seen is None:
            wrong.append(f"rank {number}: no end within {2 * SOON} s")
            continue
        print(f"{name}: rank {number}: {seen[0]:.2f} s: {seen[1]}", flush=True)
        if seen[0] > limit:
            wrong.append(f"rank {number}: {seen[0]:.2f} s, not {limit} s")
        if seen[1] != GOES_ON and not re.search(wanted, seen[1]):
            wrong.append(f"rank {number} does not say {wanted}: {seen[1]}")
    return [f"{name}: {what}" for what in wrong]


def goes_on(program, disturb, *settings):
    """What goes wrong where calls are disturbed, which must go on, or nothing: `disturb` returns what is wrong in its own eyes."""
    with Cluster(hosts=4, rate="1gbit") as cluster:
        job = Job(cluster, program, *settings, HANSA_LATE_REPORT="2")
        wrong = disturb(job)
        before = {rank.number: len(rank.lines) for rank in job.ranks}
        if not until(lambda: all(len(rank.lines) > before[rank.number] for rank in job.ranks), SOON):
            wrong.append(f"not all go on: {[(rank.lines, rank.other) for rank in job.ranks]}")
        wrong += [f"rank {rank.number} failed: {rank.lines}" for rank in job.ended()]
        job.end()
        return wrong


def stopped(job):
    """A rank that does not take what all send it, for longer than it takes to find a host dead."""
    os.kill(pid_of(job.ranks[3]), signal.SIGSTOP)
    time.sleep(2 * SOON - 2)
    os.kill(pid_of(job.ranks[3]), signal.SIGCONT)
    said = "".join(rank.other for rank in job.ranks)
    return [] if re.search(r"missing rank 3 \(host h2, pid \d+\)", said) else [f"nobody named the stopped rank: {said}"]


def stranger(job):
    """Garbage to the port where a rank listens for data, from another host."""
    ports = listening(pid_of(job.ranks[3])) - {COMM_ID_PORT, *GATES}
    if not ports:
        raise SystemExit("failed: no port for data found")
    for port in ports:
        job.cluster.hosts[0].run([sys.executable, "-c", STRANGER, job.cluster.hosts[2].addresses[0], str(port)])
    return []


STRANGER = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
connection.send(b"\\xff" * 4096)
"""
LASTING = {"stopped": (stopped, 32 << 20), "stranger": (stranger, BYTES)}


def measure(program, names, runs):
    print("| What breaks | within | median | worst |\n|---|---|---|---|")
    for name in names:
        ends = [seen for _ in range(runs) for seen in strike(program, name).values()]
        times = [seen[0] if seen else math.inf for seen in ends if not seen or seen[1] != GOES_ON]
        times = times or [0.0]
        print(f"| {WHAT[name]} (`{name}`) | {FAULTS[name][1]:g} s | {statistics.median(times):.2f} s | {max(times):.2f} s |", flush=True)


def main():
    program, *names = sys.argv[1:]
    try:
        if names[:1] == ["--measure"]:
            return measure(program, names[2:] or list(FAULTS), int(names[1]))
        wrong = [what for name in names or [*FAULTS, *LASTING] for what in check(program, name)]
    except Unavailable as why:
        print(f"[  SKIPPED ] no cluster here: {why}")
        return 1
    for what in wrong:
        print(f"failed: {what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
