"""`hansa bench`: its table, files, flags and exit codes, and how it ends when something goes wrong. bench.py HANSA HANSA_WITH_FAULTS"""
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

import bench_parsers

HANSA, FAULTY = sys.argv[1:3]
PROGRAMS = ["all_reduce", "all_gather", "broadcast", "reduce_scatter", "reduce", "alltoall", "alltoallv", "scatter", "gather", "sendrecv", "hypercube"]
SHARED = {"all_gather", "reduce_scatter", "alltoall", "scatter", "gather", "hypercube"}  # sizes are cut into shares of 16 bytes
MESSAGES = {"alltoall", "alltoallv", "sendrecv"}  # nothing is defined in place
QUICK = ["-b", "8", "-e", "4K", "-f", "8", "-n", "2"]
OK, FAILED_CALL, TIMED_OUT, WRONG, REFUSED, INTERRUPTED = 0, 3, 4, 7, 255, 130
PATIENCE = 100


def run(*command, expect=OK, **variables):
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **variables})
    if result.returncode != expect:
        sys.exit(f"{' '.join(command)} {variables}: exit status {result.returncode}, not {expect}\n{result.stdout}{result.stderr}")
    return result


def bench(ranks, program, *flags, expect=OK, of=HANSA, **variables):
    return run(of, "bench", "-n", str(ranks), program, *flags, expect=expect, **variables)


def rows(output):
    return [line.split() for line in output.splitlines() if re.match(r"\s+\d", line)]


def check(condition, what, output=""):
    if not condition:
        sys.exit(f"{what}\n{output}")


def sizes_of(program, ranks):
    return [size // ranks // 16 * 16 * ranks if program in SHARED else size for size in (8, 64, 512, 4096)]


def test_parsers():
    """All programs, the counts that nccl-tests has, and what others read from it."""
    for ranks in (1, 2, 4):
        for program in PROGRAMS:
            output = bench(ranks, program, *QUICK).stdout
            sizes = [int(row[0]) for row in rows(output)]
            check(program == "alltoallv" or sizes == sizes_of(program, ranks), f"sizes of {program}", output)
            bench_parsers.read_all(output, program, sizes, ranks, plain_op=program != "hypercube")
            in_place = {row[-1] for row in rows(output)}
            check(in_place == ({"N/A"} if program in MESSAGES else {"0"}), f"{program}: #wrong in place is {in_place}", output)


def test_numbers():
    """Bus bandwidth follows from time as documented."""
    for program, share in (("all_reduce", 2 * 3 / 4), ("all_gather", 3 / 4), ("broadcast", 1)):
        for row in rows(bench(4, program, "-b", "1M", "-e", "1M", "-n", "4").stdout):
            size, time_us, algbw, busbw = int(row[0]), float(row[5]), float(row[6]), float(row[7])
            check(abs(algbw - size / time_us / 1e3) <= 0.01 + algbw * 0.01, f"algbw of {program}: {row}")
            check(abs(busbw - algbw * share) <= 0.02, f"busbw of {program}: {row}")


def test_names():
    """Under nccl-tests' own name, with ranks as threads."""
    name = os.path.join(os.path.dirname(HANSA), "all_reduce_perf")
    output = run(name, "--minbytes=8", "-e", "64", "-f", "2", "-t2", "-g", "2", "--iters", "1", "-n", "3").stdout
    check("# Collective test starting: all_reduce_perf" in output and "nThread 2 nGpus 2 " in output, "the head", output)
    check("iters: 3" in output, "of a flag given twice the last counts", output)
    bench_parsers.read_all(output, "all_reduce", [8, 16, 32, 64], 4)
    output = run(HANSA, "bench", "-n", "4", "--threads-per-process", "2", "all_reduce_perf", *QUICK).stdout
    check(len({rank["pid"] for rank in bench_parsers.ranks(output)}) == 2, "two ranks to a process", output)


def test_flags():
    """Every flag of nccl-tests: taken, or refused with a reason."""
    for flags in (["-z", "1"], ["-z", "2", "-m", "3"], ["-z", "3"], ["-m", "4"], ["-a", "0"], ["-a", "2"], ["-a", "3"], ["-R", "1"], ["-R", "2"], ["-u", "1"],
                  ["-p", "1"], ["-c", "0"], ["-c", "3"], ["-w", "0"], ["-i", "8", "-e", "24", "-f", "1"], ["-G", "0"], ["-D", "0"], ["-V", "16"], ["-x", "0"], ["-y", "1"],
                  ["--malloc"], ["--stepfactor", "8", "--datatype", "double", "--op", "max", "--blocking", "0", "--timeout", "60", "--average", "1"],
                  ["--algorithm", "allreduce:ring"], ["--transport", "shm"], ["-N", "2"]):
        output = bench(2, "all_reduce", "-b", "8", "-e", "64", "-f", "8", "-n", "2", *flags).stdout
        check(len(rows(output)) == {"-N": 4, "-i": 3}.get(flags[0], 2), f"rows with {flags}", output)
    check({row[8] for row in rows(bench(2, "all_reduce", "-b", "8", "-e", "8", "-c", "0").stdout)} == {"N/A"}, "nothing is checked with -c 0")
    for flags in (["-G", "1"], ["-D", "1"], ["-V", "8"], ["-x", "1"], ["-b", "9Q"], ["-b", "-1"], ["-b", "2", "-e", "1"], ["-n", "0"], ["-d", "flaot"], ["-o", "xor"],
                  ["-J", "a.txt"], ["--nonsense"], ["-K", "1"], ["-n", "2", "-I", "1", "-K", "2"], ["--timing", "barrier", "-m", "2"], ["8"]):
        refused = bench(2, "all_reduce", *flags, expect=REFUSED)
        check(len(refused.stderr) > 20 and refused.stdout == "", f"{flags} is refused with a reason", refused.stdout + refused.stderr)
    for text, size in (("1.5K", 1536), ("4kb", 4096), ("2M", 2 << 20)):
        check(f"minBytes {size} maxBytes {size} " in bench(1, "reduce", "-b", text, "-e", text, "-n", "1").stdout, f"the size {text}")
    for words in ([], ["all_reduced"], ["--nonsense", "all_reduce"]):
        check("all_gather" in run(HANSA, "bench", "-n", "2", *words, expect=REFUSED).stderr, f"{words}: the programs are named")
    run(HANSA, "bench", "-n", "3", "--threads-per-process", "2", "all_reduce", expect=REFUSED)
    run(HANSA, "bench", "--threads-per-process", "2", "all_reduce", expect=REFUSED)
    check("--stepfactor" in run(HANSA, "bench", "all_reduce", "--help").stdout, "help lists the flags")
    check("ring" in bench(2, "all_reduce", *QUICK, "--algorithm", "rnig", expect=FAILED_CALL).stderr, "a wrong algorithm: those that exist are named")


def test_types():
    """All types and operators, and each root: everything exact."""
    output = bench(3, "all_reduce", "-b", "100", "-e", "100", "-o", "all", "-d", "all", "-n", "1", "-w", "0").stdout
    check(len({(row[2], row[3]) for row in rows(output)}) == 12 * 6 and " : 0 OK" in output, "12 types, 6 operators", output)
    for program in ("all_reduce", "reduce", "reduce_scatter"):  # more ranks than the narrowest type can count
        output = run(HANSA, "bench", program, "-t", "11", "-b", "600", "-e", "600", "-o", "all", "-d", "all", "-n", "1", "-w", "0").stdout
        check(len(rows(output)) == 12 * 6 and " : 0 OK" in output, f"{program} of 11 ranks", output)
    output = bench(3, "reduce", "-b", "1000", "-e", "1000", "-r", "-1", "-n", "1").stdout
    check([row[4] for row in rows(output)] == ["0", "1", "2"], "each root", output)
    for program in ("all_gatherv", "reduce_scatterv", "barrier"):
        output = bench(4, program, *QUICK).stdout
        check(len(rows(output)) == 4 and {row[-1] for row in rows(output)} == {"0"}, f"{program} of ours", output)
    output = bench(3, "hypercube", *QUICK).stdout
    check("nRanks 3 is not a power of 2, skipping" in output and not rows(output), "no hypercube of three", output)


def test_reports():
    """Columns that are asked for."""
    output = bench(2, "all_reduce", *QUICK, "-I", "1", "-K", "1", "-S", "1", "-C", "1", "-M", "1").stdout
    check("cputime" in output and "i_cv%" in output and "Host memory usage" in output, "heads", output)
    check(all(len(row) == 13 + 8 + 2 and re.match(r"20\d\d-", row[-2]) for row in rows(output)), "columns", output)
    output = bench(2, "all_reduce", *QUICK, "-n", "5", "--timing", "barrier", "--percentiles").stdout
    bench_parsers.read_all(output, "all_reduce", [8, 64, 512, 4096], 2)
    lines = re.findall(r"^# iterations (apart|in-place) +\(us\): min (\S+) p50 (\S+) p95 (\S+) p99 (\S+) max (\S+)$", output, re.M)
    check(len(lines) == 8, "two lines of percentiles a size", output)
    check(all(sorted(map(float, line[1:])) == list(map(float, line[1:])) for line in lines), "percentiles rise", output)
    check(all(float(line[1]) - 0.1 <= float(row[5]) <= float(line[5]) + 0.1 for line, row in zip(lines[::2], rows(output))), "the time is the mean of these", output)


def test_json():
    """nccl-tests' schema, version 3, and a new file each time."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "out.json")
        for name in (path, path + ".0"):
            output = bench(2, "all_gather", *QUICK, "-I", "1", "-J", path, OMP_NUM_THREADS="7", PASSWORD="no").stdout
            check(f"# Writing JSON output to {name}\n" in output, "the file is named", output)
            with open(name, encoding="utf-8") as file:
                found = json.load(file)
            check(found["version"] == 3 and found["config"]["iterations"] == 2 and found["config"]["parallel_init"] == "false", "the head", found)
            check([device["rank"] for device in found["config"]["devices"]] == [0, 1], "devices", found)
            check([result["size"] for result in found["results"]] == [int(row[0]) for row in rows(output)], "results", found)
            one = found["results"][-1]
            check(one["root"] == "    -1" and one["in_place"]["nwrong"] == 0 and one["out_of_place"]["time"] > 0, "a result", one)
            check(len(one["out_of_place_per_iter"]["times_us"]) == 2 and len(one["in_place_per_iter"]["per_process_max_times_us"]) == 2, "iterations", one)
            check(found["out_of_bounds"] == {"count": 0, "okay": "true"} and found["average_bus_bandwidth"]["okay"] == "unchecked", "the end", found)
            check("OMP_NUM_THREADS=7" in found["env"] and not any("PASSWORD" in entry for entry in found["env"]), "only names that matter", found["env"])


def test_variables():
    """NCCL_TESTS_*."""
    check(" FAILED" in bench(2, "all_reduce", *QUICK, expect=WRONG, NCCL_TESTS_MIN_BW="1e9").stdout, "too slow")
    check(re.search(r"Avg bus bandwidth    : \S+ OK", bench(2, "all_reduce", *QUICK, NCCL_TESTS_MIN_BW="0").stdout), "fast enough")
    for rule, groups in ((("NCCL_TESTS_SPLIT", "MOD 2"), [0, 1, 0, 1]), (("NCCL_TESTS_SPLIT", "/2"), [0, 0, 1, 1]), (("NCCL_TESTS_SPLIT_MASK", "0x2"), [0, 0, 2, 2])):
        output = bench(4, "alltoall", *QUICK, "-c", "1", **dict([rule]), NCCL_TESTS_DEVICE="3").stdout
        found = bench_parsers.ranks(output)
        check([rank["group"] for rank in found] == groups and {rank["device"] for rank in found} == {3}, f"{rule}", output)
        check(rows(output)[0][0] == "0" and rows(output)[1][0] == "64", "sizes are those of two ranks", output)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("0 1024 16\n512 0 0\n64 64 64\n")
        file.flush()
        output = bench(3, "alltoallv", "-b", "4K", "-e", "4K", NCCL_TESTS_ALLTOALLV_MATRIX_FILE=file.name, NCCL_TESTS_ALLTOALLV_MATRIX_SCALE="2").stdout
        check(rows(output)[0][:2] == ["2176", "0"], "the busiest rank's bytes", output)
        for wrong in ({"NCCL_TESTS_ALLTOALLV_MATRIX_SCALE": "-1"}, {"NCCL_TESTS_ALLTOALLV_SPREAD": "2"}):
            bench(3, "alltoallv", "-b", "4K", "-e", "4K", expect=REFUSED, NCCL_TESTS_ALLTOALLV_MATRIX_FILE=file.name, **wrong)
    check("different sizes" in bench(3, "reduce", "-r", "-1", *QUICK, expect=FAILED_CALL, NCCL_TESTS_SPLIT="MOD 2").stderr, "uneven groups")
    bench(3, "reduce", *QUICK, NCCL_TESTS_SPLIT="MOD 2")
    for wrong in ({"NCCL_TESTS_SPLIT": "MOD 0"}, {"NCCL_TESTS_SPLIT_MASK": "x"}, {"NCCL_TESTS_MIN_BW": "fast"}):
        bench(2, "all_reduce", *QUICK, expect=REFUSED, **wrong)


def test_wrong_data():
    """One bit on one rank is seen, whatever the program; without checks it is not."""
    for program in PROGRAMS:
        output = bench(2, program, "-b", "4K", "-e", "4K", "-n", "1", expect=WRONG, of=FAULTY, BENCH_FAULT="flip").stdout
        found, = rows(output)
        check("# wrong elements apart: 1 of rank 0.\n" in output, f"{program}: whose", output)
        check(found[-5] == "1" and found[-1] in ("1", "N/A"), f"{program}: one element is wrong", output)
        check("Out of bounds values : " + ("1" if program in MESSAGES else "2") + " FAILED" in output, f"{program}: checks that failed", output)
    bench(2, "all_reduce", *QUICK, "-c", "0", of=FAULTY, BENCH_FAULT="flip")


class Running:
    """A benchmark without end; the ranks' processes once it has printed two sizes."""

    def __init__(self, *command, **variables):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables},
                                        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # ignored by background jobs
        self.output = ""

    def measured(self):
        while len(rows(self.output)) < 2:
            line = self.process.stdout.readline()
            check(line, "it ended too soon", self.output)
            self.output += line
        return [rank["pid"] for rank in bench_parsers.ranks(self.output)]

    def ends(self, status):
        output, errors = self.process.communicate(timeout=PATIENCE)
        self.output += output
        check(self.process.returncode == status, f"exit status {self.process.returncode}, not {status}", self.output + errors)
        return errors


ENDLESS = ["all_reduce", "-b", "8", "-e", "1M", "-f", "2", "-n", "10", "-N", "0"]


def gone(pid):
    for _ in range(200):
        if not os.path.exists(f"/proc/{pid}"):
            return True
        time.sleep(0.01)
    return False


def test_stop():
    """Ctrl-C: what was measured stays, and nobody is left."""
    name = os.path.join(os.path.dirname(HANSA), "all_reduce_perf")
    for command in ([HANSA, "bench", "-n", "2", *ENDLESS], [name, *ENDLESS[1:], "-t", "2"]):
        for send, number in ((os.killpg, signal.SIGINT), (os.kill, signal.SIGINT), (os.kill, signal.SIGTERM)):  # the first as a terminal does
            running = Running(*command)
            ranks = running.measured()
            send(running.process.pid, number)
            running.ends(INTERRUPTED)
            check("Out of bounds values : 0 OK" in running.output and "# Stopped by a signal" in running.output, "the end of the table", running.output)
            check(all(map(gone, ranks)), "all ranks are gone")
            bench_parsers.cscs_reframe_tests(running.output)


def test_death():
    """A rank that dies or fails ends all, and is named; the table has no end then, which would look like success."""
    running = Running(HANSA, "bench", "-n", "3", *ENDLESS)
    ranks = running.measured()
    os.kill(ranks[2], signal.SIGKILL)
    errors = running.ends(FAILED_CALL)
    check("rank 2" in errors and "Out of bounds" not in running.output, "rank 2 is named", running.output + errors)
    check(all(map(gone, ranks)), "all ranks are gone")
    failed = bench(2, "all_reduce", *QUICK, expect=FAILED_CALL, of=FAULTY, BENCH_FAULT="fail")
    check("rank 0: all_reduce of" in failed.stderr and "Out of bounds" not in failed.stdout, "rank 0 is named", failed.stdout + failed.stderr)


def test_timeout():
    """A rank that leaves a call out."""
    late = bench(2, "all_reduce", "-b", "64", "-e", "64", "-T", "2", expect=TIMED_OUT, of=FAULTY, BENCH_FAULT="skip")
    check("Test timeout (2s): all_reduce of 64 bytes" in late.stderr and "Out of bounds" not in late.stdout, "it says what took too long", late.stderr)


def test_launcher():
    """Two processes that another program has started, two ranks each."""
    with tempfile.TemporaryDirectory() as folder:
        command = [FAULTY, "bench", "all_gather", *QUICK, "-t", "2", "-I", "1"]
        started = [Running(*command, BENCH_LAUNCHER=f"{rank} 2 {folder}/id") for rank in (1, 0)]
        for running in started:
            running.ends(OK)
        check(started[0].output == "", "only the first process prints", started[0].output)
        check([rank["device"] for rank in bench_parsers.ranks(started[1].output)] == [0, 1, 2, 3] and "0 OK" in started[1].output, "four ranks", started[1].output)
        started = [Running(FAULTY, "bench", *ENDLESS, BENCH_LAUNCHER=f"{rank} 2 {folder}/other") for rank in (1, 0)]
        started[1].measured()
        for running in started:
            running.process.send_signal(signal.SIGINT)
        started[1].ends(INTERRUPTED)
        started[0].process.communicate(timeout=PATIENCE)
        check("# Stopped by a signal" in started[1].output, "stopped", started[1].output)


def test_real_launchers():
    """MPICH's mpiexec, and the four variables that torchrun sets."""
    name = os.path.join(os.path.dirname(HANSA), "all_reduce_perf")
    bench_parsers.read_all(run("mpiexec.mpich", "-n", "4", name, *QUICK).stdout, "all_reduce", [8, 64, 512, 4096], 4)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [Running(HANSA, "bench", "alltoall", *QUICK, RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)) for rank in (1, 0)]
    for running in started:
        running.ends(OK)
    check(len(bench_parsers.ranks(started[1].output)) == 2 and started[0].output == "", "two ranks, of which the first prints", started[1].output)


def test_progress():
    """On a terminal, and nowhere else."""
    ours, theirs = pty.openpty()
    subprocess.run([HANSA, "bench", "-n", "2", "all_reduce", *QUICK], stdout=subprocess.PIPE, stderr=theirs, timeout=PATIENCE, check=True)
    os.close(theirs)
    text = ""
    try:
        while part := os.read(ours, 65536):
            text += part.decode()
    except OSError:
        pass  # the other end is closed and everything has been read
    os.close(ours)
    check("all_reduce of 8 bytes, in place" in text and text.endswith("\r\033[K"), "progress", text)
    check(bench(2, "all_reduce", *QUICK).stderr == "", "no progress into a file")


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            begin = time.monotonic()
            test()
            print(f"{name}: {time.monotonic() - begin:.1f} s", flush=True)


main()
