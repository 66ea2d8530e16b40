"""Are the stored outputs those of a fresh run?  python tools/fresh.py [NOTEBOOK ...]

1. Each notebook runs from a clean kernel, cells marked slow or gpu left out, and the text of
   every stored output is compared with the fresh one. Words have to be equal. Numbers have to
   agree within TOLERANCE of the larger one. Excluded by rule: numbers that measure this machine
   now (followed by a unit of time or size, or a rate; a whole line that speaks of seconds,
   memory or a commit), addresses in memory, paths of temporary folders. Pictures are compared
   by being there. Cells that are marked slow or gpu must have a stored output, and it must name
   its provenance.
2. A figure is asserted: a cell whose stored output is a picture is followed, before the next
   picture, by a cell with `assert` or `test_`.   (reported)
3. Numbers in the prose stand in some output or code of the same notebook.   (reported)
4. Every `synthflaw …` command in a shell block of the prose is one that the command line's
   parser takes.
5. README.md equals nbs/index.ipynb (tools/readme.py --check).

Exit status 1 if anything but what is only reported fails. One notebook at a time: it is slow by
nature.
"""

import argparse
import contextlib
import difflib
import io
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-3
FLAGGED = re.compile(r"^#\|\s*(slow|gpu|record|eval:\s*false)\b", re.M)
NUMBER = re.compile(
    r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])", re.I
)
UNIT = (
    r"(?:s|ms|µs|us|min|minutes?|seconds?|hours?|h|GB|MB|KB|GiB|MiB|KiB|it/s|x faster|"
    r"times faster)"
)
MEASURED = re.compile(
    rf"[-+]?\d[\d,.:]*\s*{UNIT}\b(?!\w)|"
    r"[\d,.]+\s*(?:\w+\s+)?(?:/s\b|a second\b|per second\b|/second\b)",
    re.I,
)
LINE = re.compile(
    r"\bseconds?\b|\bcommit\b|\bmemory\b|\belapsed\b|tokens/s|\bCPU time\b|\bKB\b|\bMB\b|\bGB\b",
    re.I,
)
PLACE = re.compile(
    r"0x[0-9a-f]{6,}|/tmp/\S+|tmp[a-z0-9_]{8}\b|id=\"[^\"]*\"|127\.0\.0\.1:\d+", re.I
)


def text_of(output: dict) -> str:
    "The text of an output: what a reader compares."
    if "text" in output:
        text = output["text"]
    elif output.get("output_type") == "error":
        text = f"{output['ename']}: {output['evalue']}"
    else:
        data = output.get("data", {})
        if any(k.startswith("image/") for k in data):
            return "(picture)"
        text = data.get("text/markdown") or data.get("text/html") or data.get("text/plain", "")
    return "".join(text)


def outputs(cell: dict) -> str:
    "All outputs of a cell as one text; what went to stderr is not stored and not compared."
    return "\n".join(text_of(o) for o in cell.get("outputs", []) if o.get("name") != "stderr")


def lines_of(text: str) -> list[str]:
    "Lines without what the rule excludes."
    plain = [PLACE.sub("(place)", line).rstrip() for line in text.splitlines()]
    return [
        MEASURED.sub("(measured)", "(measured line)" if LINE.search(line) else line)
        for line in plain
        if line
    ]


def number(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def agree(stored: str, fresh: str, tolerance: float = TOLERANCE) -> bool:
    "Equal words, and numbers within the tolerance."
    if NUMBER.sub("#", stored).split() != NUMBER.sub("#", fresh).split():
        return False
    pairs = zip(NUMBER.findall(stored), NUMBER.findall(fresh), strict=True)
    return all(
        abs(number(a) - number(b))
        <= tolerance * max(abs(number(a)), abs(number(b)), 1e-9) + last_digit(a, b)
        for a, b in pairs
    )


def last_digit(a: str, b: str) -> float:
    "One unit of the last digit that is shown: rounding may fall either way."
    return (
        min(
            10.0 ** -len(x.partition(".")[2]) if "." in x and "e" not in x.lower() else 0.0
            for x in (a, b)
        )
        * 1.01
    )


def differences(stored: str, fresh: str, tolerance: float = TOLERANCE) -> list[str]:
    "The lines that do not agree, as in a diff."
    a, b = lines_of(stored), lines_of(fresh)
    if len(a) == len(b):
        return [
            f"{sign} {line}"
            for x, y in zip(a, b, strict=True)
            if not agree(x, y, tolerance)
            for sign, line in (("-", x), ("+", y))
        ]
    return [
        line
        for line in difflib.unified_diff(a, b, lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]


def fresh_run(nb, folder: Path):
    "The notebook, run from a clean kernel without its flagged cells."
    from nbclient import NotebookClient

    nb = nbformat.from_dict(nb)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            if FLAGGED.search(cell.source):
                cell.source = "pass"
    NotebookClient(
        nb, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return nb


def stale(path: Path, tolerance: float) -> list[str]:
    "1: what differs from a fresh run."
    stored = nbformat.read(path, 4)
    fresh = fresh_run(stored, path.parent)
    out = []
    for i, (a, b) in enumerate(zip(stored.cells, fresh.cells, strict=True)):
        if a.cell_type != "code":
            continue
        if FLAGGED.search(a.source):
            if not a.outputs and "test_" not in a.source and "assert" not in a.source:
                out.append(f"cell {i}: marked slow or gpu, without a stored output")
            continue
        diff = differences(outputs(a), outputs(b), tolerance)
        if diff:
            out += [
                f"cell {i}:",
                *(f"    {line[:160]}" for line in diff[:8]),
                *([f"    … {len(diff) - 8} more"] if len(diff) > 8 else []),
            ]
    return out


def unasserted(nb) -> list[str]:
    "2: pictures that no test follows."
    out, waiting = [], None
    for i, cell in enumerate(nb.cells):
        if cell.cell_type != "code":
            continue
        if re.search(r"\bassert\b|\btest_\w+\(|assert_\w+\(", cell.source):
            waiting = None
        if "(picture)" in outputs(cell):
            if waiting is not None:
                out.append(f"cell {waiting}: a picture without an assertion after it")
            waiting = i
    return out + (
        [f"cell {waiting}: a picture without an assertion after it"] if waiting is not None else []
    )


def unseen_numbers(nb) -> list[str]:
    "3: decimal and large numbers in prose that stand in no output and no code of the notebook."
    seen = "\n".join(outputs(c) + "\n" + c.source for c in nb.cells if c.cell_type == "code")
    known = [number(x) for x in NUMBER.findall(seen)]
    out = []
    for i, cell in enumerate(nb.cells):
        if cell.cell_type != "markdown":
            continue
        prose = re.sub(
            r"```.*?```|\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]*`|\]\([^)]*\)|arXiv \S+|"
            r"\b\d{4}\.\d{4,5}\b|\b(?:19|20)\d\d\b",
            " ",
            cell.source,
            flags=re.S,
        )
        for m in NUMBER.finditer(prose):
            value, digits = number(m[0]), len(m[0].partition(".")[2])
            if "." not in m[0] and abs(value) < 100:  # counts of things, chapter numbers
                continue
            percent = prose[m.end() : m.end() + 2].strip().startswith("%")
            if not any(
                abs(value - k * scale) <= 0.51 * 10.0**-digits
                for k in known
                for scale in ((1, 100) if percent else (1,))
            ):
                around = prose[max(0, m.start() - 40) : m.end() + 15].strip().replace("\n", " ")
                out.append(f"cell {i}: {m[0]} in “…{around}…”")
    return out


def commands(nb) -> list[str]:
    "The synthflaw commands in shell blocks of the prose, one line each."
    prose = "\n".join(c.source for c in nb.cells if c.cell_type == "markdown")
    lines = (
        line
        for block in re.findall(r"^```(?:sh|bash|shell)\n(.*?)^```", prose, re.M | re.S)
        for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines()
    )
    found = (
        re.search(r"(?:^|\s)(?:-m synthflaw\.cli|synthflaw) +([a-z].*)$", line)
        for line in lines
        if not re.match(r"\s*(#|pip )", line)
    )
    return [m[1].partition(" | ")[0] for m in found if m]  # a pipe ends it


def unknown_commands(nb) -> list[str]:
    "4: commands that the parser refuses."
    from synthflaw.cli.main import build_parser

    out, parser = [], build_parser()
    for command in commands(nb):
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                parser.parse_args(shlex.split(command, comments=True))
        except SystemExit:
            out.append(f"synthflaw {command}: {said.getvalue().strip().splitlines()[-1]}")
    return out


def options(argv=None) -> argparse.Namespace:
    "The words of the command."
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    paths = "paths (default: all in nbs/ but the tests)"
    p.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help=paths)
    allowed = "relative difference of numbers that is allowed (default: %(default)s)"
    p.add_argument("--tolerance", type=float, default=TOLERANCE, metavar="X", help=allowed)
    only = "only what needs no run: figures, prose, README"
    p.add_argument("--no-run", action="store_true", help=only)
    return p.parse_args(argv)


def book() -> list[Path]:
    "The notebooks without their tests."
    leave = {"tests", ".ipynb_checkpoints"}
    return sorted(q for q in (ROOT / "nbs").rglob("*.ipynb") if not leave & set(q.parts))


def run_faults(path: Path, name: Path, tolerance: float) -> list[str]:
    "1, with a line for each notebook: what differs from a fresh run."
    start = time.time()
    try:
        found = stale(path, tolerance)
    except Exception as e:  # a cell that fails is a finding, not the end of the check
        found = [f"does not run: {str(e).strip().splitlines()[-1][:300]}"]
    verdict = f"{name}: {'STALE' if found else 'fresh'} ({time.time() - start:.0f} s)"
    print(verdict, *found, sep="\n  ", flush=True)
    return found


def readme_faults() -> str:
    "5: what `tools/readme.py --check` says if README.md is not what it should be."
    command = [sys.executable, ROOT / "tools" / "readme.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip() if done.returncode else ""


def main(argv=None) -> int:
    args = options(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    failed = 0
    for path in [Path(x).resolve() for x in args.notebooks] or book():
        nb = nbformat.read(path, 4)
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        if not args.no_run:
            failed += bool(run_faults(path, name, args.tolerance))
        unknown = unknown_commands(nb)
        failed += bool(unknown)
        for what, found in (
            ("refused", unknown),
            ("not asserted", unasserted(nb)),
            ("only in prose", unseen_numbers(nb)),
        ):
            for line in found:
                print(f"{name}: {what}: {line}")
    readme = readme_faults()
    if readme:
        print(readme)
    return int(bool(failed or readme))


if __name__ == "__main__":
    sys.exit(main())
