#!/usr/bin/env python3
"""Times Hansa beside other libraries in one sitting: the same loops, in turn, medians of the rounds, ratios to the best.

What is asked for lies in targets.toml, of --cluster in cluster.toml. Figures are kept in build/compare/results.json (cluster.json), so
that a long comparison can be made in pieces; a cell that is measured again replaces what was known of it.
"""
import argparse
import json
import sys
import time

import cluster_report
import judge
import libraries
import places
import report
from layouts import layout_of

ALL = [library.name for library in libraries.OTHERS]
DEFAULTS = {"variants": list(judge.VARIANTS), "rounds": 5, "milliseconds": 20, "calls": 5}
DEFAULTS_OF_CLUSTER = {"variants": ["malloc", "newer"], "rounds": 2, "milliseconds": 100, "calls": 10}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda text: text.split(",")
    parser.add_argument("--cluster", action="store_true", help="between hosts, in network namespaces with links of 1 Gb/s; as root")
    parser.add_argument("--quick", action="store_true", help="one layout, few sizes, 3 rounds, without Gloo: some minutes")
    parser.add_argument("--layouts", "--ranks", type=words, help="2,4,8 ranks; of --cluster 4x1,8x1,8x1/2,4x2: hosts x ranks / groups")
    parser.add_argument("--operations", type=words, help="default: as the targets say")
    parser.add_argument("--sizes", help="4,64K,1M: of the larger buffer; default: as the targets say")
    parser.add_argument("--variants", type=words, help="of Hansa: malloc,library (ncclMemAlloc), newer (over a newer libfabric), none")
    parser.add_argument("--peers", type=words, help=",".join(ALL) + "; 'none' for Hansa alone")
    parser.add_argument("--rounds", type=int, help="5, of --cluster 2")
    parser.add_argument("--milliseconds", type=int, help="that each loop of each cell takes; 20, of --cluster 100")
    parser.add_argument("--calls", type=int, help="the fewest of a loop, whatever time they take; 5, of --cluster 10")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md and .svg also after a selection")
    parser.add_argument("--report", action="store_true", help="measure nothing, show (and --write) what is known")
    given = parser.parse_args()
    given.whole = not (given.quick or given.layouts or given.sizes or given.peers or given.report or given.operations)
    given.targets, given.results = ("cluster.toml", "cluster.json") if given.cluster else ("targets.toml", "results.json")
    for name, value in (DEFAULTS_OF_CLUSTER if given.cluster else DEFAULTS).items():
        setattr(given, name, getattr(given, name) or value)
    given.rounds = min(given.rounds, 3) if given.quick else given.rounds
    given.peers = given.peers or [name for name in ALL if not (given.quick and name == "gloo")]
    return given


def cells_of(given, targets):
    for layout in given.layouts or targets.layouts(given.quick):
        sizes = judge.sizes_of(given.sizes.replace(",", " ")) if given.sizes else targets.sizes(layout, given.quick)
        operations = given.operations or targets.data["operations"]
        yield [judge.Cell(layout, operation, size) for operation in operations for size in sizes]


def patience(cells):
    """Seconds that a job may take, on any machine; a library that has not ended by then is done with."""
    slowness = 20 if layout_of(cells[0].layout).hosts else 1
    return 30 + sum(2 + slowness * cell.size * layout_of(cell.layout).ranks / (1 << 25) for cell in cells)


def with_bare_loops(cells, library, targets):
    """The cells that a job of the library is to measure: after each the bare loops over its memory that say something of it."""
    found = {}
    for cell in cells:
        bare = targets.bare_operations(cell) if library.name == "hansa-library" else []
        found |= {judge.Cell(cell.layout, name, cell.size): None for name in [cell.operation, *bare]}
    return list(found)


def arguments_of(library, cells, given, targets):
    return [given.milliseconds, given.calls, targets.data["loops"], getattr(library, "memory", "malloc"),
            *(f"{cell.operation}:{cell.size}" for cell in cells)]


def figure_of(line):
    """((operation, size), loop, judge.Figure) of what rank 0 printed; None if it is no figure."""
    words = line.split()
    return ((words[0], int(words[1])), words[2], judge.Figure(*map(float, words[3:]))) if len(words) == 7 else None


def announced(line):
    """((operation, size), loop) that rank 0 would measure next; None if it says nothing of it."""
    words = line.split()
    return ((words[1], int(words[2])), words[3]) if len(words) == 4 and words[0] == "next" else None


def run_alone(library, cells, given, targets):
    """On hosts of its own: [figure_of()] of what rank 0 printed, and why it may not be all."""
    output, errors = places.run_on_hosts(library, layout_of(cells[0].layout), arguments_of(library, cells, given, targets),
                                         patience(cells))
    return [figure for figure in map(figure_of, output.splitlines()) if figure], errors.strip()


def run_in_turn(plans, given, targets, seconds):
    """Jobs of all libraries on this machine at once; `plans` is [(library, cells)]. Each makes the same loop of the same cell, one after
    the other, then all the next. {library's name: (figures, why these may not be all)} as of run_alone()."""
    jobs, found, why = {}, {library.name: [] for library, _ in plans}, {}
    order = {(cell.operation, cell.size): place for place, cell in enumerate(max((cells for _, cells in plans), key=len))}
    try:
        for library, cells in plans:
            jobs[library.name] = places.JobHere(library, layout_of(cells[0].layout), arguments_of(library, cells, given, targets))
        due = {name: job.hear(announced, seconds) for name, job in jobs.items()}
        why |= {name: jobs[name].close() for name, next in due.items() if next is None}
        while waiting := [next for next in due.values() if next]:
            loop = min(waiting, key=lambda next: order[next[0]])
            for name in [name for name, next in due.items() if next == loop]:
                jobs[name].give_turn()
                figure = jobs[name].hear(figure_of, seconds)
                found[name] += [figure] if figure else []
                due[name] = jobs[name].hear(announced, seconds) if figure else None
                if due[name] is None:  # it may be spinning on the others' cores
                    why[name] = jobs[name].close()
    finally:
        why |= {name: job.close() for name, job in jobs.items() if name not in why}
    return {name: (found[name], why[name]) for name in jobs}


def measure_links(layout, results):
    stream = judge.Cell(layout.name, "stream", 1 << 20)
    for link, rate in places.goodput(layout).items():
        time = stream.size / rate * 1e6
        results.add(stream, link, "stream", judge.Figure(time, time, time))


def runs(plans, given, targets):
    """(library, cells, figures, why they may not be all) of each, as soon as there is something to tell."""
    if layout_of(plans[0][1][0].layout).hosts:
        for library, cells in plans:
            yield library, cells, *run_alone(library, cells, given, targets)
        return
    told = run_in_turn(plans, given, targets, max(patience(cells) for _, cells in plans))
    for library, cells in plans:
        yield library, cells, *told[library.name]


def measure(cells, chosen, given, targets, results, missing):
    layout = layout_of(cells[0].layout)
    plans = [(library, with_bare_loops(cells, library, targets)) for library in chosen]
    for library, mine in plans:
        for cell in mine:
            results.forget(cell, library.name)
    for round in range(given.rounds):
        if layout.hosts:
            measure_links(layout, results)
        start = time.monotonic()
        for library, mine, figures, errors in runs(plans, given, targets):
            for (operation, size), loop, figure in figures:
                results.add(judge.Cell(layout.name, operation, size), library.name, loop, figure)
            if {(cell.operation, cell.size) for cell in mine} - {cell for cell, _, _ in figures}:
                missing[library.title] = f"{layout.title}: " + (errors.splitlines() or ["no reason given"])[-1]
            print(f"# {layout.title}, round {round + 1} of {given.rounds}: {library.title}, "
                  f"{len(figures)} figures, {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


def prepare(chosen):
    """Those of the libraries that can take part, and {title: why not} of the rest."""
    libraries.compile_loops()
    ready, missing = [], {}
    for library in chosen:
        try:
            library.prepare()
            ready.append(library)
        except libraries.Unavailable as reason:
            missing[library.title] = str(reason)
    return ready, missing


def write(given, results, targets, missing, compared):
    docs, python = libraries.ROOT / "docs", libraries.PEERS / "plot/bin/python"
    if given.cluster:
        report.write(docs, cluster_report.tables(results, targets, results.cells(), missing, compared), cluster_report)
        return
    report.write(docs, report.tables(results, targets, results.cells(), missing, compared), report)
    libraries.install("plot", "matplotlib==3.9.2")
    report.draw(docs, report.curves(results, targets, results.cells(), ALL), python)


def main():
    given = arguments()
    targets = judge.Targets((libraries.SOURCE / given.targets).read_text())
    file = libraries.BUILD / given.results
    columns = list(judge.Figure._fields)
    kept = json.loads(file.read_text()) if file.exists() else {}
    if kept.get("columns") != columns:  # of another version of these programs
        kept = {"figures": {}, "missing": {}}
    results, missing = judge.Results(kept["figures"]), kept["missing"]
    measured = []
    if not given.report:
        wanted = [library for library in libraries.HANSA if library.variant in given.variants]
        wanted += [library for library in libraries.OTHERS if library.name in given.peers]
        ready, unavailable = prepare(wanted)
        missing = {title: why for title, why in missing.items() if title not in [library.title for library in wanted]}
        missing |= unavailable
        for cells in cells_of(given, targets):
            try:
                measure(cells, ready, given, targets, results, missing)
            except places.Unavailable as reason:
                raise SystemExit(f"no hosts can be made here: {reason}") from reason
            measured += cells
            file.write_text(json.dumps({"columns": columns, "figures": results.values, "missing": missing}, indent=1))
    compared = [*libraries.HANSA, *libraries.OTHERS]
    tables = (cluster_report if given.cluster else report).tables
    print(tables(results, targets, measured or results.cells(), missing, compared))
    if given.whole or given.write:
        write(given, results, targets, missing, compared)
    return 0


if __name__ == "__main__":
    sys.exit(main())
