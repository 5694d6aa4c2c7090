"""The comparison between hosts as tables, printed and in docs/performance.md."""
import judge
from report import count, by_table, names, speed_text, time_text

BEGIN, END = (f"<!-- written by scripts/compare --cluster: {end} -->" for end in ("begin", "end"))
COMMAND = "`scripts/compare --cluster`."
LEGEND = """Medians of the slowest rank's time, in the loop that is judged: input rewritten before each call, one call from a barrier (a
broadcast below 16 KiB: the root leaves it first). In parentheses the first and the last tenth of calls. **links** is what the fullest link
takes for the least bytes, at the rate of a stream measured between the same jobs; *of it* Hansa's share of that speed, *times the best*
its speed beside the best other's; in parentheses what is asked for; bold is missed. Percents are of all cores' time, the loop and its barrier
included; all MPIs poll."""


def with_spread(figure):
    if figure is None:
        return ""
    return f"{time_text(figure.median)} ({time_text(figure.low)} to {time_text(figure.high)}), {figure.busy:.0%}"


def plain(figure):
    return "" if figure is None else f"{time_text(figure.median)}, {figure.busy:.0%}"


def verdicts_of(results, targets, cell, library, others):
    """(beside the best other, beside the links), each a judge.Verdict or None, and whether something is asked."""
    variant, loop = library.removeprefix("hansa-"), targets.loop(cell)
    needed, share = targets.needed(cell, variant), targets.share_of_links(cell)
    best = judge.compare(results, cell, library, others, loop, needed, targets.counts_spread(cell, variant))
    return (best, needed is not None), (judge.compare_link(results, cell, library, loop, share), share is not None)


def table(results, targets, cells, library, titles, others):
    shown = [other for other in others if any(results.median(cell, other, targets.loop(cell)) for cell in cells)]
    head = ["bytes", "links", titles[library], "of it", "times the best"] + [titles[other] for other in shown]
    rows = [head, ["---"] * len(head)]
    for cell in cells:
        loop = targets.loop(cell)
        (best, asked), (share, asked_of_links) = verdicts_of(results, targets, cell, library, others)
        rows.append([judge.size_text(cell.size), time_text(judge.link_bound(results, cell)), with_spread(results.figure(cell, library, loop)),
                     speed_text(share, asked_of_links), speed_text(best, asked)]
                    + [plain(results.figure(cell, other, loop)) for other in shown])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def tables(results, targets, cells, missing, libraries):
    """As report.tables."""
    titles, others = names(libraries), [library.name for library in libraries if not library.name.startswith("hansa")]
    judged = [cell for cell in cells if targets.loop(cell)]
    own = [library.name for library in libraries if library.name.startswith("hansa")]
    parts, held, missed = [], 0, []
    for layout, operation, rows in by_table(judged):
        for library in own:
            if any(results.median(cell, library, targets.loop(cell)) for cell in rows):
                parts.append(f"### {operation}, {layout.title}: {titles[library]}\n\n" + table(results, targets, rows, library, titles, others))
            for cell in rows:
                for (verdict, asked), of in zip(verdicts_of(results, targets, cell, library, others), ("the best other", "what links allow")):
                    if verdict and asked:
                        held += verdict.held
                        missed += [] if verdict.held else [
                            f"{layout.title}, {operation}, {judge.size_text(cell.size)}, {library.removeprefix('hansa-')}: {verdict.speed:.2f} of {verdict.needed:.2f} of {of}"]
    parts += [f"Not measured: {title}: {why}" for title, why in missing.items()]
    return "\n\n".join(parts + [count(held, missed)])
