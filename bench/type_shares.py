#!/usr/bin/env python3
"""Allreduce of 2 ranks by type and operator: its bytes a second as a share of those of float sum, which is timed before each type.

    bench/type_shares.py [HANSA] [--malloc] [--rounds 5]

Prints a Markdown table: of the medians of the rounds, the least over the sizes.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TYPES = ["int8", "uint8", "int32", "uint32", "int64", "uint64", "half", "float", "double", "bfloat16", "f8e4m3", "f8e5m2"]
OPERATORS = ["sum", "prod", "min", "max", "avg", "mulsum"]
ASKED = 0.8


def measured(hansa, type_name, operator, malloc):
    """{(operator, size): bytes a second}"""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "out.json"
        words = [hansa, "bench", "-n", "2", "all_reduce", "-b", "1M", "-e", "64M", "-f", "8", "-d", type_name, "-o", operator,
                 "-n", "10", "-w", "2", "-c", "0", "--timing", "barrier", "--percentiles", "-J", file]
        subprocess.run([str(word) for word in words + ["--malloc"] * malloc], check=True, stdout=subprocess.DEVNULL)
        rows = json.loads(file.read_text())["results"]
    return {(row["redop"], row["size"]): row["size"] / row["out_of_place_per_iter"]["p50_us"] for row in rows}


def shares_of(hansa, type_name, given):
    """{(operator, size): share}, medians of the rounds."""
    rounds = []
    for _ in range(given.rounds):
        base = measured(hansa, "float", "sum", given.malloc)
        figures = measured(hansa, type_name, "all", given.malloc)
        rounds.append({cell: speed / base["sum", cell[1]] for cell, speed in figures.items()})
    return {cell: statistics.median(each[cell] for each in rounds) for cell in rounds[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hansa", nargs="?", default="build/release/bin/hansa")
    parser.add_argument("--malloc", action="store_true", help="ordinary memory, not ncclMemAlloc's")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    missed = []
    print(f"| type | {' | '.join(OPERATORS)} |\n|---{'|---' * len(OPERATORS)}|")
    for type_name in TYPES:
        shares = shares_of(given.hansa, type_name, given)
        cells = []
        for operator in OPERATORS:
            of_sizes = {size: share for (name, size), share in shares.items() if name == operator}
            cells.append(f"{min(of_sizes.values()):.2f}" if of_sizes else "")
            missed += [f"{type_name} {operator}, {size >> 20} MiB: {share:.2f}" for size, share in of_sizes.items() if share < ASKED]
        print(f"| {type_name} | {' | '.join(cells)} |", flush=True)
    print("\n" + ("\n".join(["Less than asked for:", *missed]) if missed else f"All are at {ASKED} or more."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
