#!/usr/bin/env python3
"""Two hosts of two interfaces each, one of which loses its link in the middle of 64 MiB and gets it back: rails_test.py RAILS_RANK
HANSA, or --measure before that for what rails bring. Every word that arrives is checked by the ranks."""
import json
import queue
import re
import statistics
import subprocess
import sys
import threading
import time

from cluster import Cluster, Unavailable

BYTES = 64 << 20
PATIENCE = 60  # seconds: far more than anything takes


class Rank:
    """One on its host; `said` has what it prints, `lines` all of that once more for the end."""

    def __init__(self, host, number, program, size=BYTES, **variables):
        settings = {"NCCL_COMM_ID": "h0:5000", "HANSA_DEBUG": "INFO", "HANSA_TRANSPORT": "shm,libfabric", "FI_PROVIDER": "tcp,net",
                    "HANSA_INTERFACE": "eth", **variables}
        self.host, self.number, self.lines, self.said = host, number, [], queue.Queue()
        self.process = host.start(["env", *(f"{name}={value}" for name, value in settings.items()), program, number, size],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())
            self.said.put(line.strip())

    def wait_for(self, pattern):
        """The first line from now on that fits."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.said.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                raise SystemExit(f"failed: rank {self.number} does not say '{pattern}', but\n" + "\n".join(self.lines)) from None
            if line.startswith("failed"):
                raise SystemExit(f"failed: rank {self.number}: {line}\n" + "\n".join(self.lines))
            if re.search(pattern, line):
                return line

    def count(self, pattern):
        return sum(bool(re.search(pattern, line)) for line in list(self.lines))

    def sent(self, rail):
        """Bytes by an interface of its host so far."""
        shown = subprocess.run(self.host.enter(["ip", "-s", "-j", "link", "show", f"eth{rail}"]), check=True, capture_output=True, text=True)
        return json.loads(shown.stdout)[0]["stats64"]["tx"]["bytes"]

    def status(self, hansa):
        """What `hansa status` says of it."""
        shown = subprocess.run(self.host.enter([hansa, "status", "--json"]), check=True, capture_output=True, text=True)
        return json.loads(shown.stdout)["communicators"][0]["rails"]


def begin(ranks, what):
    for rank in ranks:
        rank.process.stdin.write(what + "\n")
    for rank in ranks:
        rank.wait_for("^begun")


def end(ranks):
    for rank in ranks:
        rank.wait_for("^done")


def move(ranks, what):
    """How long it takes."""
    start = time.monotonic()
    begin(ranks, what)
    end(ranks)
    return time.monotonic() - start


def check(holds, what, ranks):
    if not holds:
        sys.exit(f"failed: {what}\n" + "\n".join(line for rank in ranks for line in rank.lines))


def start(cluster, program, **more):
    ranks = [Rank(host, number, program, **more) for number, host in enumerate(cluster.hosts)]
    for rank in ranks:
        rank.wait_for("^ready")
    return ranks


def stop(ranks):
    for rank in ranks:
        rank.process.stdin.close()
    check([rank.process.wait(timeout=PATIENCE) for rank in ranks] == [0, 0], "both end well", ranks)


def stripes(ranks):
    """Large messages go by both rails."""
    for what in ("exchange", "allreduce"):
        before = [ranks[0].sent(rail) for rail in range(2)]
        move(ranks, what)
        sent = [ranks[0].sent(rail) - before[rail] for rail in range(2)]
        check(min(sent) > BYTES / 4, f"both rails carry {what}: {sent}", ranks)


def loses(ranks, rail, what, hansa):
    """The rail of one host's goes in the middle of a message, and comes back later in the middle of another."""
    lost = [rank.status(hansa)["lost"] for rank in ranks]
    begin(ranks, what)
    time.sleep(0.1)
    ranks[1].host.set_link(rail, "down")
    end(ranks)
    check(any(rank.count(rf"WARN rail eth{rail} to rank \d \(host h\d\) is lost: .*go again") for rank in ranks), "a rank tells of it", ranks)
    for _ in range(2):
        move(ranks, what)
    states = [rank.status(hansa) for rank in ranks]
    check(all(state["lost"] > before and state["down"] == 1 for state, before in zip(states, lost)), f"status tells of it: {states}", ranks)
    check(any(state["resent"] > 0 for state in states), f"something went again: {states}", ranks)
    begin(ranks, what)
    time.sleep(0.1)
    ranks[1].host.set_link(rail, "up")
    end(ranks)
    deadline = time.monotonic() + PATIENCE
    while any(rank.status(hansa)["down"] for rank in ranks):  # TCP tries again every few seconds
        check(time.monotonic() < deadline, "the rail comes back", ranks)
        move(ranks, what)
    stripes(ranks)


def measure(program):
    """Seconds that an exchange takes, by links' rate and how many rails there are."""
    print("| link | operation | one interface | two |\n|---|---|---|---|")
    for rate in ("1gbit", ""):
        with Cluster(hosts=2, rails=2, rate=rate) as cluster:
            times = {}
            for interfaces in ("=eth0", "=eth0,eth1"):
                ranks = start(cluster, program, HANSA_INTERFACE=interfaces, HANSA_DEBUG="WARN")
                for what in ("exchange", "allreduce"):
                    times[interfaces, what] = statistics.median([move(ranks, what) for _ in range(7)][2:])
                stop(ranks)
            for what in ("exchange", "allreduce"):
                print(f"| {rate or 'not limited'} | {what} | {times['=eth0', what]:.2f} s | {times['=eth0,eth1', what]:.2f} s |", flush=True)


def main():
    try:
        if sys.argv[1] == "--measure":
            return measure(sys.argv[2])
        program, hansa = sys.argv[1:]
        with Cluster(hosts=2, rails=2, rate="500mbit") as cluster:
            ranks = start(cluster, program)
            stripes(ranks)
            loses(ranks, 1, "exchange", hansa)
            loses(ranks, 1, "allreduce", hansa)
            stop(ranks)
    except Unavailable as why:
        print(f"[  SKIPPED ] no cluster here: {why}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
