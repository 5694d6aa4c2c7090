"""The comparison as tables and as a plot, printed and in docs/performance.md."""
import datetime
import json
import os
import platform
import subprocess
from pathlib import Path

import judge
from layouts import layout_of

BEGIN, END = "<!-- written by scripts/compare: begin -->", "<!-- written by scripts/compare: end -->"
COMMAND = "`scripts/compare`.\n\n![speeds](performance.svg)"
ROOT_FIRST = "_root_first"
LEGEND = """Each cell of the table is how many times as fast as the best other library of that size Hansa is, in one loop. **speed** is the loop that is
judged: input rewritten before each call, one call from a barrier, the slowest rank's time, the median; in parentheses what is asked
for; bold is missed. **untouched** is the same without rewriting, **back to back** the mean of calls without a barrier between. For each the
best other library is its own. A broadcast has two lines: all leave the barrier together, or the root first (judged below 16 KiB)."""


def names(libraries):
    return {library.name: library.title for library in libraries}


def time_text(microseconds):
    if microseconds is None:
        return ""
    if microseconds < 1000:
        return f"{microseconds:.2f} us" if microseconds < 100 else f"{microseconds:.0f} us"
    return f"{microseconds / 1000:.2f} ms"


def speed_text(verdict, asked):
    if verdict is None:
        return ""
    text = f"{verdict.speed:.2f}" + (f" ({verdict.needed:.2f})" if asked else "")
    return text if verdict.held else f"**{text}**"


def loops_of(cell):
    """(suffix of the loops' names, what the line is called) of each line of a cell."""
    return [("", "symmetric"), (ROOT_FIRST, "root first")] if cell.operation == "broadcast" else [("", "")]


def memory_columns(results, targets, cell, library, others, suffix):
    judged = targets.loop(cell)
    memory = library.removeprefix("hansa-")
    columns = [time_text(results.median(cell, library, "rewritten" + suffix))]
    for loop in ("rewritten", "untouched"):
        asked = targets.needed(cell, memory) if loop + suffix == judged else None
        columns.append(speed_text(judge.compare(results, cell, library, others, loop + suffix, asked), asked is not None))
    columns.append(speed_text(judge.compare(results, cell, library, others, "back_to_back", None), False) if not suffix else "")
    return columns


def table(results, targets, cells, titles, others):
    head = ["bytes", "best other", "its time"] + ["malloc", "speed", "untouched", "back to back"] + [
        "ncclMemAlloc", "speed", "untouched", "back to back"]
    rows = [head, ["---"] * len(head)]
    for cell in cells:
        for suffix, kind in loops_of(cell):
            best = results.best(cell, others, "rewritten" + suffix)
            row = [judge.size_text(cell.size) + (f", {kind}" if kind else "")]
            row += [titles[best[1]], time_text(best[0])] if best else ["", ""]
            for memory in judge.VARIANTS:
                row += memory_columns(results, targets, cell, f"hansa-{memory}", others, suffix)
            rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def bounded(results, targets, cell):
    """(cell, line of the targets, verdict) of what memory allows for this one, bare loops included; what was not measured is left out."""
    for operation in [cell.operation] + [name for name in targets.bare_operations(cell) if name.startswith("bare")]:
        of = judge.Cell(cell.layout, operation, cell.size)
        for line in targets.bounds(of):
            verdict = judge.compare_bound(results, of, line)
            if verdict is not None:
                yield of, line, verdict


def bounds(results, targets, cells):
    """What memory allows, by operation; an empty text where nothing was measured."""
    rows = []
    for cell in cells:
        for of, line, verdict in bounded(results, targets, cell):
            least, name = min((results.median(judge.Cell(cell.layout, bare, cell.size), "hansa-library", line["loop"]), bare)
                              for bare in line["bare"])
            row = [of.operation, judge.size_text(cell.size), time_text(results.median(of, "hansa-library", line["loop"])),
                   name, time_text(least), line["loop"], speed_text(verdict, True)]
            rows += [row] if row not in rows else []
    if not rows:
        return ""
    head = [["operation", "bytes", "time", "fastest bare loop", "its time", "loop", "share of its speed"], ["---"] * 7]
    return "\n".join("| " + " | ".join(row) + " |" for row in head + sorted(rows, key=lambda row: row[0]))


def verdicts(results, targets, cells, others):
    """(held, missed) judged cells, bounds included; the missed as texts."""
    held, missed = 0, []
    for cell in cells:
        for memory in judge.VARIANTS:
            needed = targets.needed(cell, memory)
            verdict = judge.compare(results, cell, f"hansa-{memory}", others, targets.loop(cell), needed)
            if verdict is None or needed is None:
                continue
            held += verdict.held
            if not verdict.held:
                missed.append(f"{layout_of(cell.layout).title}, {cell.operation}, {judge.size_text(cell.size)}, {memory}: "
                              f"{verdict.speed:.2f} of {needed:.2f}")
        for of, line, verdict in bounded(results, targets, cell):
            held += verdict.held
            if not verdict.held:
                missed.append(f"{layout_of(cell.layout).title}, {of.operation}, {judge.size_text(cell.size)}: {verdict.speed:.2f} "
                              f"of {verdict.needed:.2f} of {' or '.join(line['bare'])}")
    return held, missed


def count(held, missed):
    lines = "\n".join(f"- {line}" for line in missed)
    return f"{held} of {held + len(missed)} judged figures held." + (f" Missed:\n\n{lines}" if missed else "")


def by_table(cells):
    """(layout, operation, cells by size) of each table."""
    for layout in sorted({cell.layout for cell in cells}, key=lambda name: (layout_of(name).ranks, name)):
        for operation in dict.fromkeys(cell.operation for cell in cells):
            rows = [cell for cell in cells if (cell.layout, cell.operation) == (layout, operation)]
            if rows:
                yield layout_of(layout), operation, sorted(rows, key=lambda cell: cell.size)


def tables(results, targets, cells, missing, libraries):
    """Everything that is shown: tables by ranks and operation, bounds, who is missing, the count of what was held."""
    titles, others = names(libraries), [library.name for library in libraries if not library.name.startswith("hansa")]
    judged = [cell for cell in cells if targets.loop(cell)]
    parts = []
    for layout, operation, rows in by_table(judged):
        parts.append(f"### {operation}, {layout.title}\n\n" + table(results, targets, rows, titles, others))
    memory = bounds(results, targets, judged)
    if memory:
        parts.append("### What memory allows: ncclMemAlloc, the same pages, both cores\n\n" + memory)
    parts += [f"Not measured: {title}: {why}" for title, why in missing.items()]
    held, missed = verdicts(results, targets, judged, others)
    parts.append(count(held, missed))
    return "\n\n".join(parts)


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    return f"{datetime.date.today()}, {len(os.sched_getaffinity(0))} cores of {cpu}, Linux {platform.release()}"


def insert(page, text, begin=BEGIN, end=END):
    """The page with the text between the markers; they are added at its end where it has none."""
    if begin not in page:
        page = page.rstrip("\n") + f"\n\n{begin}\n{end}\n"
    before, rest = page.split(begin, 1)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}"


def curves(results, targets, cells, others):
    """The judged loop's speeds as plot.py takes them."""
    drawn = {}
    for cell in sorted((cell for cell in cells if targets.loop(cell)), key=lambda cell: cell.size):
        for memory, name in zip(judge.VARIANTS, ("malloc", "ncclMemAlloc")):
            verdict = judge.compare(results, cell, f"hansa-{memory}", others, targets.loop(cell), None)
            if verdict:
                drawn.setdefault(f"{cell.layout} {cell.operation}", {}).setdefault(name, []).append([cell.size, verdict.speed])
    return {"judged": drawn}


def write(docs, text, form):
    """Puts the tables of a form, this one or cluster_report, into docs/performance.md."""
    page = docs / "performance.md"
    note = f"{machine()}. How to repeat it: {form.COMMAND}\n\n{form.LEGEND}"
    page.write_text(insert(page.read_text(), note + "\n\n" + text, form.BEGIN, form.END))


def draw(docs, drawing, python):
    """docs/performance.svg, by the python that has matplotlib."""
    subprocess.run([python, Path(__file__).with_name("plot.py"), docs / "performance.svg"], input=json.dumps(drawing), text=True,
                   check=True, timeout=120)
