"""Files of at most 400 lines and functions of at most 60: what is longer does two things."""
from source_tree import CODE_SUFFIXES, files, finish, read, scan

FILE_LINES = 400
# Programs know it as one file.
LONGER = {"include/nccl.h": 700}
FUNCTION_LINES = 60


def main():
    violations = []
    for path in files(suffixes=CODE_SUFFIXES + (".py", ".cmake", ".txt", ".sh")):
        text = read(path)
        lines = text.count("\n")
        if lines > LONGER.get(path, FILE_LINES):
            violations.append(f"{path}: {lines} lines")
        if path.endswith(CODE_SUFFIXES):
            for scope in scan(text)[0]:
                length = scope.end - scope.start + 1
                if scope.kind == "function" and length > FUNCTION_LINES:
                    violations.append(f"{path}:{scope.start}: {length} lines: {scope.head[:80]}")
    finish(violations, f"files of at most {FILE_LINES} lines, functions of at most {FUNCTION_LINES}")


if __name__ == "__main__":
    main()
