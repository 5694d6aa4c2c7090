"""Our programs on two nodes of Slurm: launch_test.py HANSA LAUNCHED_RANK COMM_ID_RANK"""
import shutil
import sys

from slurm import TEMPORARY, Slurm, Unavailable
from launched import AT_COMM_ID, BENCH, check, check_bench, check_ranks, check_sums, timed

HANSA, LAUNCHED_RANK, COMM_ID_RANK = sys.argv[1:4]
TWO_EACH, CYCLIC = ["-N2", "--ntasks-per-node=2"], "--distribution=cyclic"
BLOCKS, IN_TURN, UNEVEN = ["h0", "h0", "h1", "h1"], ["h0", "h1", "h0", "h1"], ["h0", "h0", "h1"]


def run(slurm, *words, expect=0, **variables):
    status, output = slurm.run(*words, **variables)
    check(status == expect, f"{' '.join(words)}: exit status {status}, not {expect}", output + slurm.told())
    return output


def srun(slurm, *words, **options):
    return run(slurm, "srun", *words, **options)


def meets_by_pmi(slurm, flag, launcher):
    for placing, hosts in ((TWO_EACH, BLOCKS), ([*TWO_EACH, CYCLIC], IN_TURN), (["-N2", "-n3"], UNEVEN)):
        check_bench(srun(slurm, flag, *placing, HANSA, *BENCH), hosts)
        check_ranks(srun(slurm, flag, *placing, LAUNCHED_RANK), hosts, launcher)


def meets_at_an_address(slurm):
    """Without a process manager: a place that all are told."""
    for placing in (TWO_EACH, [*TWO_EACH, CYCLIC]):
        check_sums(srun(slurm, *placing, *AT_COMM_ID, COMM_ID_RANK, "SLURM_PROCID", "SLURM_NTASKS"))
    place = dict(MASTER_ADDR="h0", MASTER_PORT="29500")
    check_ranks(srun(slurm, *TWO_EACH, LAUNCHED_RANK, **place), BLOCKS, "MASTER_ADDR")
    check_bench(srun(slurm, "-N2", "-n3", HANSA, *BENCH, **place), UNEVEN)


def says_what_is_missing(slurm):
    output = srun(slurm, "-N2", "-n2", HANSA, *BENCH, expect=255)
    check(all(f"srun started this process as task {task} of 2 without a way for the tasks to meet; add --mpi=pmi2 to srun" in output
              for task in range(2)), "each task says what to do", output)


def misses_a_rank(slurm, flag):
    """Task 1 never asks for anything: the other says so, and ends."""
    script = f'[ "$SLURM_PROCID" = 1 ] && exec sleep 60; exec "{LAUNCHED_RANK}" 1'
    output = srun(slurm, flag, "--kill-on-bad-exit", "-N2", "-n2", "sh", "-c", script, expect=143)
    check("in time; look for ranks that have not started" in output, "rank 0 has waited in vain", output)


def starts_from_a_batch_script(slurm):
    """The script itself is no rank; what srun starts there is. As docs/launchers.md has it."""
    printed = f"{TEMPORARY}/batch"
    script = f"""{LAUNCHED_RANK}
srun --mpi=pmi2 {HANSA} {' '.join(BENCH)}
export NCCL_COMM_ID=$(scontrol show hostnames | head -n 1):5000
srun {COMM_ID_RANK} SLURM_PROCID SLURM_NTASKS"""
    run(slurm, "sbatch", "--wait", *TWO_EACH, f"--output={printed}", "--wrap", script)
    output = run(slurm, "cat", printed)
    check("find_launcher: no launcher started this process" in output, "the script stands alone", output)
    check_bench(output, BLOCKS)
    check_sums(output)


def starts_by_mpi_in_an_allocation(slurm):
    """MPI's own launchers, which there start their daemons by srun."""
    for program, *flags in (["mpirun.openmpi", "--allow-run-as-root", "--bind-to", "none"], ["mpiexec.mpich"]):
        if shutil.which(program):
            check_bench(run(slurm, "salloc", *TWO_EACH, program, *flags, HANSA, *BENCH), BLOCKS)
        else:
            print(f"without {program}, which is not installed")


def main():
    try:
        with Slurm() as slurm:
            for flag, launcher in (("--mpi=pmi2", "PMI-2"), ("--mpi=pmix", "PMIx")):
                timed(meets_by_pmi, slurm, flag, launcher)
                timed(misses_a_rank, slurm, flag)
            for scene in (meets_at_an_address, says_what_is_missing, starts_from_a_batch_script, starts_by_mpi_in_an_allocation):
                timed(scene, slurm)
    except Unavailable as why:
        print(f"[  SKIPPED ] no Slurm here: {why}")


main()
