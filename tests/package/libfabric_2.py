"""The transport's contract over a second libfabric, 2.4.0 as Intel's MPI brings it, with the providers it has. Takes a folder to
fetch it into and the contract's program."""
import glob
import os
import subprocess
import sys

from wheels import fetch

WHEEL = "impi-rt==2021.18.1"
VERSION = "libfabric 2.4"
# Providers that it may have, and what is run over them; some know ranks as processes only. Ports take the provider that is preferred;
# what a peer costs that never talks is this provider's, 300 kB and more.
PROVIDERS = {"tcp": "*TransportContract*:LibfabricPort.*-LibfabricPort.CostsNothing*", "tcp,ofi_rxm": "*TransportContract*", "shm": "*TransportContract*Processes"}
WANTED = ("libfabric.so.1", "libtcp-fi.so", "librxm-fi.so", "libshm-fi.so")


def main():
    folder, program = sys.argv[1:3]
    fetch(folder, [WHEEL], wanted=lambda name: name.endswith(WANTED))
    libraries = glob.glob(os.path.join(folder, "**", "libfabric.so.1"), recursive=True)
    assert libraries, f"{WHEEL} has no libfabric.so.1"
    home = os.path.dirname(libraries[0])
    for provider, tests in PROVIDERS.items():
        environment = dict(os.environ, LD_LIBRARY_PATH=home, FI_PROVIDER_PATH=home, HANSA_TEST_PROVIDER=provider)
        ran = subprocess.run([program, f"--gtest_filter=FabricTest.*:{tests}", "--gtest_brief=1"],
                             env=environment, capture_output=True, text=True)
        assert VERSION in ran.stdout, f"ran over another library than {VERSION}: {ran.stdout[:200]}"
        if "SKIPPED" in ran.stdout and provider != "tcp":
            print(f"{provider}: not in this library")
            continue
        lines = ran.stdout.split("\n")[-3:-1] if ran.returncode == 0 else [ran.stdout, ran.stderr]
        print(f"{provider}:", *lines)
        assert ran.returncode == 0 and "SKIPPED" not in ran.stdout


if __name__ == "__main__":
    main()
