#!/usr/bin/env python3
"""Times Hansa beside other libraries in one sitting: the same loops, in turn, medians of the rounds, ratios to the best.

What is asked for lies in targets.toml. Figures are kept in build/compare/results.json, so that a long comparison can be made in
pieces; a cell that is measured again replaces what was known of it.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import judge
import libraries
import report

RESULTS = libraries.BUILD / "results.json"
ALL = [library.name for library in libraries.OTHERS]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda text: text.split(",")
    parser.add_argument("--quick", action="store_true", help="2 ranks, few sizes, 3 rounds, without Gloo: some minutes")
    parser.add_argument("--ranks", type=words, help="2,4,8")
    parser.add_argument("--operations", type=words, default=["allreduce", "reduce_scatter", "allgather", "alltoall", "broadcast"])
    parser.add_argument("--sizes", help="4,64K,1M: of the larger buffer; default: as targets.toml says")
    parser.add_argument("--memory", type=words, default=list(judge.MEMORIES), help="of Hansa: malloc,library (ncclMemAlloc)")
    parser.add_argument("--peers", type=words, help=",".join(ALL) + "; 'none' for Hansa alone")
    parser.add_argument("--rounds", type=int, help="5")
    parser.add_argument("--milliseconds", type=int, default=20, help="that each loop of each cell takes; at least 5 calls")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md and .svg also after a selection")
    parser.add_argument("--report", action="store_true", help="measure nothing, show (and --write) what is known")
    given = parser.parse_args()
    given.whole = not (given.quick or given.ranks or given.sizes or given.peers or given.report) and len(given.operations) == 5
    given.rounds = given.rounds or (3 if given.quick else 5)
    given.peers = given.peers or [name for name in ALL if not (given.quick and name == "gloo")]
    return given


def cells_of(given, targets):
    ranks = [int(word) for word in given.ranks] if given.ranks else targets.all_ranks(given.quick)
    for count in ranks:
        sizes = judge.sizes_of(given.sizes.replace(",", " ")) if given.sizes else targets.sizes(count, given.quick)
        yield count, [judge.Cell(count, operation, size) for operation in given.operations for size in sizes]


def stop(job):
    """What it had printed. Launchers end their ranks when they are asked to, not when they are killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if job.poll() is None:
            os.killpg(job.pid, number)
        try:
            return job.communicate(timeout=5)[0]
        except subprocess.TimeoutExpired:
            continue
    return ""


def patience(cells):
    """Seconds that a job may take, on any machine; a library that has not ended by then is done with."""
    return 30 + sum(2 + cell.size * cell.ranks / (1 << 25) for cell in cells)


def run(library, cells, milliseconds, seconds):
    """The lines that rank 0 printed: {(operation, size, loop): microseconds}, and why they may not be all. Nothing of the job
    outlives this."""
    ranks = cells[0].ranks
    words, environment = library.command(ranks, ranks > len(os.sched_getaffinity(0)))
    memory = getattr(library, "memory", "malloc")
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="hansa-compare-") as board:
        words = [*words, ranks, board.name, milliseconds, memory, *(f"{cell.operation}:{cell.size}" for cell in cells)]
        job = subprocess.Popen([str(word) for word in words], env=os.environ | environment, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            output, errors = job.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            output, errors = stop(job), f"not done after {seconds:.0f} s"
        finally:
            stop(job)
            Path(board.name + ".store").unlink(missing_ok=True)
    lines = [line.split() for line in output.splitlines() if len(line.split()) == 4]
    return {(line[0], int(line[1]), line[2]): float(line[3]) for line in lines}, errors.strip()


def measure(cells, chosen, given, targets, results, missing):
    for round in range(given.rounds):  # in turn, so that all meet the same machine
        for library in chosen:
            mine = list(cells)
            if library.name == "hansa-library":
                for cell in cells:
                    bare = [judge.Cell(cell.ranks, name, cell.size) for name in targets.bare_operations(cell)]
                    mine += [cell for cell in bare if cell not in mine]
            if round == 0:
                for cell in mine:
                    results.forget(cell, library.name)
            start = time.monotonic()
            figures, errors = run(library, mine, given.milliseconds, patience(mine))
            for (operation, size, loop), microseconds in figures.items():
                results.add(judge.Cell(cells[0].ranks, operation, size), library.name, loop, microseconds)
            if {(cell.operation, cell.size) for cell in mine} - {(operation, size) for operation, size, _ in figures}:
                missing[library.title] = f"{cells[0].ranks} ranks: " + (errors.splitlines() or ["no reason given"])[-1]
            print(f"# {cells[0].ranks} ranks, round {round + 1} of {given.rounds}: {library.title}, "
                  f"{time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


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


def main():
    given = arguments()
    targets = judge.Targets((libraries.SOURCE / "targets.toml").read_text())
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"figures": {}, "missing": {}}
    results, missing = judge.Results(kept["figures"]), kept["missing"]
    if not given.report:
        wanted = [library for library in libraries.HANSA if library.memory in given.memory]
        wanted += [library for library in libraries.OTHERS if library.name in given.peers]
        ready, unavailable = prepare(wanted)
        missing = {title: why for title, why in missing.items() if title not in [library.title for library in wanted]}
        missing |= unavailable
        measured = []
        for _, cells in cells_of(given, targets):
            measure(cells, ready, given, targets, results, missing)
            measured += cells
        RESULTS.write_text(json.dumps({"figures": results.values, "missing": missing}, indent=1))
    shown = results.cells() if given.report else measured
    compared = [*libraries.HANSA, *libraries.OTHERS]
    print(report.tables(results, targets, shown, missing, compared))
    if given.whole or given.write:
        text = report.tables(results, targets, results.cells(), missing, compared)
        drawing = report.curves(results, targets, results.cells(), ALL)
        report.write(libraries.ROOT / "docs", text, drawing, libraries.install("plot", "matplotlib==3.9.2") / "bin/python")
    return 0


if __name__ == "__main__":
    sys.exit(main())
