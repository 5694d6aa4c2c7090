"""What the comparison asks for and whether it was reached: arithmetic on measured times, nothing else."""
import statistics
import tomllib
from dataclasses import dataclass
from typing import NamedTuple

from layouts import layout_of

SLOWER = 1.05  # times as long as another is slower
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
VARIANTS = ("malloc", "library")  # of Hansa, on one machine: whose memory it works on


def size_of(text):
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


def size_text(size):
    for unit, bytes in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= bytes and size % bytes == 0:
            return f"{size // bytes} {unit}"
    return f"{size} B"


def sizes_of(text):
    return [size_of(word) for word in text.split()]


def spans(text, size):
    """Whether a span such as "16K..1M", "4M.." or "256K" has the size in it."""
    first, dots, last = text.partition("..")
    if not dots:
        return size == size_of(first)
    return size_of(first) <= size and (not last or size <= size_of(last))


@dataclass(frozen=True)
class Cell:
    layout: str
    operation: str
    size: int

    @property
    def key(self):
        return f"{self.layout} {self.operation} {self.size}"


class Figure(NamedTuple):
    """Of a loop in a round: microseconds of the median call and of the first and last tenth, the share of all cores that was busy."""
    median: float
    low: float
    high: float
    busy: float = 0.0


class Results:
    """Figures by cell, library and loop, one for each round."""

    def __init__(self, values=None):
        self.values = values or {}

    def add(self, cell, library, loop, figure):
        self.values.setdefault(cell.key, {}).setdefault(library, {}).setdefault(loop, []).append(list(figure))

    def forget(self, cell, library):
        self.values.get(cell.key, {}).pop(library, None)

    def cells(self):
        found = []
        for key in self.values:
            layout, operation, size = key.split()
            found.append(Cell(layout, operation, int(size)))
        return sorted(found, key=lambda cell: (layout_of(cell.layout).ranks, cell.layout, cell.size))

    def figure(self, cell, library, loop):
        """Over all rounds: the median of medians and of tenths, the mean of the cores' work; None if not measured."""
        rounds = self.values.get(cell.key, {}).get(library, {}).get(loop)
        if not rounds:
            return None
        return Figure(*(statistics.median(column) for column in list(zip(*rounds))[:3]), statistics.mean(row[3] for row in rounds))

    def median(self, cell, library, loop):
        figure = self.figure(cell, library, loop)
        return figure and figure.median

    def best(self, cell, libraries, loop):
        """The least median and whose it is; None without any."""
        known = [(self.median(cell, library, loop), library) for library in libraries]
        return min(((time, library) for time, library in known if time is not None), default=None)


@dataclass(frozen=True)
class Verdict:
    speed: float  # times that of the other
    needed: float  # at least
    held: bool


def asks(line, cell):
    """Whether a line of the targets is about the cell."""
    return cell.layout in line["layouts"] and cell.operation in line["operations"] and spans(line["sizes"], cell.size)


class Targets:
    def __init__(self, text):
        self.data = tomllib.loads(text)

    def sizes(self, layout, quick=False):
        return sizes_of(self.data["quick" if quick else "measured"].get(layout, ""))

    def layouts(self, quick=False):
        return list(self.data["quick" if quick else "measured"])

    def loop(self, cell):
        for line in self.data["judged"]:
            if cell.operation in line["operations"] and spans(line["sizes"], cell.size):
                return line["loop"]
        return None

    def needed(self, cell, variant):
        """How many times as fast as the best other Hansa must be; None where nothing is asked."""
        for line in self.data["target"]:
            if not asks(line, cell) or variant not in line["variants"]:
                continue
            if line.get("never_slower"):
                return 1 / SLOWER
            return line["speed"] if "speed" in line else 1 / line["time"]
        return None

    def counts_spread(self, cell, variant):
        line = next((line for line in self.data["target"] if asks(line, cell) and variant in line["variants"]), {})
        return line.get("spread", False)

    def bounds(self, cell):
        return [line for line in self.data.get("bound", []) if asks(line, cell)]

    def share_of_links(self, cell):
        """That of what links allow which Hansa must reach; None where nothing is asked."""
        return next((line["share"] for line in self.data.get("link", []) if asks(line, cell)), None)

    def bare_operations(self, cell):
        """All bare loops that say something of the cell, directly or through one another."""
        found, left = [], [cell.operation]
        while left:
            operation = left.pop()
            for line in self.bounds(Cell(cell.layout, operation, cell.size)):
                left += [bare for bare in line["bare"] if bare not in found]
                found += [bare for bare in line["bare"] if bare not in found]
        return found


def compare(results, cell, library, others, loop, needed, spread=False):
    """Hansa's verdict in a cell; None where either side was not measured. Without a target it is held. With `spread` it is held, too,
    where Hansa's median is no more than the best other's last tenth."""
    own, best = results.median(cell, library, loop), results.best(cell, others, loop)
    if own is None or best is None:
        return None
    speed = best[0] / own
    if needed and spread:
        needed = min(needed, best[0] / results.figure(cell, best[1], loop).high)
    return Verdict(speed, needed or 0.0, needed is None or speed >= needed)


def compare_bound(results, cell, line):
    """The share of the fastest bare loop's speed that the operation has, over the same pages; None if not measured."""
    own = results.median(cell, "hansa-library", line["loop"])
    bare = [results.median(Cell(cell.layout, bare, cell.size), "hansa-library", line["loop"]) for bare in line["bare"]]
    bare = [time for time in bare if time is not None]
    if own is None or not bare:
        return None
    share = min(bare) / own
    return Verdict(share, line["share"], share >= line["share"])


def least_through(parts, ranks, operation):
    """The least of n, a rank's larger buffer, that goes one way through the link of each of equal parts of the ranks."""
    if operation in ("broadcast", "reduce"):
        return 1.0
    others = (parts - 1) / parts
    return others * {"allreduce": 2, "alltoall": ranks / parts}.get(operation, 1)


def link_bound(results, cell):
    """Microseconds that the fullest link takes at a stream's rate; None if that was not measured."""
    layout, stream = layout_of(cell.layout), Cell(cell.layout, "stream", 1 << 20)
    parts = {"host": layout.hosts} | ({"joint": layout.groups} if layout.groups > 1 else {})
    times = []
    for link, count in parts.items():
        rate = results.median(stream, link, "stream")
        if rate is None:
            return None
        times.append(least_through(count, layout.ranks, cell.operation) * cell.size / stream.size * rate)
    return max(times)


def compare_link(results, cell, library, loop, needed):
    """The share that Hansa has of the speed that links allow; None if it was not measured."""
    own, bound = results.median(cell, library, loop), link_bound(results, cell)
    if own is None or bound is None:
        return None
    return Verdict(bound / own, needed or 0.0, needed is None or bound / own >= needed)
