"""What the style tests share: the project's files, and C++ cut into scopes, roughly."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CODE_SUFFIXES = (".cc", ".c", ".hpp", ".h")
LIBRARY_FOLDERS = ("include", "src", "algorithms", "transports")
SKIPPED_FOLDERS = {".git", "build", ".cache", "__pycache__"}


def files(folders=("",), suffixes=None):
    """Paths relative to the root, sorted, of everything but build trees."""
    found = []
    for folder in folders:
        for where, below, names in os.walk(os.path.join(ROOT, folder)):
            below[:] = [name for name in below if name not in SKIPPED_FOLDERS]
            found += [os.path.relpath(os.path.join(where, name), ROOT) for name in names
                      if name != ".git" and (suffixes is None or name.endswith(suffixes))]
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def finish(violations, rule):
    """Prints what breaks the rule and ends the test."""
    for violation in violations:
        print(violation)
    print(f"{len(violations)} violations of: {rule}")
    sys.exit(1 if violations else 0)


def blank(text):
    """The code with comments and literals replaced by spaces; every line keeps its number."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n]){1,8}\'', re.S)
    text = pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
    return re.sub(r"(?m)^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda match: re.sub(r"[^\n]", " ", match.group()), text)


class Scope:
    """A brace block. kind: namespace, type, function, or other (initializers, blocks inside functions)."""

    def __init__(self, kind, head, start, outer):
        self.kind, self.head, self.start, self.outer, self.end = kind, head, start, outer, start


def kind_of(head, outer):
    if outer and outer.kind in ("function", "other"):
        return "other"
    words = re.sub(r"^(template\s*<[^;{]*>|inline|static|export|\[\[.*?\]\]|\s)+", "", head)
    if re.match(r"(namespace|extern\s)", words) or not words:
        return "namespace"
    if re.match(r"(class|struct|union|enum)\b", words) and not re.search(r"\)\s*(const)?\s*(noexcept)?\s*$", words):
        return "type"
    return "function" if "(" in head and "=" not in head.split("(")[0] else "other"


def scan(text):
    """(scopes, statements): every brace block, and every (scope, text, line) that ends in a semicolon."""
    scopes, statements, stack = [], [], []
    pending, line, pending_line, parentheses = "", 1, 1, 0
    for character in blank(text):
        if not pending.strip():
            pending_line = line
        if character == "\n":
            line += 1
        if character in "()":
            parentheses += 1 if character == "(" else -1
        if character == "{":
            scope = Scope(kind_of(" ".join(pending.split()), stack[-1] if stack else None),
                          " ".join(pending.split()), pending_line, stack[-1] if stack else None)
            scope.kept, scope.parentheses = pending, parentheses
            parentheses = 0
            scopes.append(scope)
            stack.append(scope)
            pending = ""
        elif character == "}" and stack:
            scope = stack.pop()
            scope.end, parentheses = line, scope.parentheses
            # An initializer belongs to the statement that goes on after it.
            pending = scope.kept + "{}" if scope.kind == "other" else ""
        elif character == ";" and parentheses == 0:
            statements.append((stack[-1] if stack else None, " ".join(pending.split()), pending_line))
            pending = ""
        else:
            pending += character
    return scopes, statements
