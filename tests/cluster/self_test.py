#!/usr/bin/env python3
"""What the cluster itself promises: hosts that know each other and nobody else, links that can be pulled, a host that dies with all
that runs on it, and nothing left when the maker is killed."""
import os
import signal
import subprocess
import sys

from cluster import Cluster, Unavailable
from processes import children_of, gone

CONNECT = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()"
LISTEN = """
import socket
server = socket.create_server(("", 0))
print(server.getsockname()[1], flush=True)
while True: server.accept()[0].close()
"""
# Starts a process that outlives its parent.
STRAY = ["sh", "-c", "sleep 1000 & echo $$; exec sleep 1000"]


def python(program, *words):
    return [sys.executable, "-c", program, *words]


def reaches(host, address, port):
    return subprocess.run(host.enter(python(CONNECT, address, str(port))), capture_output=True, check=False).returncode == 0


def expect(what, holds):
    if not holds:
        raise SystemExit(f"failed: {what}")


def hosts_know_each_other(cluster):
    server = cluster.hosts[0].start(python(LISTEN), stdout=subprocess.PIPE, text=True)
    port = int(server.stdout.readline())
    names = [host.run(["hostname"], capture_output=True, text=True).stdout.strip() for host in cluster.hosts]
    expect(f"names: {names}", names == ["h0", "h1", "h2"])
    for rail, address in enumerate(cluster.hosts[0].addresses):
        expect(f"h2, of the other group, reaches h0 over rail {rail}", reaches(cluster.hosts[2], address, port))
    expect("by name", reaches(cluster.hosts[1], "h0", port))
    routes = cluster.hosts[0].run(["ip", "route", "show", "default"], capture_output=True, text=True).stdout
    expect(f"no way out: {routes}", routes == "")
    cluster.hosts[2].set_link(0, "down")
    expect("no way over a pulled cable", not reaches(cluster.hosts[2], cluster.hosts[0].addresses[0], port))
    expect("the other rail stays", reaches(cluster.hosts[2], cluster.hosts[0].addresses[1], port))
    cluster.hosts[2].set_link(0, "up")
    expect("the cable is back", reaches(cluster.hosts[2], cluster.hosts[0].addresses[0], port))
    cluster.hosts[0].die()
    expect("all on a dead host is dead", server.wait(timeout=10) != 0)
    expect("nobody answers there", not reaches(cluster.hosts[1], cluster.hosts[0].addresses[0], port))


def nothing_outlives_the_maker():
    maker = subprocess.Popen([sys.executable, "-B", os.path.join(os.path.dirname(__file__), "cluster.py"), "--hosts", "2", "--on", "0",
                              "--", *STRAY], stdout=subprocess.PIPE, text=True)
    maker.stdout.readline()
    below = children_of([maker.pid])
    expect(f"keepers, switch and strays run: {below}", len(below) >= 7)
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    expect("all of them end with the maker", gone(below))


def main():
    try:
        with Cluster(hosts=3, rails=2, rate="1gbit", groups=2, joint="250mbit") as cluster:
            hosts_know_each_other(cluster)
    except Unavailable as why:
        print(f"[  SKIPPED ] no cluster here: {why}")
        return 1
    nothing_outlives_the_maker()
    return 0


if __name__ == "__main__":
    sys.exit(main())
