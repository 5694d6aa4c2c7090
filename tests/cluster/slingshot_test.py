#!/usr/bin/env python3
"""What two ranks do on hosts that look like Slingshot's or InfiniBand's: slingshot_test.py COMM_ID_RANK FOLDER_OF_CXI_RULES

The interface is a link to nowhere, devices are files in a file system of their own before /sys/class, and cxi is the provider of rules.
"""
import re
import subprocess
import sys

from cluster import Cluster, Unavailable
from launched import AT_COMM_ID

PROGRAM, RULES = sys.argv[1:3]
LAUNCHER = {"SLINGSHOT_VNIS": "1024", "SLINGSHOT_SVC_IDS": "5", "SLINGSHOT_DEVICES": "cxi0", "SLINGSHOT_TCS": "0xa"}
HSN = "ip link add hsn0 type veth peer name unplugged0"
INFINIBAND = "mount -t tmpfs tmpfs /sys/class; d=/sys/class/infiniband/mlx5_0/ports/1; mkdir -p $d; echo 4: ACTIVE > $d/state; echo InfiniBand > $d/link_layer"
SMALL = ["setpriv", "--bounding-set=-ipc_lock", "prlimit", "--memlock=8388608"]


def on_cxi(host, **more):
    return {"LD_LIBRARY_PATH": RULES, "CXI_RULES_ADDRESS": host.addresses[0], "CXI_RULES_ABORT": "1", "CXI_RULES_UNEXPECTED": "0",
            "IPATH_NO_BACKTRACE": "1", **more}


def run(cluster, prepare=":", prefix=(), cxi=False, **variables):
    """Of each rank: its exit status, and what it printed."""
    ranks = []
    for rank, host in enumerate(cluster.hosts):
        own = {"RANK": str(rank), "RANKS": "2", "HANSA_DEBUG": "INFO", "HANSA_INIT_TIMEOUT": "20", **(on_cxi(host) if cxi else {}), **variables}
        line = [*AT_COMM_ID, *(f"{name}={value}" for name, value in own.items()), *prefix, PROGRAM, "RANK", "RANKS"]
        host.run(["sh", "-c", prepare])
        ranks.append(host.start(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    printed = [rank.communicate(timeout=60)[0] for rank in ranks]
    return [(rank.returncode, text) for rank, text in zip(ranks, printed)]


def expect(name, ranks, status, *patterns, absent=(), times=None):
    for number, (code, text) in enumerate(ranks):
        wrong = [f"exit status {code}, not {status}"] if (code != 0) != (status != 0) else []
        wrong += [f"no '{pattern}'" for pattern in patterns if not re.search(pattern, text)]
        wrong += [f"there is '{pattern}'" for pattern in absent if re.search(pattern, text)]
        wrong += [f"'{times}' is there {len(re.findall(times, text))} times"] if times and len(re.findall(times, text)) != 1 else []
        if wrong:
            sys.exit(f"failed: {name}: rank {number}: {'; '.join(wrong)}\n{text}")
    print(f"{name}: passed", flush=True)


def cxi(cluster):
    line = r"INFO libfabric 1\.\d+, provider cxi: FI_MR_CACHE_MONITOR=userfaultfd \(Hansa\)"
    ranks = run(cluster, cxi=True, **LAUNCHER, FI_CXI_RX_MATCH_MODE="software", FI_CXI_RDZV_GET_MIN="",
                FI_LOG_LEVEL="info", FI_LOG_SUBSYS="core")
    expect("settings", ranks, 0, line, r"FI_CXI_RX_MATCH_MODE=software \(user\)", r"FI_CXI_RDZV_GET_MIN= \(user\)",
           r"FI_CXI_DEFAULT_CQ_SIZE=131072 \(Hansa\)", r"SLINGSHOT_VNIS=1024 \(launcher\)", r"sum 3",
           r"read string var mr_cache_monitor=userfaultfd", absent=["WARN provider cxi: the launcher"], times="INFO libfabric")
    expect("no virtual network", run(cluster, cxi=True, CXI_RULES_NETWORK="1"), 1,
           r"fi_domain of cxi failed.*SLINGSHOT_VNIS is not set.*srun")
    some = {**LAUNCHER, "SLINGSHOT_SVC_IDS": ""}
    expect("half a virtual network", run(cluster, cxi=True, **some), 0, r"WARN provider cxi: .*SLINGSHOT_SVC_IDS not set", r"sum 3")
    expect("a limit", run(cluster, cxi=True, prefix=SMALL, **LAUNCHER), 0, r"WARN provider cxi: RLIMIT_MEMLOCK is 8192 KiB.*ulimit -l", r"sum 3")


def tcp(cluster):
    expect("an ordinary host", run(cluster), 0, r"sum 3", absent=["Slingshot", "FI_CXI"])
    expect("Slingshot without cxi", run(cluster, HSN), 1, r"this host has Slingshot \(interface hsn0\), but libfabric's provider is tcp.*FI_PROVIDER=tcp")
    expect("TCP by FI_PROVIDER", run(cluster, FI_PROVIDER="tcp,ofi_rxm"), 0, r"INFO this host has Slingshot.*as FI_PROVIDER=tcp,ofi_rxm says", r"sum 3", absent=["WARN"])
    expect("TCP by HANSA_TRANSPORT", run(cluster, HANSA_TRANSPORT="libfabric"), 0, r"WARN this host has Slingshot.*many times slower", r"sum 3")
    expect("InfiniBand", run(cluster, "ip link del hsn0; " + INFINIBAND), 0, r"WARN this host has InfiniBand \(device mlx5_0\).*many times slower", r"sum 3",
           times="WARN")


def main():
    try:
        with Cluster(hosts=2) as cluster:
            cxi(cluster)
            tcp(cluster)
    except Unavailable as why:
        print(f"[  SKIPPED ] no cluster here: {why}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
