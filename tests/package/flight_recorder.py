"""PyTorch's own flight-recorder analyser reads what `hansa dump` and HANSA_DUMP write: flight_recorder.py HANSA LIBRARY FOLDER, the
last to keep what is fetched."""
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time

import wheels
from ranks import Ranks

HANSA, LIBRARY, FETCHED = sys.argv[1:4]
# Of PyTorch only the analyser, which needs no other part of it.
WHEELS = ("torch==2.13.0", "tabulate==0.9.0")


def analyse(dumps, analyser):
    """What it says of JSON dumps. Its command takes pickles of the same dictionaries, one for each rank."""
    pickles = os.path.join(dumps, "pickles")
    os.mkdir(pickles)
    for name in [name for name in os.listdir(dumps) if name.endswith(".json")]:
        with open(os.path.join(dumps, name), encoding="utf-8") as file:
            dump = json.load(file)
        with open(os.path.join(pickles, f"rank_{dump['rank']}"), "wb") as file:
            pickle.dump(dump, file)
    database = os.path.join(dumps, "database")
    result = subprocess.run([sys.executable, "-m", "torch.distributed.flight_recorder.fr_trace", pickles, "-p", "rank_", "-o", database],
                            env={**os.environ, "PYTHONPATH": analyser}, capture_output=True, text=True, timeout=100)
    if result.returncode != 0:
        sys.exit(f"the analyser fails:\n{result.stdout}{result.stderr}")
    sys.path.insert(0, analyser)
    with open(database, "rb") as file:
        _, found = pickle.load(file)
    return found, result.stdout + result.stderr


def dump(ranks, folder):
    subprocess.run([HANSA, "dump", *[str(process.pid) for process in ranks.processes], "-o", folder], check=True, timeout=60, capture_output=True)
    return folder


def expect(condition, what, text):
    if not condition:
        sys.exit(f"{what}\n{text}")


def well(folder, analyser):
    with Ranks(LIBRARY, folder, 2, "mixed") as ranks:
        ranks.await_word("ready0", "ready1")
        found, text = analyse(dump(ranks, os.path.join(folder, "dumps")), analyser)
        ranks.say("go")
        expect(ranks.end() == [0, 0], "the ranks must end well", text)
    # Five of the records are messages, which are not its business.
    expect(len(found.collectives) == 2043 and all(one.pass_check for one in found.collectives), "all must match", text)


def late(folder, analyser):
    with Ranks(LIBRARY, folder, 2, "late") as ranks:
        ranks.await_word("ready0", "ready1")
        time.sleep(0.2)
        found, text = analyse(dump(ranks, os.path.join(folder, "dumps")), analyser)
        ranks.say("go")
        expect(ranks.end() == [0, 0], "the ranks must end well", text)
    expect([one.missing_ranks for one in found.collectives] == [None, None, None, {1}], "it must see who is missing", text)
    expect("Not all ranks joining collective, sequence number: 4" in text, "it must name the call", text)


def mismatch(folder, analyser):
    dumps = os.path.join(folder, "dumps")
    os.mkdir(dumps)
    with Ranks(LIBRARY, folder, 2, "mismatch", HANSA_DUMP=dumps) as ranks:
        expect(ranks.end() == [0, 0], "both must fail", "")
    found, text = analyse(dumps, analyser)
    expect([one.pass_check for one in found.collectives] == [True, False], "it must see the second call", text)
    expect("SIZE_OR_SYNTAX_MISMATCH" in text and "Expected input sizes: '[[100]]'" in text, "it must name what differs", text)


def main():
    analyser = wheels.fetch(FETCHED, WHEELS, lambda name: name.startswith(("torch/distributed/flight_recorder/", "tabulate/")))
    for scene in (well, late, mismatch):
        with tempfile.TemporaryDirectory() as folder:
            scene(folder, analyser)
    print("PyTorch's analyser agrees on what went well, on who is late, and on what differs")


main()
