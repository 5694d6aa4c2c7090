"""Processes seen from outside: who runs below whom, and whether all have gone."""
import time


def runs(pid):
    """Neither gone nor a zombie, which waits for whoever inherited it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(runs(pid) for pid in pids):
            return True
        time.sleep(0.01)
    return False


def children_of(pids):
    """All processes below these."""
    below, todo = [], list(pids)
    while todo:
        try:
            with open(f"/proc/{todo[-1]}/task/{todo.pop()}/children", encoding="ascii") as children:
                found = [int(word) for word in children.read().split()]
        except FileNotFoundError:
            continue
        below += found
        todo += found
    return below
