"""`hansa status`, `hansa dump`, `hansa trace merge` and HANSA_DUMP beside ranks that run, hang, differ, die: diagnosis.py HANSA
LIBRARY"""
import json
import os
import shutil
import sys
import tempfile
import time

from hansa import HANSA, expect, run, succeeds
from ranks import Ranks

LIBRARY = sys.argv[2]


def rows_of(ranks):
    """The status of these ranks; others may run on this machine."""
    pids = [process.pid for process in ranks.processes]
    return sorted((row for row in json.loads(succeeds("status", "--json").stdout)["communicators"] if row["pid"] in pids),
                  key=lambda row: pids.index(row["pid"]))


def dumped(ranks, folder):
    """`hansa dump` of all ranks into the folder, then what `hansa trace merge` says of it."""
    succeeds("dump", *[str(process.pid) for process in ranks.processes], "-o", folder)
    return findings(folder)


def findings(folder):
    return json.loads(succeeds("trace", "merge", folder, "--json").stdout)["findings"]


def expect_finding(found, verdict, *words):
    if not found or found[0]["verdict"] != verdict or not all(word in found[0]["text"] for word in words):
        sys.exit(f"wanted first {verdict} with {words}, got {json.dumps(found, indent=1)}")


def running(folder):
    with Ranks(LIBRARY, folder, 2, "idle") as ranks:
        ranks.await_word("ready0", "ready1")
        rows = rows_of(ranks)
        facts = [(row["rank"], row["ranks"], row["state"], row["operations"], row["bytes"], row["running"]) for row in rows]
        assert facts == [(0, 2, "ready", 3, 1200, False), (1, 2, "ready", 3, 1200, False)], rows
        assert all(row["operation"] == "allreduce #3 of 100 int32, sum" and row["communicator"] == rows[0]["communicator"] for row in rows), rows
        text = succeeds("status")
        expect(all(f"{ranks.pid(rank):>8} {rank:>6} of 2" in text.stdout for rank in (0, 1)), text, "must list both ranks")
        one = json.loads(succeeds("dump", str(ranks.pid(0))).stdout)
        assert len(one["entries"]) == 3 and one["hansa"]["pid"] == ranks.pid(0), one
        refused = run("dump", str(ranks.pid(0)), str(ranks.pid(1)))
        expect(refused.returncode == 1 and "2 ranks to write: name a folder with -o" in refused.stderr, refused, "must ask for a folder")
        assert dumped(ranks, os.path.join(folder, "dumps")) == []
        others(ranks)
        ranks.say("go")
        assert (ends := ranks.end()) == [0, 0], ends
    gone = run("dump", str(ranks.pid(0)))
    expect(gone.returncode == 1 and "there is no process" in gone.stderr, gone, "must say that it has ended")


def others(ranks):
    """What is none of one's business is refused plainly: by root's child as nobody, or by anybody of root's first process."""
    if os.getuid() == 0:
        os.chmod(ranks.folder, 0o711)
        command, pid, options = shutil.copy(HANSA, ranks.folder), ranks.pid(0), {"user": 65534}
        none = run("status", command=command, **options)
        expect(none.returncode == 0 and str(pid) not in none.stdout, none, "must not show it")
    else:
        command, pid, options = HANSA, 1, {}
    refused = run("dump", str(pid), command=command, **options)
    expect(refused.returncode == 1 and "only that user and root may look at it" in refused.stderr, refused, "must be refused")
    strange = run("dump", str(os.getpid()))
    expect("does not use Hansa" in strange.stderr, strange, "must say that there is nothing")


def hanging(folder):
    with Ranks(LIBRARY, folder, 2, "late", HANSA_LATE_REPORT="0.5") as ranks:
        ranks.await_word("ready0", "ready1")
        deadline = time.monotonic() + 30
        while (row := rows_of(ranks)[0])["late"] is None or row["seconds"] < 1:
            assert time.monotonic() < deadline, row
        assert row["running"] and "rank 1" in row["late"] and row["late_told_seconds_ago"] > 0, row
        text = succeeds("status")
        expect("late, as of " in text.stdout and "missing rank 1" in text.stdout, text, "must say who is late")
        expect("in allreduce #4 of 100 int32, sum for" in text.stdout and "STUCK_OUTSIDE: " in text.stdout, text, "must name the call")
        found = dumped(ranks, os.path.join(folder, "dumps"))
        expect_finding(found, "STUCK_OUTSIDE", "1 of 2 ranks are in allreduce #4", f"pid {ranks.pid(1)}) has not called it",
                       "outside the library", "allreduce #3")
        assert found[0]["ranks"] == [1], found
        trace = os.path.join(folder, "trace.json")
        plain = succeeds("trace", "merge", os.path.join(folder, "dumps"), "-o", trace)
        expect(plain.stdout.startswith("2 ranks\nSTUCK_OUTSIDE: "), plain, "must say it in words")
        with open(trace, encoding="utf-8") as file:
            events = [event for event in json.load(file)["traceEvents"] if event["ph"] == "X"]
        assert sorted(event["args"]["state"] for event in events) == ["done"] * 6 + ["running"], events
        ranks.say("go")
        assert (ends := ranks.end()) == [0, 0], ends


def timing_out(folder):
    dumps = os.path.join(folder, "dumps")
    os.mkdir(dumps)
    with Ranks(LIBRARY, folder, 2, "time_out", HANSA_DUMP=dumps, HANSA_TIMEOUT="3") as ranks:
        assert (ends := ranks.end()) == [0, 0], ends
        expect_finding(findings(dumps), "STUCK_OUTSIDE", "allreduce #4", f"pid {ranks.pid(1)}) has not called it")


def differing(folder):
    dumps = os.path.join(folder, "dumps")
    os.mkdir(dumps)
    with Ranks(LIBRARY, folder, 2, "mismatch", HANSA_DUMP=dumps) as ranks:
        assert (ends := ranks.end()) == [0, 0], ends
        names = sorted(os.listdir(dumps))
        assert [name.split("-")[-2:] for name in names] == [[str(ranks.pid(rank)), f"{rank}.json"] for rank in
                                                            sorted((0, 1), key=lambda rank: str(ranks.pid(rank)))], names
    expect_finding(findings(dumps), "METADATA_MISMATCH", "rank 0 called allreduce #2 of 100", "rank 1 called allreduce #2 of 101")


def waiting_in_a_circle(folder):
    with Ranks(LIBRARY, folder, 2, "opposite") as ranks:
        ranks.await_word("ready0", "ready1")
        time.sleep(1.5)
        expect_finding(dumped(ranks, os.path.join(folder, "dumps")), "DEADLOCK", f"pid {ranks.pid(0)}) is in allreduce #1",
                       f"pid {ranks.pid(1)}), which is in allreduce #1")


def dying(folder):
    dumps = os.path.join(folder, "dumps")
    os.mkdir(dumps)
    with Ranks(LIBRARY, folder, 3, "death", HANSA_DUMP=dumps) as ranks:
        ranks.await_word("ready0", "ready1", "ready2")
        time.sleep(0.2)
        ranks.processes[1].kill()
        assert (ends := ranks.end()) == [0, -9, 0], ends
        names = os.listdir(dumps)
        assert len(names) == 2 and all(name.endswith(("-0.json", "-2.json")) for name in names), names
    failed = [finding for finding in findings(dumps) if finding["verdict"] == "FAILED"]
    expect_finding(failed, "FAILED", "ranks 0 and 2", "rank 1")


def aborting(folder):
    """Who aborts wants no dump, the others do; where the folder does not exist, the failure is what it is without."""
    dumps = os.path.join(folder, "dumps")
    os.mkdir(dumps)
    with Ranks(LIBRARY, folder, 2, "abort", HANSA_DUMP=dumps) as ranks:
        assert (ends := ranks.end()) == [0, 0], ends
        assert [name.split("-")[-1] for name in os.listdir(dumps)] == ["1.json"], os.listdir(dumps)


def writing_nowhere(folder):
    with Ranks(LIBRARY, folder, 2, "abort", HANSA_DUMP=os.path.join(folder, "no", "such"), HANSA_DEBUG="NONE") as ranks:
        assert (ends := ranks.end()) == [0, 0], ends


def refusing_files(folder):
    bad = os.path.join(folder, "hansa-flight-bad.json")
    with open(bad, "w", encoding="utf-8") as file:
        file.write('{"rank": 1}')
    refused = run("trace", "merge", folder)
    expect(refused.returncode == 1 and f"{bad}: this is no dump" in refused.stderr, refused, "must name the file")
    os.remove(bad)
    empty = run("trace", "merge", folder)
    expect(empty.returncode == 1 and "no hansa-flight-*.json" in empty.stderr, empty, "must say that there is none")


def main():
    scenes = [running, hanging, timing_out, differing, waiting_in_a_circle, dying, aborting, writing_nowhere, refusing_files]
    for scene in scenes:
        with tempfile.TemporaryDirectory() as folder:
            scene(folder)
    print(f"{len(scenes)} scenes: " + ", ".join(scene.__name__ for scene in scenes))


main()
