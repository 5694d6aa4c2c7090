"""Where the ranks of a comparison are, by the name that stands in targets files and results:

    4       ranks of this machine
    4x2     hosts of 2 ranks each
    8x1/2   the same, in 2 groups
"""
import os
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    name: str
    hosts: int  # 0: this machine, no network
    per_host: int
    groups: int

    @property
    def ranks(self):
        return max(self.hosts, 1) * self.per_host

    @property
    def crowded(self):
        """More ranks than cores."""
        return self.ranks > len(os.sched_getaffinity(0))

    @property
    def title(self):
        if not self.hosts:
            return f"{self.ranks} ranks"
        groups = f"{self.groups} groups of {self.hosts // self.groups} hosts" if self.groups > 1 else f"{self.hosts} hosts"
        return groups + (f" of {self.per_host} ranks" if self.per_host > 1 else "")

    @property
    def host_names(self):
        return [f"h{host}" for host in range(self.hosts)]


def layout_of(name):
    words = re.fullmatch(r"(?:(\d+)x)?(\d+)(?:/(\d+))?", name)
    if not words:
        raise ValueError(f"{name} is no layout such as 4, 4x2 or 8x1/2")
    return Layout(name, int(words[1] or 0), int(words[2]), int(words[3] or 1))
