"""The plot of the comparison, drawn by matplotlib, which runs in a virtual environment of its own:

    plot.py FILE.svg    with {"judged": {"RANKS OPERATION": {NAME: [[bytes, speed]...]}}} on standard input
"""
import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "hansa", "svg.fonttype": "none", "font.size": 8})
import matplotlib.pyplot as pyplot

COLOURS = {"malloc": "#1f5fa8", "ncclMemAlloc": "#c0392b"}


def size_text(size):
    return f"{size >> 20}M" if size >= 1 << 20 else f"{size >> 10}K" if size >= 1 << 10 else str(size)


def draw(panel, title, curves):
    panel.axhline(1, color="#888888", linewidth=0.8)
    for name, points in curves.items():
        panel.plot([size for size, _ in points], [speed for _, speed in points], ".-", color=COLOURS[name], label=name, linewidth=1)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log", base=2)
    ticks = [4, 256, 4 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20]
    panel.set_xticks(ticks, [size_text(tick) for tick in ticks])
    panel.set_yticks([0.25, 0.5, 1, 2, 4, 8, 16], ["1/4", "1/2", "1", "2", "4", "8", "16"])
    panel.grid(alpha=0.3, linewidth=0.4)
    panel.set_title(title)


def main():
    data = json.load(sys.stdin)["judged"]
    ranks = sorted({key.split()[0] for key in data}, key=int)
    operations = list(dict.fromkeys(key.split()[1] for key in data))
    figure, panels = pyplot.subplots(len(ranks), len(operations), squeeze=False, sharex=True, sharey=True,
                                     figsize=(2.6 * len(operations), 2.1 * len(ranks) + 0.6))
    for row, count in enumerate(ranks):
        for column, operation in enumerate(operations):
            draw(panels[row][column], f"{operation}, {count} ranks", data.get(f"{count} {operation}", {}))
        panels[row][0].set_ylabel("times as fast as the best other")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=2)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(sys.argv[1], metadata={"Date": None, "Creator": None})
    drawing = pathlib.Path(sys.argv[1])
    drawing.write_text("".join(line.rstrip() + "\n" for line in drawing.read_text().splitlines()))


main()
