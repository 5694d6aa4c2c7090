"""Runs the same loop through several libraries in turn and prints the median time of each size.

    compare.py ROUNDS NAME=COMMAND...
"""
import shlex
import statistics
import subprocess
import sys


def run(command):
    output = subprocess.run(shlex.split(command), check=True, capture_output=True, text=True, timeout=300).stdout
    return {int(size): float(time) for size, time in (line.split() for line in output.splitlines())}


def main():
    rounds, peers = int(sys.argv[1]), dict(argument.split("=", 1) for argument in sys.argv[2:])
    times = {name: [] for name in peers}
    for _ in range(rounds):  # in turn, so that all meet the same machine
        for name, command in peers.items():
            times[name].append(run(command))
    names = list(peers)
    print(f"{'bytes':>10}" + "".join(f"{name:>14}" for name in names) + "   best other / " + names[0])
    for size in times[names[0]][0]:
        medians = [statistics.median(result[size] for result in times[name]) for name in names]
        print(f"{size:>10}" + "".join(f"{median:>11.2f} us" for median in medians) + f"{min(medians[1:]) / medians[0]:>16.2f}")


main()
