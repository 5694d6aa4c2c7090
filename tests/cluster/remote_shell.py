#!/usr/bin/env python3
"""What launchers take for ssh, between hosts that only their maker can enter.

    remote_shell.py [-OPTION...] HOST COMMAND...

on the first host asks the maker, who serves at PLACE, to run COMMAND on HOST with this process's own input, output and errors, and
ends with its exit status.
"""
import json
import os
import select
import socket
import subprocess
import sys
import time

PLACE = "/dev/shm/remote_shell"  # each host has a /dev/shm of its own


class RemoteShell:
    """As a context: serves the first host of a cluster. `environment` is what programs find on the hosts."""

    def __init__(self, cluster, environment):
        self.hosts = {host.name: host for host in cluster.hosts}
        self.environment = environment
        self.place = f"/proc/{cluster.hosts[0].pid}/root{PLACE}"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.place)
        self.listener.listen(64)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        os.unlink(self.place)

    def serve(self, launcher, seconds):
        """Until the launcher, a process of the caller's, has ended; TimeoutExpired if it does not."""
        running, end, deadline = {}, os.pidfd_open(launcher.pid), time.monotonic() + seconds
        while end not in (ready := select.select([self.listener, end, *running], [], [], max(0, deadline - time.monotonic()))[0]):
            if not ready:
                raise subprocess.TimeoutExpired(launcher.args, seconds)
            if self.listener in ready:
                process, caller = self._start()
                running[os.pidfd_open(process.pid)] = process, caller
            for ended in running.keys() & set(ready):
                self._finish(ended, *running.pop(ended))
        os.close(end)

    def _start(self):
        caller = self.listener.accept()[0]
        message, descriptors, _, _ = socket.recv_fds(caller, 1 << 18, 3)
        host, command = json.loads(message)
        process = self.hosts[host].start(["sh", "-c", command], env=self.environment, stdin=descriptors[0], stdout=descriptors[1],
                                         stderr=descriptors[2])
        for descriptor in descriptors:
            os.close(descriptor)
        return process, caller

    @staticmethod
    def _finish(ended, process, caller):
        os.close(ended)
        with caller:
            try:
                caller.send(str(process.wait()).encode())
            except BrokenPipeError:
                pass  # the caller did not wait


def main():
    words = sys.argv[1:]
    while words[0].startswith("-"):
        words.pop(0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as maker:
        maker.connect(PLACE)
        socket.send_fds(maker, [json.dumps([words[0], " ".join(words[1:])]).encode()], [0, 1, 2])
        return int(maker.recv(16) or b"255")


if __name__ == "__main__":
    sys.exit(main())
