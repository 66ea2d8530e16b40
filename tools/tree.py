"""Fail if exporting and cleaning the notebooks changes any file: they belong together.

Compares the contents of every file that git does not ignore before and after, so it works in a
dirty tree too.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def files() -> dict[str, str]:
    "Path and hash of each file that git tracks or would offer to add."
    out = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    names = sorted(set(out.decode().split("\0")) - {""})
    return {
        n: hashlib.sha256((ROOT / n).read_bytes()).hexdigest()
        for n in names
        if (ROOT / n).is_file()
    }


def main() -> int:
    before = files()
    for tool in ("nbdev_export", "nbdev_clean"):
        subprocess.run([Path(sys.executable).with_name(tool)], cwd=ROOT, check=True)
    after = files()
    changed = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    if changed:
        print(
            "nbdev_export and nbdev_clean changed these files; look at them and commit:",
            *changed,
            sep="\n  ",
            file=sys.stderr,
        )
        return 1
    print(f"{len(after)} files, none changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
