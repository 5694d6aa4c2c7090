"""What the `hansa` command prints, and how it fails: commands.py PATH_OF_HANSA"""
import xml.etree.ElementTree as tree

from hansa import expect, run, succeeds


def main():
    shown = succeeds("schedule", "show", "allreduce", "ring", "--ranks", "8", "--rank", "3")
    expect("rank 3 of 8" in shown.stdout and "repeat 6 times" in shown.stdout, shown, "must show rank 3's steps")
    drawn = succeeds("schedule", "show", "allreduce", "ring", "--ranks", "8", "--rank", "3", "--svg")
    expect(tree.fromstring(drawn.stdout).tag.endswith("svg"), drawn, "must draw an SVG")
    rows = succeeds("schedule", "list").stdout.splitlines()
    for row in rows:  # each can be shown and proven
        collective, algorithm = row.split()[:2]
        succeeds("schedule", "show", collective, algorithm, "--hosts", "2,2", "--all")
        succeeds("schedule", "check", collective, algorithm, "--hosts", "2,2")
    demo = succeeds("demo", "--ranks", "3")
    expect("Out of bounds values : 0 OK" in demo.stdout, demo, "must check every value")
    for wrong in (("schedule", "show", "allreduce", "rng"), ("schedule", "show", "allreduce", "ring", "--rank", "9"), ("demo", "--ranks", "0"), ("nonsense",)):
        result = run(*wrong)
        expect(result.returncode != 0 and len(result.stderr) > 10, result, "must fail and say why")
    print(f"{len(rows)} algorithms shown and proven")


main()
