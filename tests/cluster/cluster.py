#!/usr/bin/env python3
"""A cluster on one machine: hosts with names, addresses, process tables and /dev/shm of their own, joined by links of a given rate.

    cluster.py [--hosts 4] [--rails 1] [--rate 1gbit] [--groups 1] [--joint 250mbit] [--on HOST] COMMAND...

runs COMMAND with the processes that hold the hosts in TEST_HOSTS, which programs under tests/multiprocess enter; with --on it
runs on that host. A host is a set of namespaces without names, kept by one process that dies with its maker: whatever ends the maker,
the kernel takes host, links and everything that ran there along. Needs root, iproute2 and util-linux.
"""
import argparse
import ctypes
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field

NETWORK = "10.77"
# A packet of 64 KiB and its headers must fit into the burst, or the shaper cuts it up; less than this queue loses packets.
SHAPED = "tbf rate {rate} burst 72kb limit 4mb"
NOWHERE = "02:48:41:ff:ff:ff"  # a hardware address
KEEPER = """
set -e
hostname "$1"
mount --make-rprivate /
mount -t tmpfs -o size=1g,mode=1777 tmpfs /dev/shm
echo ready
exec sleep infinity
"""


class Unavailable(Exception):
    """Why this machine cannot have such a cluster."""


def dies_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def keeper(namespaces, script, *words):
    """A process with those namespaces of its own, and its pid; it has run the script up to "ready"."""
    maker = subprocess.Popen(["unshare", *namespaces, "--fork", "--kill-child", "sh", "-c", script, "sh", *words],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             preexec_fn=dies_with_parent)
    if maker.stdout.readline() != "ready\n":
        maker.kill()
        raise Unavailable(f"no namespaces: {maker.communicate()[1].strip()}; is this root, with CAP_SYS_ADMIN and CAP_NET_ADMIN?")
    with open(f"/proc/{maker.pid}/task/{maker.pid}/children", encoding="ascii") as children:
        return maker, int(children.read().split()[0])


@dataclass
class Host:
    """One host: `pid` holds its namespaces, `addresses` has one for each rail (eth0, eth1 ...)."""
    name: str
    maker: subprocess.Popen
    pid: int
    addresses: list = field(default_factory=list)

    def enter(self, command):
        """The command line that runs `command` on this host, in the directory that the caller is in."""
        return ["nsenter", "-t", str(self.pid), "-a", f"--wd={os.getcwd()}", *(str(word) for word in command)]

    def start(self, command, **options):
        """subprocess.Popen of `command` on this host; it dies with the caller."""
        return subprocess.Popen(self.enter(command), preexec_fn=dies_with_parent, **options)

    def run(self, command, **options):
        return subprocess.run(self.enter(command), preexec_fn=dies_with_parent, check=True, **options)

    def set_link(self, rail, state):
        """Pulls the cable of a rail ("down") or puts it back ("up")."""
        self.run(["ip", "link", "set", f"eth{rail}", state])

    def die(self):
        """As if the power had failed: all processes and the network at once."""
        self.maker.kill()
        self.maker.wait()


class Cluster:
    """Hosts h0, h1 ...: rail r of host i has the address 10.77.r.(i + 1). With groups, each has a switch per rail, and between
    switches runs a link of rate `joint`. As a context: gone afterwards."""

    def __init__(self, hosts=4, rails=1, rate="1gbit", groups=1, joint=None):
        if os.geteuid() != 0:
            raise Unavailable("network namespaces need root")
        self.rate, self.joint, self.groups, self.rails = rate, joint, groups, rails
        self.hosts = []
        self.switches, self.switches_pid = keeper(["--net"], "echo ready; exec sleep infinity")
        try:
            for i in range(hosts):
                name = f"h{i}"
                maker, pid = keeper(["--net", "--uts", "--ipc", "--mount", "--pid", "--mount-proc"], KEEPER, name)
                self.hosts.append(Host(name, maker, pid, [f"{NETWORK}.{rail}.{i + 1}" for rail in range(rails)]))
            self._wire_switches()
            for i in range(hosts):
                self._wire_host(i)
        except (subprocess.CalledProcessError, OSError) as error:
            self.close()
            raise Unavailable(f"{error}: {getattr(error, 'stderr', '')}") from error
        except Unavailable:
            self.close()
            raise

    def group_of(self, host):
        return host * self.groups // len(self.hosts)

    def close(self):
        for host in self.hosts:
            host.die()
        self.switches.kill()
        self.switches.wait()

    def unplug(self, host, rail=0):
        """The host keeps its link, but the switch forwards nothing from it or to it."""
        self._batch("ip", self.switches_pid, [f"link set p{rail}h{host} nomaster"])

    def part(self, one, other, rail=0):
        """Two hosts lose each other, and nobody else: what they send goes to a hardware address that nobody has."""
        for here, there in ((one, other), (other, one)):
            self._batch("ip", self.hosts[here].pid,
                        [f"neigh replace {self.hosts[there].addresses[rail]} lladdr {NOWHERE} dev eth{rail} nud permanent"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def environment(self):
        """For programs whose processes enter the hosts by themselves."""
        return {"TEST_HOSTS": ",".join(str(host.pid) for host in self.hosts)}

    def _batch(self, tool, pid, lines):
        subprocess.run(["nsenter", "-t", str(pid), "-n", tool, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True,
                       capture_output=True)

    def _wire_switches(self):
        links, shapes = ["link set lo up"], []
        for rail in range(self.rails):
            for group in range(self.groups):
                links += [f"link add s{rail}g{group} type bridge", f"link set s{rail}g{group} up"]
            for group in range(1, self.groups):
                ends = [f"j{rail}g{group}a", f"j{rail}g{group}b"]
                links += [f"link add {ends[0]} type veth peer name {ends[1]}", f"link set {ends[0]} master s{rail}g0 up",
                          f"link set {ends[1]} master s{rail}g{group} up"]
                shapes += [f"qdisc add dev {end} root {SHAPED.format(rate=self.joint)}" for end in ends if self.joint]
        self._batch("ip", self.switches_pid, links)
        if shapes:
            self._batch("tc", self.switches_pid, shapes)

    def _wire_host(self, index):
        host, ports = self.hosts[index], [f"p{rail}h{index}" for rail in range(self.rails)]
        outside, inside = [], ["link set lo up"]
        for rail, port in enumerate(ports):
            outside += [f"link add {port} type veth peer name eth{rail} netns {host.pid}",
                        f"link set {port} master s{rail}g{self.group_of(index)} up"]
            # Neighbours are known beforehand, so that no time is ever spent on asking for them.
            inside += [f"link set eth{rail} address {self._hardware(rail, index)}",
                       f"addr add {host.addresses[rail]}/24 dev eth{rail}", f"link set eth{rail} up",
                       f"route replace {NETWORK}.{rail}.0/24 dev eth{rail} src {host.addresses[rail]} congctl cubic"]
            inside += [f"neigh replace {other.addresses[rail]} lladdr {self._hardware(rail, i)} dev eth{rail} nud permanent"
                       for i, other in enumerate(self.hosts) if i != index]
        self._batch("ip", self.switches_pid, outside)
        self._batch("ip", host.pid, inside)
        if self.rate:
            self._batch("tc", self.switches_pid, [f"qdisc add dev {port} root {SHAPED.format(rate=self.rate)}" for port in ports])
            self._batch("tc", host.pid, [f"qdisc add dev eth{rail} root {SHAPED.format(rate=self.rate)}" for rail in range(self.rails)])
        names = "".join(f"{other.addresses[0]} {other.name}\n" for other in self.hosts)
        host.run(["sh", "-c", "umask 022; f=$(mktemp); cat > $f; mount --bind $f /etc/hosts; rm $f"],
                 input="127.0.0.1 localhost\n" + names, text=True)

    @staticmethod
    def _hardware(rail, index):
        return f"02:48:41:00:{rail:02x}:{index + 1:02x}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--rails", type=int, default=1, help="interfaces of each host")
    parser.add_argument("--rate", default="", help="of each link, as tc writes it; default: not limited")
    parser.add_argument("--groups", type=int, default=1, help="switches between which the hosts are shared out")
    parser.add_argument("--joint", default="", help="rate between groups; default: not limited")
    parser.add_argument("--on", type=int, help="the host to run on; default: outside")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    try:
        with Cluster(given.hosts, given.rails, given.rate, given.groups, given.joint) as cluster:
            os.environ.update(cluster.environment)
            command = [word for word in given.command if word != "--"] if given.command[:1] == ["--"] else given.command
            if given.on is not None:
                command = cluster.hosts[given.on].enter(command)
            return subprocess.run(command, preexec_fn=dies_with_parent, check=False).returncode
    except Unavailable as why:
        print(f"[  SKIPPED ] no cluster here: {why}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
