"""What the other ranks see of a fault, and how soon: adds RUNS runs to a log, then writes what all runs in it say into
docs/errors.md between its markers.

    python3 tests/fault/measure_errors.py build/release LOG RUNS docs/errors.md [PLACE...]

With places (or collectives) only their rows are measured, and the others stay as they are.
"""
import re
import statistics
import subprocess
import sys

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
# What happens, and the cells of the matrix where it does.
ROWS = [
    ("killed in an operation, between two cells", "message.half", "kill"),
    ("killed while memory of its own is offered", "offer.sent", "kill"),
    ("killed between two pieces of a single copy", "copy.half", "kill"),
    ("its peer is killed while it copies the peer's memory", "copy.half", "bereavement"),
    ("killed after it mapped a peer's memory", "memory.mapped", "kill"),
    ("exits without a word in an operation", "message.sent", "exit"),
    ("killed during init, having come", "init.joined", "kill"),
    ("killed during init: the leader of its host", "hub.gathered", "kill"),
    ("killed during init: whose process made the id", "root.assigned", "kill"),
    ("killed in `ncclCommSplit`", "split.placed", "kill"),
    ("killed in `ncclCommShrink`", "shrink.placed", "kill"),
    ("killed in `ncclCommDestroy`, others in their next call", "destroy.leave", "kill"),
    ("closes the library's descriptors in an operation", "message.half", "descriptors"),
    ("its init fails", "init.agreed", "fail"),
    ("sends damaged bytes, with HANSA_CHECKSUM=1", "cell.sealed", "fail"),
    ("calls with another count", "allreduce", "count"),
    ("calls another collective", "allreduce", "collective"),
    ("calls with another root", "broadcast", "root"),
]
LINE = re.compile(r"^seen: (\S+) (\S+) (\d+) (-?[\d.]+) ms: (.*)$", re.MULTILINE)
RUN = "run\n"


def plain(text):
    """A text without what differs from run to run."""
    text = re.sub(r"\(host [^,)]+, pid \d+\)", "(host H, pid P)", text)
    text = re.sub(r"\(host [^,)]+\)", "(host H)", text)
    text = re.sub(r"\d+(\.\d+){3}:\d+", "ADDRESS", text)
    text = re.sub(r"message \d+ of lane \d+, \d+ bytes", "message N of lane L, B bytes", text)
    text = re.sub(r"#\d+ of \d+", "#N of C", text)
    text = re.sub(r"for \d+\.\d s", "for T s", text)
    text = re.sub(r"ranks? [\d, -]*\d", lambda found: re.sub(r"\d+", "N", found.group()), text)
    return text if len(text) < 150 else text[:text.rfind(" ", 0, 150)] + " ..."


def run_once(program, log, rows):
    wanted = {(point, strike) for _, point, strike in rows}
    cells = ":".join(f"*/{point.replace('.', '_')}_{strike}_*" for point, strike in sorted(wanted))
    run = subprocess.run([program, f"--gtest_filter={cells}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = run.stdout
    if run.returncode != 0:
        sys.exit(f"{output}a cell failed, see above: {program} --gtest_filter={cells}")
    with open(log, "a") as file:
        file.write(RUN + "".join(line + "\n" for line in output.splitlines() if LINE.match(line)))


def read(log):
    """How many runs there are, and what was seen of each cell."""
    with open(log) as file:
        text = file.read()
    seen = {}
    for found in LINE.finditer(text):
        point, strike, ranks, milliseconds, words = found.groups()
        seen.setdefault((point, strike), []).append((float(milliseconds), plain(words)))
    return text.count(RUN), seen


def row(what, samples):
    times = [time for time, _ in samples]
    texts = [text for _, text in samples]
    commonest = max(set(texts), key=texts.count).replace("|", "\\|")
    return f"| {what} | {commonest} | {statistics.median(times):.1f} ms | {max(times):.0f} ms |"


def table(seen, rows, runs, before):
    lines = [f"{runs} runs each with 2 and with 4 ranks, which share 2 cores; time from the fault to the return of the pending call, over",
             "all other ranks.", "",
             "| A rank is / does | Most often seen by the others | median | worst |", "|---|---|---|---|"]
    for what, point, strike in ROWS:
        old = [line for line in before if line.startswith(f"| {what} |")]
        samples = seen.get((point, strike)) if (what, point, strike) in rows else None
        if not samples and not old:
            sys.exit(f"nobody saw anything of {point}={strike}")
        lines.append(row(what, samples) if samples else old[0])
    return "\n".join(lines)


def main():
    build, log, runs, page, *places = sys.argv[1:]
    rows = [one for one in ROWS if not places or one[1] in places]
    for _ in range(int(runs)):
        run_once(f"{build}/bin/fault_matrix_test", log, rows)
    with open(page) as file:
        text = file.read()
    head, rest = text.split(BEGIN)
    before, tail = rest.split(END)
    done, seen = read(log)
    with open(page, "w") as file:
        file.write(f"{head}{BEGIN}\n{table(seen, rows, done, before.splitlines())}\n{END}{tail}")


if __name__ == "__main__":
    main()
