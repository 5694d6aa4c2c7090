"""How long 256 ranks are inside ncclCommInitRank, on 16 hosts of one process with 16 threads each: start_up_test.py START_UP [HOSTS
RANKS_OF_EACH]. Time depends on the machine, so it is printed beside what is asked for and not judged."""
import subprocess
import sys
import time

from cluster import Cluster, Unavailable
from launched import check, environment

START_UP = sys.argv[1]
HOSTS, EACH = (int(word) for word in sys.argv[2:4]) if len(sys.argv) > 3 else (16, 16)
ASKED = 2.0  # seconds
PATIENCE = 60


def main():
    try:
        with Cluster(hosts=HOSTS, rate="") as cluster:
            begin = time.monotonic()
            jobs = [host.start([START_UP, number, HOSTS, EACH], env=environment(NCCL_COMM_ID="h0:5000"), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for number, host in enumerate(cluster.hosts)]
            printed = [job.communicate(timeout=PATIENCE) for job in jobs]
            check([job.returncode for job in jobs] == [0] * HOSTS, "every host's ranks start and sum", printed)
            slowest = max(float(output) for output, _ in printed)
            print(f"{HOSTS * EACH} ranks on {HOSTS} hosts: the slowest was {slowest:.2f} s inside ncclCommInitRank (asked for: {ASKED} s); "
                  f"{time.monotonic() - begin:.2f} s with an allreduce and the end")
    except Unavailable as why:
        print(f"[  SKIPPED ] no cluster here: {why}")


main()
