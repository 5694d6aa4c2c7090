"""The arithmetic of scripts/compare, without measuring anything: compare.py SOURCE_ROOT"""
import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, sys.argv[1] + "/bench/compare")
import cluster_report
import compare
import judge
import libraries
import places
import report
from layouts import layout_of

TARGETS = """
loops = "all"
[measured]
2 = "4 1M"
[quick]
2 = "4"
[[judged]]
operations = ["broadcast"]
sizes = "4..16383"
loop = "rewritten_root_first"
[[judged]]
operations = ["broadcast", "allreduce"]
sizes = "4.."
loop = "rewritten"
[[target]]
layouts = ["2"]
operations = ["allreduce"]
variants = ["malloc"]
sizes = "4..4K"
time = 0.5
[[target]]
layouts = ["2"]
operations = ["allreduce"]
variants = ["malloc", "library"]
sizes = "1M.."
speed = 2.0
[[target]]
layouts = ["2", "4"]
operations = ["broadcast", "allreduce"]
variants = ["malloc"]
sizes = "4.."
never_slower = true
[[bound]]
layouts = ["2"]
operations = ["allreduce"]
sizes = "1M.."
bare = ["bare_allreduce"]
loop = "rewritten"
share = 0.9
[[bound]]
layouts = ["2"]
operations = ["bare_allreduce"]
sizes = "1M.."
bare = ["read", "copy"]
loop = "untouched"
share = 0.9
"""
OTHERS = ["mpich4", "impi"]
SMALL, LARGE = judge.Cell("2", "allreduce", 4), judge.Cell("2", "allreduce", 1 << 20)


def equal(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r} where {wanted!r} was expected")


def flat(time):
    """A figure without spread."""
    return judge.Figure(time, time, time)


def filled(cell, loop="rewritten", **times):
    results = judge.Results()
    for name, figures in times.items():
        for figure in figures:
            results.add(cell, name.replace("_", "-"), loop, flat(figure))
    return results


def sizes():
    equal("sizes", judge.sizes_of("4 16K 1M 2G"), [4, 16384, 1048576, 2 << 30])
    equal("texts", [judge.size_text(size) for size in (4, 1000, 1 << 10, 3 << 20)], ["4 B", "1000 B", "1 KiB", "3 MiB"])
    for span, inside, outside in (("16K..1M", (16384, 1 << 20), (16383, (1 << 20) + 1)), ("4M..", (4 << 20, 1 << 40), (4 << 20) - 1),
                                  ("256K", 256 << 10, 4)):
        for size in inside if isinstance(inside, tuple) else (inside,):
            equal(f"{size} in {span}", judge.spans(span, size), True)
        for size in outside if isinstance(outside, tuple) else (outside,):
            equal(f"{size} in {span}", judge.spans(span, size), False)


def targets_of_cells(targets):
    equal("sizes of 2 ranks", targets.sizes("2"), [4, 1 << 20])
    equal("quick sizes", (targets.sizes("2", True), targets.layouts(True)), ([4], ["2"]))
    equal("time", targets.needed(SMALL, "malloc"), 2.0)
    equal("first line that fits", targets.needed(LARGE, "malloc"), 2.0)
    equal("never slower", targets.needed(judge.Cell("4", "allreduce", 4), "malloc"), 1 / 1.05)
    equal("nothing asked", targets.needed(SMALL, "library"), None)
    equal("small broadcast", targets.loop(judge.Cell("2", "broadcast", 4096)), "rewritten_root_first")
    equal("large broadcast", targets.loop(judge.Cell("2", "broadcast", 16384)), "rewritten")
    equal("bare loops are not judged", targets.loop(judge.Cell("2", "copy", 4)), None)
    equal("bare loops of a cell", targets.bare_operations(LARGE), ["bare_allreduce", "read", "copy"])
    equal("none below", targets.bare_operations(SMALL), [])


def verdicts():
    results = filled(SMALL, hansa_malloc=[9, 1, 2], mpich4=[5, 5, 50], impi=[4, 6, 4])
    equal("median of rounds", results.median(SMALL, "hansa-malloc", "rewritten"), 2)
    equal("best", results.best(SMALL, OTHERS, "rewritten"), (4, "impi"))
    equal("held exactly", judge.compare(results, SMALL, "hansa-malloc", OTHERS, "rewritten", 2.0), judge.Verdict(2.0, 2.0, True))
    equal("missed", judge.compare(results, SMALL, "hansa-malloc", OTHERS, "rewritten", 2.1).held, False)
    equal("unmeasured loop", judge.compare(results, SMALL, "hansa-malloc", OTHERS, "untouched", 2.0), None)
    equal("no others", judge.compare(results, SMALL, "hansa-malloc", [], "rewritten", 2.0), None)
    for time, held in ((105, True), (106, False)):
        slower = filled(SMALL, hansa_malloc=[time], impi=[100])
        equal(f"{time} for 100", judge.compare(slower, SMALL, "hansa-malloc", OTHERS, "rewritten", 1 / judge.SLOWER).held, held)
    results.forget(SMALL, "impi")
    equal("forgotten", results.best(SMALL, OTHERS, "rewritten"), (5, "mpich4"))


def bounds(targets):
    results = filled(LARGE, hansa_library=[100])
    line = targets.bounds(LARGE)[0]
    equal("no bare loop", judge.compare_bound(results, LARGE, line), None)
    results.add(judge.Cell("2", "bare_allreduce", 1 << 20), "hansa-library", "rewritten", flat(80))
    equal("share", judge.compare_bound(results, LARGE, line), judge.Verdict(0.8, 0.9, False))


def page(targets):
    results = filled(SMALL, hansa_malloc=[2], impi=[5], mpich4=[7])
    for name, time in (("hansa-malloc", 90), ("hansa-library", 50), ("impi", 120)):
        results.add(LARGE, name, "rewritten", flat(time))
    compared = [*libraries.HANSA, *libraries.OTHERS]
    text = report.tables(results, targets, results.cells(), {"Gloo": "no network"}, compared)
    for line in ("| 4 B | Intel MPI 2021.18.1 | 5.00 us | 2.00 us | 2.50 (2.00) |", "| 90.00 us | **1.33 (2.00)** |", "| 50.00 us | 2.40 (2.00) |",
                 "Not measured: Gloo: no network", "2 of 3 judged figures held. Missed:\n\n- 2 ranks, allreduce, 1 MiB, malloc: 1.33 of 2.00"):
        equal(f"{line} in\n{text}\n", line in text, True)
    drawn = report.curves(results, targets, results.cells(), OTHERS)["judged"]["2 allreduce"]
    equal("curves", drawn, {"malloc": [[4, 2.5], [1 << 20, 120 / 90]], "ncclMemAlloc": [[1 << 20, 2.4]]})
    once = report.insert("# Page\n", "old")
    equal("inserted twice", report.insert(once, "new"), once.replace("old", "new"))
    equal("what surrounds it", report.insert(f"a{report.BEGIN}\nold\n{report.END}b\n", "new"), f"a{report.BEGIN}\nnew\n{report.END}b\n")


def kept_on_file():
    """Every cell that the real targets name can be measured and judged."""
    for name in ("targets.toml", "cluster.toml"):
        real = judge.Targets(Path(sys.argv[1], "bench/compare", name).read_text())
        for line in real.data["target"] + real.data.get("link", []):
            for layout in line["layouts"]:
                for operation in line["operations"]:
                    hit = [size for size in real.sizes(layout) if judge.spans(line["sizes"], size)]
                    equal(f"{line} has sizes", bool(hit), True)
                    equal(f"{line} is judged", all(real.loop(judge.Cell(layout, operation, size)) for size in hit), True)
                    equal(f"{line} asks for one thing", len({"time", "speed", "never_slower", "share"} & set(line)), 1)


def layouts():
    found = [(layout.hosts, layout.per_host, layout.groups, layout.ranks, layout.title) for layout in map(layout_of, ("4", "4x2", "8x1/2"))]
    equal("layouts", found, [(0, 4, 1, 4, "4 ranks"), (4, 2, 1, 8, "4 hosts of 2 ranks"), (8, 1, 2, 8, "2 groups of 4 hosts")])
    equal("groups", places.topology_of(layout_of("8x1/2")), "group g0: h[0-3]\ngroup g1: h[4-7]\n")
    for library in libraries.OTHERS:
        words = [str(word) for word in library.command(layout_of("4x2"))[0]]
        equal(f"{library.title}'s hosts in {words}", any("h0" in word and "h3" in word for word in words), True)
        equal(f"{library.title}'s ranks in {words}", words[words.index("-n") + 1], "8")


CLUSTER_TARGETS = """
[measured]
"4x1" = "4M"
[[judged]]
operations = ["broadcast", "allreduce"]
sizes = "4.."
loop = "rewritten"
[[target]]
layouts = ["4x1"]
operations = ["allreduce"]
variants = ["malloc"]
sizes = "4M"
never_slower = true
spread = true
[[link]]
layouts = ["4x1"]
operations = ["allreduce"]
sizes = "4M"
share = 0.95
"""


def links():
    """What links allow, and a verdict that leaves room for the spread."""
    equal("host's link", [judge.least_through(4, 4, name) for name in ("allreduce", "allgather", "alltoall", "broadcast")], [1.5, 0.75, 0.75, 1])
    equal("link of 2 ranks", judge.least_through(4, 8, "alltoall"), 1.5)
    equal("link between 2 groups of 4", [judge.least_through(2, 8, name) for name in ("allreduce", "alltoall", "reduce")], [1, 2, 1])
    cell, targets = judge.Cell("4x1", "allreduce", 4 << 20), judge.Targets(CLUSTER_TARGETS)
    results = filled(cell, hansa_malloc=[63], impi=[50])
    equal("no stream", judge.link_bound(results, cell), None)
    results.add(judge.Cell("4x1", "stream", 1 << 20), "host", "stream", flat(10))
    equal("least time", judge.link_bound(results, cell), 60)
    results.values[cell.key]["impi"]["rewritten"] = [[50, 49, 63, 1.0]]
    text = cluster_report.tables(results, targets, results.cells(), {}, [*libraries.HANSA, *libraries.OTHERS])
    line = "| 4 MiB | 60.00 us | 63.00 us (63.00 us to 63.00 us), 0% | 0.95 (0.95) | 0.79 (0.79) | 50.00 us, 100% |"
    equal(f"{line} in\n{text}\n", line in text and "2 of 2 judged" in text, True)


class Fake(libraries.Library):
    """A library whose job is a line of shell."""

    def __init__(self, name, line):
        super().__init__(name, name)
        self.line = line

    def command(self, layout):
        return ["sh", "-c", self.line, "sh"], {}


def jobs(targets):
    """A job announces a loop, waits for its turn (a byte), prints a figure."""
    told = lambda size, time: f"echo noise; echo next allreduce {size} rewritten; head -c1 $3 >/dev/null; echo allreduce {size} rewritten {time} 1 2 0.5"
    given = argparse.Namespace(milliseconds=1, calls=5)
    cells = [judge.Cell("1", "allreduce", 4), judge.Cell("1", "allreduce", 8)]
    figure = lambda size, time: (("allreduce", size), "rewritten", judge.Figure(time, 1, 2, 0.5))
    run = lambda *lines: compare.run_in_turn([(Fake(name, line), cells) for name, line in lines], given, targets, 1)
    both = f"{told(4, 1.5)}; {told(8, 2.5)}"
    with tempfile.NamedTemporaryFile() as pid:
        start = time.monotonic()
        found = run(("whole", both), ("failed", f"{told(4, 3.5)}; echo reason >&2; exit 1"),
                    ("hanging", f"{told(4, 4.5)}; echo $$ >{pid.name}; sleep 1000 & wait"))
        equal("a job", found["whole"], ([figure(4, 1.5), figure(8, 2.5)], ""))
        equal("one that fails", found["failed"], ([figure(4, 3.5)], "reason"))
        equal("one that hangs", found["hanging"], ([figure(4, 4.5)], "not done after 1 s"))
        equal("in time", time.monotonic() - start < 60, True)
        equal("is gone", os.path.exists(f"/proc/{pid.read().decode().strip()}"), False)
    with tempfile.NamedTemporaryFile("r") as turns:
        marks = lambda name: both.replace("; echo allreduce", f"; echo {name} >>{turns.name}; echo allreduce")
        run(("a", marks("a")), ("b", marks("b")))
        equal("in turn", turns.read().split(), ["a", "b", "a", "b"])


def main():
    targets = judge.Targets(TARGETS)
    sizes()
    targets_of_cells(targets)
    verdicts()
    bounds(targets)
    page(targets)
    layouts()
    links()
    kept_on_file()
    jobs(targets)


main()
