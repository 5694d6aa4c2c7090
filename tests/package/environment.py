"""Settings as a user meets them: environment.py PATH_OF_HANSA PATH_OF_DOCS_ENVIRONMENT_MD"""
import json
import os
import subprocess
import sys
import tempfile

from hansa import HANSA, expect

PAGE = sys.argv[2]
DEMO = ("demo", "--ranks", "2", "--sizes", "8", "--iterations", "1")


def run(*arguments, **variables):
    """Without what the machine sets, in a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HANSA_", "NCCL_"))}
    return subprocess.run([HANSA, *arguments], capture_output=True, text=True, timeout=100, env={**kept, **variables})


def page(home):
    made = run("config", "--markdown", HOME=home, HANSA_DEBUG="INFO")
    with open(PAGE, encoding="utf-8") as file:
        expect(made.stdout == file.read(), made, "docs/environment.md is old: hansa config --markdown > docs/environment.md")


def origins(home):
    file = os.path.join(home, ".nccl.conf")
    with open(file, "w", encoding="utf-8") as config:
        config.write("# mine\nHANSA_INIT_TIMEOUT=7\nNCCL_ALGO=tree,nvls\nHANSA_TIMOUT=1\n")
    os.chmod(file, 0o600)
    variables = {"HOME": home, "NCCL_SOCKET_IFNAME": "lo", "HANSA_INTERFACE": "lo", "NCCL_IB_HCA": "mlx5", "NCCL_DEBUG": "WARN",
                 "HANSA_SECRET": "do-not-tell", "NCCL_PSK": "do-not-tell"}
    shown = run("config", "--show-origin", **variables)
    for line in (f"HANSA_INIT_TIMEOUT=7  # {file}:2", "HANSA_INTERFACE=lo  # environment", "HANSA_LATE_REPORT=10  # default",
                 "HANSA_DEBUG=WARN  # environment, as NCCL_DEBUG", "HANSA_SECRET=(hidden)  # environment",
                 "# NCCL_SOCKET_IFNAME=lo (environment): overruled: HANSA_INTERFACE (environment) wins",
                 f"# NCCL_ALGO=tree,nvls ({file}:3): honoured: means nothing here: nvls", "# NCCL_DEBUG=WARN (environment): honoured"):
        expect(line in shown.stdout.splitlines(), shown, f"must print: {line}")
    expect("# NCCL_IB_HCA=mlx5 (environment): ignored: of NCCL's InfiniBand" in shown.stdout, shown, "must say why it ignores")
    expect(f"HANSA_TIMOUT ({file}:4) is ignored: there is no such setting; is HANSA_TIMEOUT meant?" in shown.stderr, shown, "must see the slip")
    expect("do-not-tell" not in shown.stdout + shown.stderr, shown, "must keep the secret")
    plain = run("config", **variables)
    expect("HANSA_INIT_TIMEOUT=7\n" in plain.stdout, plain, "must leave origins out")
    both = json.loads(run("config", "--json", **variables).stdout)
    values = {one["name"]: (one["value"], one["origin"]) for one in both["settings"]}
    expect(values["HANSA_INIT_TIMEOUT"] == ("7", f"{file}:2"), shown, f"as JSON: {values}")
    expect({one["name"]: one["fate"] for one in both["found"]}["NCCL_IB_HCA"] == "ignored", shown, "as JSON, too")
    os.chmod(file, 0o666)
    unsafe = run("config", **variables)
    expect("chmod go-w" in unsafe.stderr and "HANSA_INIT_TIMEOUT=60" in unsafe.stdout, unsafe, "must not trust what others can write")
    os.remove(file)


def logs(home):
    only = run(*DEMO, NCCL_DEBUG="VERSION", HANSA_NCCL_VERSION="22907", HANSA_TIMOUT="1", HOME=home)
    lines = only.stderr.splitlines()
    expect(len(lines) == 1 and lines[0].startswith("NCCL version 2.29.7+hansa"), only, "must print the version and nothing else")
    to_files = run(*DEMO, NCCL_DEBUG="INFO", NCCL_DEBUG_FILE=os.path.join(home, "log.%h.%p"), HOME=home)
    expect(to_files.returncode == 0 and to_files.stderr == "", to_files, "must write to the files")
    texts = []
    for name in sorted(os.listdir(home)):
        with open(os.path.join(home, name), encoding="utf-8") as file:
            texts.append(file.read())
        os.remove(os.path.join(home, name))
    expect(len(texts) == 2 and all("communicator of 2 ranks ready" in text for text in texts), to_files, f"a file for each process: {texts}")
    expect(sum("INFO NCCL version 2.27.7+hansa" in text for text in texts) == 1, to_files, f"rank 0 says the version: {texts}")
    expect(all("NCCL_DEBUG set by environment to INFO" in text for text in texts), to_files, f"what is set is said: {texts}")
    nowhere = run(*DEMO, NCCL_DEBUG="INFO", NCCL_DEBUG_FILE="/no/such/folder/log", HOME=home)
    expect(nowhere.returncode == 0 and nowhere.stderr.count("ranks ready") == 2, nowhere, "must say on stderr what it cannot write to a file")
    quiet = run(*DEMO, NCCL_DEBUG="INFO", NCCL_DEBUG_SUBSYS="^INIT,ENV", HOME=home)
    expect(quiet.returncode == 0 and "ready" not in quiet.stderr and "set by" not in quiet.stderr, quiet, "must leave subsystems out")


def main():
    with tempfile.TemporaryDirectory() as home:
        page(home)
        origins(home)
        logs(home)
    print("the page is up to date; origins, levels and files are as it says")


main()
