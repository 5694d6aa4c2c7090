"""How public suites read nccl-tests' output: their expressions, with the name of the project that has them. Each returns bandwidths
or other numbers it found, or raises."""
import re


def cscs_reframe_tests(output):
    """eth-cscs/cscs-reframe-tests, checks/microbenchmarks/xccl/xccl_tests.py"""
    assert re.search(r"Out of bounds values\s*:\s*0\s*OK", output)
    return float(re.search(r"Avg bus bandwidth\s*:\s*(?P<gbs>\S+)", output)["gbs"])


def lumi_reframe_tests(output, size):
    """Lumi-supercomputer/lumi-reframe-tests, checks/microbenchmarks/gpu/rccl_test.py"""
    assert re.search(r"Avg bus bandwidth", output)
    return float(re.search(rf"^\s+{size}.+\s+(?P<busbw>\S+)\s+\S+$", output, re.M)["busbw"])


AWS_ROW = (r"^\s*(\d+)\s+(\d+)\s+(float|double|int|half)\s+(sum|prod|max|min|none)\s+(-?\d+)\s+(\d+\.?\d*)\s+(\d+\.?\d*)\s+(\d+\.?\d*)\s+"
           r"(\d+|N/A)\s+(\d+\.?\d*)\s+(\d+\.?\d*)\s+(\d+\.?\d*)\s+(\d+|N/A)")


def aws_distributed_training(output):
    """aws-samples/awsome-distributed-training, micro-benchmarks/nccl-tests/nccl_to_csv.py"""
    assert re.search(r"# Avg bus bandwidth\s*:\s*(\d+\.?\d*)", output)
    return [int(row[1]) for row in (re.match(AWS_ROW, line.strip()) for line in output.splitlines()) if row]


def aws_health_check(output):
    """aws-samples/awsome-distributed-training, gpu-cluster-healthcheck/checks/5-nccl-allreduce.sh: grep, then awk's $(NF-1)"""
    return [float(line.split()[-2]) for line in output.splitlines() if re.match(r"\s+[0-9]", line)]


def azure_health_checks(output):
    """Azure/azurehpc-health-checks, customTests/azure_nccl_allreduce.nhc: the sixth word of the first line with "bandwidth" """
    assert "FAILED" not in output
    return float(next(line for line in output.splitlines() if "bandwidth" in line).split()[5])


def cloudai_rows(output):
    """NVIDIA/cloudai, workloads/nccl_test/performance_report_generation_strategy.py"""
    rows = [re.split(r"\s+", line.strip()) for line in output.splitlines() if re.match(r"^\d", line.strip())]
    return [int(row[0]) for row in rows if len(row) == 13]


def cloudai_devices(output):
    """The same; it wants "NVIDIA" in the line, too, which would not be true here."""
    lines = [line for line in output.splitlines() if "Rank" in line and "device" in line]
    return [int(re.search(r"on\s+([\w\d\-.]+)\s+device\s+(\d+)", line)[2]) for line in lines]


def superbench(output):
    """microsoft/superbenchmark, micro_benchmarks/cuda_nccl_bw_performance.py: columns counted from the right, as the head has them"""
    lines = output.splitlines()
    first = max(i for i, line in enumerate(lines) if "out-of-place" in line)
    last = max(i for i, line in enumerate(lines) if "Out of bounds values" in line)
    lines = [line.strip(" ") for line in lines[first + 1:last]]
    head = next(line for line in lines if "time" in line and "busbw" in line)[1:].split()
    busbw = head.index("busbw") - len(head)
    rows = [line.split() for line in lines if re.match(r"\d+", line)]
    return {int(row[head.index("size")]): float(row[busbw]) for row in rows if row[0] != "0"}


CLUSTER_ROW = r"^\s*(\d+)\s+\d+\s+\S+\s+\S+\s+-?\d+\s+([0-9.]+)\s+([0-9.]+)\s+([0-9.]+)\s+\d+\s+([0-9.]+)\s+([0-9.]+)\s+([0-9.]+)"


def nccl_tests_cluster(output):
    """xxrjun/nccl-tests-cluster, summarize_nccl_logs.py"""
    name = re.search(r"^#\s*Collective test starting:\s*(\S+)", output, re.M)[1]
    sizes = re.search(r"^#\s*nThread\s+\d+\s+nGpus\s+\d+\s+minBytes\s+(\d+)\s+maxBytes\s+(\d+)\s+step:", output, re.M)
    float(re.search(r"^#\s*Avg bus bandwidth\s*:\s*([0-9.]+)", output, re.M)[1])
    return name, int(sizes[1]), int(sizes[2]), [int(row[1]) for row in re.finditer(CLUSTER_ROW, output, re.M)]


RANK = re.compile(r"#\s*Rank\s+(?P<rank>\d+)\s+Group\s+(?P<group>\d+)\s+Pid\s+(?P<pid>\d+)\s+on\s+(?P<node>\S+)\s+device\s+(?P<device>\d+)")


def ranks(output):
    """The form of the devices' lines that several validators share."""
    return [{key: int(value) for key, value in line.groupdict().items() if key != "node"} for line in RANK.finditer(output)]


def read_all(output, name, sizes, count, plain_op=True):
    """Every parser reads the same from a run of the program `name` with that many ranks. `sizes` are those of the size column;
    `plain_op`: the redop column is not empty, which some of these (and nccl-tests' own hypercube) do not get along with."""
    assert cscs_reframe_tests(output) >= 0
    assert azure_health_checks(output) >= 0
    assert len(aws_health_check(output)) == len(sizes)
    assert list(superbench(output)) == [size for size in dict.fromkeys(sizes) if size]
    assert lumi_reframe_tests(output, sizes[-1]) >= 0
    assert [rank["rank"] for rank in ranks(output)] == list(range(count))
    assert cloudai_devices(output) == list(range(count))
    if plain_op:
        assert aws_distributed_training(output) == sizes
        assert cloudai_rows(output) == sizes
        assert nccl_tests_cluster(output)[0] == f"{name}_perf"
        assert nccl_tests_cluster(output)[3] == sizes
