"""The `hansa` command as tests call it: its path is the first argument of every test that imports this."""
import subprocess
import sys

HANSA = sys.argv[1]


def run(*arguments, command=HANSA, **options):
    return subprocess.run([command, *arguments], capture_output=True, text=True, timeout=100, **options)


def expect(condition, result, what):
    if not condition:
        sys.exit(f"{' '.join(result.args)}: {what}\n{result.stdout}{result.stderr}")


def succeeds(*arguments):
    result = run(*arguments)
    expect(result.returncode == 0, result, "must succeed")
    return result
