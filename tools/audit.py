"""What do the dependencies do when they are imported, and what is known against them?

python tools/audit.py [--out FILE] imports every package that settings.ini asks for (development
tools aside) in a process of its own, with a home, a cache and a working folder that are new, and
lists what Python's audit hooks report: files opened for writing, folders made, names removed,
connections, names looked up, processes started. Code that is compiled and calls the system itself
is not seen by them. Then it runs pip-audit on constraints.txt where that is installed, and counts
the packages that the service did not know as not audited: pip-audit itself says "no known
vulnerabilities" of them.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate")
REACHES = ("socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.Popen", "os.system")
CHILD = """
import importlib, json, os, sys
name, changes, reaches = sys.argv[1], sys.argv[2].split(), sys.argv[3].split()
seen = []
def hook(event, args):
    if event == "open" and isinstance(args[2], int):
        if args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and isinstance(args[0], (str, bytes)):
            seen.append(["write", os.fsdecode(args[0])])
    elif event in changes or event in reaches:
        seen.append([event, " ".join(map(str, args[:2]))[:200]])
sys.addaudithook(hook)
error = None
try:
    importlib.import_module(name)
except BaseException as e:
    error = f"{type(e).__name__}: {e}"[:200]
print("\\n@@" + json.dumps({"seen": seen, "error": error}))
"""


def asked_for() -> list[str]:
    "Distributions that settings.ini asks for, extras included and development tools left out."
    parser = ConfigParser(delimiters=["="], interpolation=None)
    parser.read(TREE / "settings.ini", encoding="utf-8")
    own = {k: v for k, v in parser["DEFAULT"].items() if k.endswith("requirements")}
    own.pop("dev_requirements")
    words = " ".join(own.values()).split()
    return sorted({re.split(r"[<>=!~\[]", word)[0].lower() for word in words})


def modules() -> dict[str, list[str]]:
    "Distribution -> what it is imported as."
    found = {}
    for module, names in metadata.packages_distributions().items():
        for name in names:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(module)
    return {name: sorted(m for m in got if not m.startswith("_")) for name, got in found.items()}


def imported(module: str) -> dict:
    "What happens when a module is imported in a new process with a new home."
    with tempfile.TemporaryDirectory() as home:
        places = {"HOME": home, "TMPDIR": home, "PYTHONDONTWRITEBYTECODE": "1"}
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "PYTHONPATH", "LANG")}
        words = [sys.executable, "-c", CHILD, module, " ".join(CHANGES), " ".join(REACHES)]
        done = subprocess.run(
            words, cwd=home, env={**kept, **places}, capture_output=True, text=True, timeout=600
        )
        got = json.loads(done.stdout.rpartition("\n@@")[2])
        told = [f"{what} {x.replace(home, '~')}" for what, x in got["seen"]]
        left = sorted(str(f.relative_to(home)) for f in Path(home).rglob("*"))
    seen = [re.sub(r"~/[a-z0-9_]{8}(?= |$)", "~/temporary", x).removesuffix(" -1") for x in told]
    quiet = [x for x in dict.fromkeys(seen) if x != "write /dev/null"]
    return {"module": module, "actions": quiet, "left_in_home": left[:20], "error": got["error"]}


def imports() -> dict:
    "Every dependency, and what it does at import."
    known, rows, absent = modules(), [], []
    for name in asked_for():
        here = known.get(re.sub(r"[-_.]+", "-", name))
        if not here:
            absent.append(name)
            continue
        module = next((m for m in here if m.lower() == name.replace("-", "_")), here[0])
        row = {"distribution": name, "version": metadata.version(name), **imported(module)}
        rows.append(row)
        print(name, row["actions"], row["left_in_home"], row["error"] or "", flush=True)
    return {"rows": rows, "not_installed": absent}


def vulnerabilities() -> dict:
    "What pip-audit says of constraints.txt; packages that its service does not know are counted."
    tool = shutil.which("pip-audit")
    if tool is None:
        return {"ran": False, "reason": "pip-audit is not installed"}
    words = [tool, "-r", str(TREE / "constraints.txt"), "--no-deps", "--disable-pip", "-f", "json"]
    done = subprocess.run(words, capture_output=True, text=True)
    if not done.stdout.startswith("{"):
        return {"ran": False, "reason": done.stderr.strip().splitlines()[-1][:300]}
    rows = json.loads(done.stdout)["dependencies"]
    audited = [r for r in rows if "skip_reason" not in r]
    reasons = {re.sub(r": \S+ \(.*", "", r["skip_reason"]) for r in rows if "skip_reason" in r}
    return {
        "ran": bool(audited),
        "packages": len(rows),
        "audited": len(audited),
        "not_audited": sorted(reasons),
        "vulnerable": [r for r in audited if r["vulns"]],
    }


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", type=Path, help="the record; shown only if absent")
    args = p.parse_args()
    from synthflaw.runs import provenance

    record = {"imports": imports(), "pip_audit": vulnerabilities()}
    record |= {"command": "python tools/audit.py", "provenance": provenance()}
    print(record["pip_audit"])
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return int(bool(record["pip_audit"].get("vulnerable")))


if __name__ == "__main__":
    sys.exit(main())
