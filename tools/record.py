"""Write TESTED.md: when `make test-all` last passed, on what.

Its argument is the second (of the epoch) in which it began.
"""

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def git(*args: str) -> str:
    return subprocess.run(
        ["git", *args], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> None:
    minutes = (time.time() - float(sys.argv[1])) / 60
    changed = [
        line[3:] for line in git("status", "--porcelain").splitlines() if line[3:] != "TESTED.md"
    ]
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "transformers", "trl", "numpy"))
    more = f", with {len(changed)} changed files" if changed else ""
    text = f"""# Last run of `make test-all`

- passed on {time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())} in {minutes:.0f} minutes
- commit {git("rev-parse", "--short=12", "HEAD")}{more}
- Python {platform.python_version()}, {packages}
- {platform.system()} {platform.machine()}, {os.cpu_count()} cores
"""
    (ROOT / "TESTED.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
