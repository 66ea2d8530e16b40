"""Are the lines of the book ones that a person can read?  python tools/lines.py [NOTEBOOK ...]

ruff sees lines; this sees functions and cells. In every notebook: no function of more than 40
lines, no exported cell of more than 60 lines of code, no line that ends in a semicolon, no
assertion inside a comment, and no test that is handed over instead of called. Exit status 1 if
anything is found.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUNCTION, CELL = 40, 60  # most lines
IN_A_COMMENT = re.compile(r"#[^|!].*;\s*(?:assert |test_eq\(|test_fail\()")
NOT_CALLED = re.compile(r"lambda[^:]*:\s*test_fail\s*[,)]")


def cells(notebook: Path) -> Iterator[tuple[int, str]]:
    "Number and source of each code cell; lines that are no Python are left empty."
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).splitlines()
            yield (
                number,
                "\n".join("" if line.lstrip()[:1] in ("%", "!") else line for line in lines),
            )


def long_functions(source: str) -> Iterator[str]:
    "Functions that nobody takes in at once."
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION:
                yield f"{node.name} has {lines} lines"


def faults(source: str) -> Iterator[str]:
    "What is wrong with a cell."
    yield from long_functions(source)
    lines = source.splitlines()
    code = [line for line in lines if line.strip() and not line.strip().startswith("#")]
    if re.search(r"^#\|\s*export", source, re.M) and len(code) > CELL:
        yield f"{len(code)} exported lines"
    for line in lines:
        if line.rstrip().endswith(";"):
            yield f"a semicolon: {line.strip()[:60]}"
        if IN_A_COMMENT.search(line) or NOT_CALLED.search(line):
            yield f"an assertion that never runs: {line.strip()[:60]}"


def main(names: list[str]) -> int:
    books = [Path(n) for n in names] or sorted((ROOT / "nbs").rglob("*.ipynb"))
    found = 0
    for book in books:
        if ".ipynb_checkpoints" in book.parts:
            continue
        for number, source in cells(book):
            for fault in faults(source):
                found += 1
                print(f"{book.name}, cell {number}: {fault}")
    if not found:
        print(f"{len(books)} notebooks as they should be")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
