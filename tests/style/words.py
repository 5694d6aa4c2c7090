"""Nothing in the files that belongs to one machine, and no promises to do things later."""
import re

from source_tree import files, finish, read

BINARY = (".png", ".gz", ".bin", ".seed")
FORBIDDEN = {
    re.compile(r"(?<![\w.])/(work|root|home|Users)/"): "a path of one machine",
    re.compile(r"\b(TODO|FIXME|XXX|HACK)\b"): "do it, or open an issue",
    re.compile(r"[ \t]+$"): "trailing space",
}


def main():
    violations = []
    for path in files():
        if path.endswith(BINARY) or path.startswith("tests/style/") or "/seeds/" in path or ".seeds/" in path:
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            for pattern, why in FORBIDDEN.items():
                if pattern.search(line):
                    violations.append(f"{path}:{number}: {why}: {line.strip()[:80]}")
    finish(violations, "no machine's paths, no notes to oneself, no trailing space")


if __name__ == "__main__":
    main()
