"""What becomes of a run on a bad machine?  python tools/disturb.py [--out FILE]

Each case is a command and one fault: a disk that is full, a folder that belongs to somebody else,
a byte that changes in a checkpoint or a cache, a server that is slow or lies, a second run on the
same folder. It has to end in one clear line of error, or in what an undisturbed run leaves; a
traceback or another result is wrong. Where the fault can be taken away the command runs once more,
and has to come to the right result. The forks and the comparison are those of tools/faults.py.
A full disk is a small tmpfs, which takes root to mount; without it these cases are named as not
run. Linux only.
"""

import argparse
import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import faults

FAST = ("synthesize, template", "synthesize, endpoint", "pretrain", "unlearn", "evaluate", "clean")
ROOT = os.geteuid() == 0


class Disturbed(faults.Case):
    "A command with what it leaves undisturbed, and how it ended under each fault."

    def __init__(self, name: str, folder: Path, url: str):
        super().__init__(name, folder, url)
        self.rows = []  # fault, how it ended, and the line that was said

    def ran(self, **how) -> faults.Ended:
        return faults.run(self.words, self.out, self.log, **how)

    def said(self) -> str:
        "The last line of the command."
        lines = [x for x in self.log.read_text(errors="replace").splitlines() if x.strip()]
        return lines[-1] if lines else ""

    def judged(self, ended: faults.Ended) -> str:
        "Right, refused with one line, or wrong."
        if ended.status == self.usual:
            kept = ("replies.jsonl", "answers/")  # in the order in which they came
            unlike = [x for x in self.compared() if not any(name in x[1] for name in kept)]
            if unlike and self.counted():
                return "counted"  # what is missing was asked for, and stands in the rejects
            if unlike and all("manifest.json" in name for _, name in unlike):
                return "right, the manifest aside"
            return f"wrong: {unlike[:2]}" if unlike else "right"
        log = self.log.read_text(errors="replace")
        clear = self.said().startswith("synthflaw") and "Traceback" not in log
        return "refused" if clear and ended.status != 70 else f"wrong: status {ended.status}"

    def counted(self) -> bool:
        "Whether the pairs of a run are some of the right ones, and the others are accounted for."
        file = self.out / "summary.json"
        if not file.exists() or "qa.jsonl" not in self.whole:
            return False
        s = json.loads(file.read_text())
        known = set(faults.lines_of(self.out / "qa.jsonl")) <= set(self.whole["qa.jsonl"])
        return known and s["asked"] == s["kept"] + sum(s["dropped"].values())

    def note(self, fault: str, ended: faults.Ended, then: faults.Ended | None = None) -> None:
        "Keep how a case ended; `then` is the run after the fault was taken away."
        how = self.judged(then or ended)
        line = self.said()[:300]
        if then:
            how = "right after an error" if how == "right" and ended.status else how
        said = line.replace(str(self.folder), "DIR")
        self.rows.append({"command": self.name, "fault": fault, "ended": how, "line": said})
        print(f"{self.name:<22} {fault:<34} {how}", said if how != "right" else "", flush=True)


def full_disk(case: Disturbed) -> None:
    "A disk with room for a part of what the run writes, and then one with enough."
    size = sum(len(line) // 2 for lines in case.whole.values() for line in lines)
    for share in (0.05, 0.5):
        case.fresh()
        place, room = str(case.out.parent), max(4096, int(share * size))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", place], check=True)
        try:
            ended = case.ran()
            case.note(f"disk full at {share:.0%}", ended)
            more = ["mount", "-o", "remount,size=512m", place]
            subprocess.run(more, check=True)
            case.note(f"disk full at {share:.0%}, then larger", ended, case.ran())
        finally:
            subprocess.run(["umount", place], check=True)


def read_only(case: Disturbed) -> None:
    "A folder of another user."
    case.fresh()
    os.chmod(case.out.parent, 0o755)
    ended = case.ran(user=65534)
    case.note("a folder of another user", ended)
    case.note("a folder of another user, then mine", ended, case.ran())


def flip(file: Path, share: float) -> None:
    "Change one bit of a file, at a share of its length."
    data = bytearray(file.read_bytes())
    data[min(len(data) - 1, int(share * len(data)))] ^= 1
    file.write_bytes(data)


def flipped_checkpoint(case: Disturbed) -> None:
    "A byte that changes in each file of a checkpoint, before the run goes on."
    for name in ("model.safetensors", "optimizer.pt", "trainer_state.json"):
        case.fresh()
        case.ran(kill=faults.Kill("SIGKILL", "change", int(0.8 * case.changes)))
        found = sorted(case.out.rglob(name))
        if not found:
            case.rows.append({"command": case.name, "fault": name, "ended": "not reached"})
            continue
        flip(found[-1], 0.5)
        case.note(f"a byte of {name}", case.ran())


def flipped_cache(case: Disturbed) -> None:
    "A byte that changes in what a finished run left, before the command runs again."
    patterns = ("replies.jsonl", "answers/*.jsonl", "manifest.json", "*.cache")
    for pattern in patterns:
        for share in (0.2, 0.5, 0.8):
            case.fresh()
            case.ran()
            found = sorted(case.out.rglob(pattern))
            if not found:
                break
            flip(found[0], share)
            case.note(f"a byte of {pattern} at {share:.0%}", case.ran())


def two_at_once(case: Disturbed) -> None:
    "The same command twice in the same folder, the second while the first is at work."
    case.fresh()
    first = os.fork()
    if not first:
        os._exit(case.ran().status & 255)
    while not (case.out / "manifest.json").exists() and not finished(first):
        time.sleep(0.002)
    log, case.log = case.log, case.folder / "second log"
    case.log.write_text("")
    second = case.ran()
    how = case.judged(second) if second.status else "right"
    said = case.said()[:300].replace(str(case.folder), "DIR")
    case.log = log
    row = {"command": case.name, "fault": "two runs at once", "ended": how, "line": said}
    case.rows.append(row)
    print(f"{case.name:<22} {row['fault']:<34} {how}", said, flush=True)
    while not finished(first):
        time.sleep(0.01)
    case.note("two runs at once, the first", faults.Ended(0, 0, 0, 0))


ENDED = set()  # processes that have been waited for


def finished(pid: int) -> bool:
    "Whether a child has ended."
    if pid not in ENDED and os.waitpid(pid, os.WNOHANG)[0]:
        ENDED.add(pid)
    return pid in ENDED


class Liar(http.server.BaseHTTPRequestHandler):
    "Answers in a way that no honest server does; `how` is set by `lying`."

    protocol_version = "HTTP/1.1"
    how, honest, asked = "", "", 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).asked += 1
        if self.how == "redirect":
            self.send_response(302)
            self.send_header("location", self.honest + self.path.removeprefix("/v1"))
            self.send_header("content-length", "0")
            self.end_headers()
            return
        message = {"role": "assistant", "content": str(len(body))}
        said = json.dumps({"choices": [{"index": 0, "message": message}]}).encode()
        length = {"too long": 4 * len(said), "too short": len(said) // 2}.get(self.how, len(said))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(length))
        self.end_headers()
        if self.how == "without end":
            self.wfile.write(said[:1])
            time.sleep(600)
        self.wfile.write(said)
        self.close_connection = True

    def log_message(self, *_):
        pass


@contextmanager
def lying(how: str, honest: str):
    "The address of a liar in a process of its own."
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    Liar.how, Liar.honest = how, honest
    pid = os.fork()
    if not pid:
        threading.current_thread().name = "liar"
        server.serve_forever()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        server.server_close()


@contextmanager
def failing(shares: dict[str, float]):
    "The address of a server that fails in some of its answers."
    with faults.server(faults_of=shares) as url:
        yield url


TRANSPORT = {"429": 0.15, "500": 0.1, "half": 0.1, "nothing": 0.1, "garbage": 0.05}


def bad_servers(case: Disturbed, honest: str) -> None:
    "Servers that fail now and then, always, or in what they say of their answers."
    tries = [("fails in half of its answers", failing(TRANSPORT))]
    tries += [(f"always {f}", failing({f: 1.0})) for f in ("429", "500", "half", "garbage")]
    tries += [(f"{how}", lying(how, honest)) for how in ("redirect", "too long", "too short")]
    for name, made in tries:
        case.fresh()
        with made as url:
            words = [url if w == honest else w for w in case.words]
            ended = faults.run(words, case.out, case.log, quick=True)
        case.note(f"a server: {name}", ended)
        case.note(f"a server: {name}, then an honest one", ended, case.ran())


def disturb(names: list[str]) -> dict:
    "All faults on all commands that they can meet."
    from synthflaw.runs import provenance

    start, rows, skipped = time.time(), [], []
    folder = Path(tempfile.mkdtemp(prefix="disturb-"))
    os.chmod(folder, 0o755)
    faults.as_fork(faults.write_inputs, folder)
    with faults.server() as url:
        for name in names:
            case = Disturbed(name, folder, url)
            case.undisturbed()
            two_at_once(case)
            if ROOT:
                full_disk(case)
                read_only(case)
            else:
                skipped.append(f"{name}: full disk and another user, which take root")
            if "save-steps" in faults.COMMANDS[name]:
                flipped_checkpoint(case)
            flipped_cache(case)
            if name == "synthesize, endpoint":
                bad_servers(case, url)
            rows += case.rows
    ended = Counter(r["ended"].partition(":")[0] for r in rows)
    return {
        "cases": len(rows),
        "ended": dict(ended),
        "not_run": skipped,
        "rows": rows,
        "measured_seconds": round(time.time() - start),
        "command": "python tools/disturb.py",
        "provenance": provenance(1),
    }


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--commands", nargs="+", default=FAST, choices=faults.COMMANDS)
    p.add_argument("--out", type=Path, help="the record; shown only if absent")
    args = p.parse_args()
    faults.import_everything()
    record = disturb(args.commands)
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(record["ended"], *record["not_run"])
    return int(record["ended"].get("wrong", 0) > 0)


if __name__ == "__main__":
    sys.exit(main())
