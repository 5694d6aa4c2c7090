"""What the comparison asks for and whether it was reached: arithmetic on measured times, nothing else."""
import statistics
import tomllib
from dataclasses import dataclass

SLOWER = 1.05  # times as long as another is slower
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
MEMORIES = ("malloc", "library")


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
    ranks: int
    operation: str
    size: int


class Results:
    """Microseconds by cell, library and loop, one figure for each round."""

    def __init__(self, values=None):
        self.values = values or {}

    def add(self, cell, library, loop, microseconds):
        key = f"{cell.ranks} {cell.operation} {cell.size}"
        self.values.setdefault(key, {}).setdefault(library, {}).setdefault(loop, []).append(microseconds)

    def forget(self, cell, library):
        self.values.get(f"{cell.ranks} {cell.operation} {cell.size}", {}).pop(library, None)

    def cells(self):
        found = []
        for key in self.values:
            ranks, operation, size = key.split()
            found.append(Cell(int(ranks), operation, int(size)))
        return sorted(found, key=lambda cell: (cell.ranks, cell.size))

    def median(self, cell, library, loop):
        figures = self.values.get(f"{cell.ranks} {cell.operation} {cell.size}", {}).get(library, {}).get(loop)
        return statistics.median(figures) if figures else None

    def best(self, cell, libraries, loop):
        """The least median and whose it is; None without any."""
        known = [(self.median(cell, library, loop), library) for library in libraries]
        return min(((time, library) for time, library in known if time is not None), default=None)


@dataclass(frozen=True)
class Verdict:
    speed: float  # times that of the other
    needed: float  # at least
    held: bool


class Targets:
    def __init__(self, text):
        self.data = tomllib.loads(text)

    def sizes(self, ranks, quick=False):
        return sizes_of(self.data["quick" if quick else "measured"].get(str(ranks), ""))

    def all_ranks(self, quick=False):
        return [int(ranks) for ranks in self.data["quick" if quick else "measured"]]

    def loop(self, cell):
        for line in self.data["judged"]:
            if cell.operation in line["operations"] and spans(line["sizes"], cell.size):
                return line["loop"]
        return None

    def needed(self, cell, memory):
        """How many times as fast as the best other Hansa must be; None where nothing is asked."""
        for line in self.data["target"]:
            fits = cell.ranks in line["ranks"] and cell.operation in line["operations"] and memory in line["memory"]
            if not fits or not spans(line["sizes"], cell.size):
                continue
            if line.get("never_slower"):
                return 1 / SLOWER
            return line["speed"] if "speed" in line else 1 / line["time"]
        return None

    def bounds(self, cell):
        return [
            line
            for line in self.data["bound"]
            if cell.ranks in line["ranks"] and cell.operation == line["operation"] and spans(line["sizes"], cell.size)
        ]

    def bare_operations(self, cell):
        """All bare loops that say something of the cell, directly or through one another."""
        found, left = [], [cell.operation]
        while left:
            operation = left.pop()
            for line in self.bounds(Cell(cell.ranks, operation, cell.size)):
                left += [bare for bare in line["bare"] if bare not in found]
                found += [bare for bare in line["bare"] if bare not in found]
        return found


def compare(results, cell, library, others, loop, needed):
    """Hansa's verdict in a cell; None where either side was not measured. Without a target it is held."""
    own, best = results.median(cell, library, loop), results.best(cell, others, loop)
    if own is None or best is None:
        return None
    speed = best[0] / own
    return Verdict(speed, needed or 0.0, needed is None or speed >= needed)


def compare_bound(results, cell, line):
    """The share of the fastest bare loop's speed that the operation has, over the same pages; None if not measured."""
    own = results.median(cell, "hansa-library", line["loop"])
    bare = [results.median(Cell(cell.ranks, name, cell.size), "hansa-library", line["loop"]) for name in line["bare"]]
    bare = [time for time in bare if time is not None]
    if own is None or not bare:
        return None
    share = min(bare) / own
    return Verdict(share, line["share"], share >= line["share"])
