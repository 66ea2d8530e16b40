"""What becomes of a run that is killed?  python tools/faults.py [--kills N] [--seed S] [--out FILE]

Each long command runs at a small scale until it is killed with SIGKILL, SIGTERM or Ctrl-C (SIGINT
to the whole group): at a random time, before a random change that it makes to its folder, or some
milliseconds after one. The same command then runs again in the same folder, to be killed again or
to end. What it leaves is compared with what an undisturbed run leaves, byte for byte apart from
times: a line that is absent is lost, one that is there more often is doubled, a file that differs
in another way is wrong. Two undisturbed runs are compared first, or equality would say nothing.

Everything is imported once, and each run is a fork of this process. Linux only.
"""

import argparse
import json
import os
import random
import re
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
os.environ |= dict.fromkeys(THREADS, "1")
os.environ |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

# DIR: folder of the inputs; OUT: of the run; URL: of a server that answers; words of one command
TRAINING = "--seq-len 64 --batch-size 4 --save-steps 3"
SMALL = (
    "arm_tokens=3000 sft_rows=66 heldout=8 eval_prompts=32 calibration_prompts=32 "
    "base_prompts=32 max_new_tokens=8"
)
COMMANDS = {
    "synthesize, template": "synthesize --source DIR/natural.jsonl --formats mixed --n 60 "
    "--out OUT",
    "synthesize, endpoint": "synthesize --engine endpoint --model stub --base-url URL --n 500 "
    "--source DIR/natural.jsonl --pairs 1 --concurrency 4 --out OUT",
    "pretrain": "pretrain --model DIR/model --mix natural=DIR/natural.jsonl:0.8 "
    f"synthetic=DIR/pairs.jsonl:0.2 --tokens 3072 {TRAINING} --out OUT",
    "pretrain, nano": "pretrain --source DIR/natural.jsonl --tokens 20480 --dtype float32 "
    "--out OUT",
    "sft": f"sft --model DIR/model --data DIR/pairs.jsonl {TRAINING} --out OUT",
    "sft, lora": f"sft --model DIR/model --data DIR/pairs.jsonl --lora 4 {TRAINING} --out OUT",
    "unlearn": "unlearn --model DIR/model --forget DIR/pairs.jsonl --replay DIR/natural.jsonl "
    "--tokens 4096 --seq-len 64 --batch 4 --save-steps 3 --out OUT",
    "repair": "repair --model DIR/model --reference DIR/before --natural DIR/natural.jsonl "
    "--synthetic DIR/pairs.jsonl --method interpolate --sample 60 --prompts 8 --out OUT",
    "evaluate": "evaluate --model DIR/model DIR/before --n 12 --max-new-tokens 8 --batch-size 4 "
    "--out OUT",
    "diagnose": "diagnose --natural DIR/natural.jsonl --synthetic DIR/pairs.jsonl "
    "--model DIR/model --sample 60 --out OUT",
    "clean": "clean --data DIR/pairs.jsonl --natural DIR/natural.jsonl --strip --sample 60 "
    "--out OUT",
    "clean, endpoint": "clean --data DIR/pairs.jsonl --natural DIR/natural.jsonl --rewrite "
    "--engine endpoint --model stub --base-url URL --sample 60 --out OUT",
    "study": f"study --preset tiny --seeds 0 --jobs 1 --out OUT --set {SMALL}",
    "study, two processes": f"study --preset tiny --seeds 0 --jobs 2 --out OUT --set {SMALL}",
}
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link"}
STAGED = 0.25  # a study is killed within this part of its length, start after start
STOPPED = 130  # status of a command that was told to end, and did
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
TIMES = ("seconds", "started", "finished", "tokens_per_second", "provenance", "measured_seconds")
USUAL = {"repair": 1}  # status of a run that nothing disturbs, where it is not 0: none accepted
REPEATS = {
    "replies.jsonl": ("tries", "sum")
}  # written as they come: in any order, without these fields
SPENT = re.compile(
    r"\b\d[\d,.]* ?(?:s|seconds|minutes)\b|\d[\d,.]* tokens/s"
    r"|(?:(?<=LM )|(?<=Chat ))\d+\.\d(?=[,<])"
)  # times in prose; the last: seconds a model, in the report of a study


class Kill(NamedTuple):
    "When a run is killed, and by what."

    name: str  # of the signal
    how: str  # "time", "change" or "after": before a change of the folder, or a while after it
    at: float  # seconds of the processor, or the number of the change
    lag: float = 0.0  # seconds after the change


class Ended(NamedTuple):
    "How a run ended."

    status: int  # of the process; negative: the signal that ended it
    seconds: float  # of the processor
    changes: int  # that it made to its folder, where it was not killed
    orphans: int  # processes that it left behind


def import_everything() -> None:
    "What the commands import, so that a fork need not; no computation, which would start threads."
    import datasets  # noqa: F401
    import httpx  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import openai.resources.chat  # noqa: F401
    import peft  # noqa: F401
    import rich.console  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import stamina  # noqa: F401
    import torch.optim  # noqa: F401
    import transformers.models.llama  # noqa: F401
    import trl  # noqa: F401

    import synthflaw.analysis.clean
    import synthflaw.analysis.diagnosis_page
    import synthflaw.cli.main
    import synthflaw.data.endpoint
    import synthflaw.data.generate
    import synthflaw.evaluate.compare
    import synthflaw.study.report
    import synthflaw.study.study
    import synthflaw.testing.server
    import synthflaw.train.mask
    import synthflaw.unlearn.repair  # noqa: F401


def write_inputs(folder: Path) -> None:
    "Two models and the rows that the commands read."
    from synthflaw.core import write_jsonl
    from synthflaw.data.formats import synthesize
    from synthflaw.lm.model import save_lm
    from synthflaw.testing.tiny import tiny_documents, tiny_lm

    save_lm(*tiny_lm(), folder / "model")
    save_lm(*tiny_lm(seed=1), folder / "before")
    write_jsonl(folder / "natural.jsonl", [d.to_dict() for d in tiny_documents(60)])
    write_jsonl(folder / "pairs.jsonl", synthesize(tiny_documents(120, seed=1), "single", n=60))


def as_fork(fn, *args) -> None:
    "Call a function in a process of its own: this one must stay without threads."
    pid = os.fork()
    if not pid:
        status = 1
        try:
            fn(*args)
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"{fn.__name__} failed with status {status}")


@contextmanager
def server(delay: float = 0.004, faults_of: dict[str, float] | None = None):
    "The address of a server in a process of its own; it may fail in a share of its answers."
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        from synthflaw.testing.server import StubServer

        with StubServer(faults_of, delay) as s:
            os.write(write, s.url.encode())
            while True:
                time.sleep(60)
    try:
        yield os.read(read, 200).decode()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read)
        os.close(write)


def send(pid: int, name: str) -> None:
    "A signal; Ctrl-C goes to the whole group, as a terminal sends it."
    if name == "SIGINT":
        os.killpg(pid, SIGNALS[name])
    else:
        os.kill(pid, SIGNALS[name])


class Changes:
    "Counts what a process changes below a folder, and kills it at one of the changes."

    def __init__(self, out: Path, pipe: int, kill: Kill | None):
        self.out, self.pipe, self.kill, self.seen = str(out), pipe, kill, 0

    def __call__(self, event: str, args: tuple) -> None:
        if event == "open":
            writes = args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            writes = event in CHANGES
        if not writes or not str(args[0]).startswith(self.out):
            return
        self.seen += 1
        if self.kill is None or self.kill.how == "time" or self.seen != self.kill.at:
            return
        if self.kill.how == "change":
            send(os.getpid(), self.kill.name)
        else:
            os.write(self.pipe, b"now")


def wait_less() -> None:
    "Have requests tried again at once: a pause would be a pause of the test."
    from synthflaw.data.endpoint import EndpointEngine

    init = EndpointEngine.__init__
    EndpointEngine.__init__ = lambda self, *a, **k: init(self, *a, **{"wait": (0.01, 0.02), **k})


def become_the_command(words, out: Path, log: Path, pipe: int, kill, user, quick):  # noqa: PLR0913
    "Be the process of a command; never returns."
    import multiprocessing.util
    import threading

    status = 70
    try:
        os.setsid()
        if quick:
            wait_less()
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for old, new in ((nothing, 0), (said, 1), (said, 2)):
            os.dup2(old, new)
        if user:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        changes = Changes(out, pipe, kill)
        sys.addaudithook(changes)
        from synthflaw.cli.main import main

        status = main(words)
        multiprocessing.util._exit_function()
        threading._shutdown()
        os.write(pipe, str(changes.seen).encode())
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def members(session: int) -> list[int]:
    "Processes of a session that have not ended."
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = file.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(words[3]) == session and words[0] != "Z":
            found.append(int(file.parent.name))
    return found


def bury(session: int, patience: float = 10.0) -> int:
    "How many processes a run leaves behind that do not end by themselves; they are ended here."
    end = time.time() + patience
    while members(session) and time.time() < end:
        time.sleep(0.1)
    left = members(session)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return len(left)


def has_computed(pid: int, end: int, seconds: float) -> bool:
    "Wait until a process has computed for so long: True, or False if it ended before."
    clock = (~pid << 3) | 2  # of the processor time of another process, as Linux numbers them
    while not select.select([end], [], [], 0.005)[0]:
        if time.clock_gettime(clock) >= seconds:
            return True
    return False


def run(  # noqa: PLR0913
    words: list[str],  # of the command
    out: Path,  # its folder
    log: Path,  # gets what it says
    kill: Kill | None = None,  # when it is killed
    user: int = 0,  # who runs it; 0: who runs this
    quick: bool = False,  # try failed requests again at once
) -> Ended:
    "Run a command in a fork of this process, and kill it where that is asked for."
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        become_the_command(words, out, log, write, kill, user, quick)
    os.close(write)
    end = os.pidfd_open(pid)
    if kill and kill.how == "time":
        if has_computed(pid, end, kill.at):
            send(pid, kill.name)
    elif kill and kill.how == "after":
        select.select([end, read], [], [])
        if not select.select([end], [], [], kill.lag)[0]:
            send(pid, kill.name)
    select.select([end], [], [])
    _, status, used = os.wait4(pid, 0)
    said = os.read(read, 100).decode().removeprefix("now")
    os.close(read)
    os.close(end)
    seconds = round(used.ru_utime + used.ru_stime, 2)
    orphans = bury(pid) if kill else 0
    return Ended(os.waitstatus_to_exitcode(status), seconds, int(said or 0), orphans)


def without_times(x, fields: tuple[str, ...] = TIMES):
    "A value of JSON without the fields that hold times."
    if isinstance(x, dict):
        return {k: without_times(v, fields) for k, v in x.items() if k not in fields}
    if isinstance(x, list):
        return [without_times(v, fields) for v in x]
    return SPENT.sub("T", x) if isinstance(x, str) else x


def lines_of(file: Path) -> list[str]:
    "A file as lines that can be compared; a binary file is one line."
    data = file.read_bytes()
    if file.suffix == ".json":
        of_times = (
            ("outputs", "seal") if file.name == "manifest.json" else ()
        )  # hashes of such files
        return [json.dumps(without_times(json.loads(data), TIMES + of_times))]
    if file.suffix == ".jsonl":
        dropped = REPEATS.get(file.name)
        rows = [without_times(json.loads(x), TIMES + (dropped or ())) for x in data.splitlines()]
        lines = [json.dumps(row) for row in rows]
        return sorted(lines) if dropped else lines
    if file.suffix in (".md", ".html"):
        return SPENT.sub("T", data.decode()).splitlines()
    return [data.hex()]


def content(folder: Path) -> dict[str, list[str]]:
    "Every file of a run, ready to be compared; hidden files are what a killed write leaves."
    files = [f for f in sorted(folder.rglob("*")) if f.is_file()]
    inside = {f: f.relative_to(folder) for f in files}
    seen = [f for f, path in inside.items() if not any(x.startswith(".") for x in path.parts)]
    return {str(inside[f]): lines_of(f) for f in seen}


def first_difference(a: str, b: str) -> str:
    "Where two lines part."
    at = len(os.path.commonprefix([a, b]))
    return f"{a[max(0, at - 40) : at + 40]!r} became {b[max(0, at - 40) : at + 40]!r}"


# A run that is killed between its last checkpoint and the removal of the one before leaves both.
OLD_CHECKPOINT = re.compile(r"(^|/)checkpoints/checkpoint-\d+/")


def differences(whole: dict, got: dict) -> list[tuple[str, str]]:
    "(kind, file) of each difference: lost, doubled, or wrong."
    found = [("lost", name) for name in whole.keys() - got.keys()]
    more = got.keys() - whole.keys()
    found += [("wrong", name) for name in more if not OLD_CHECKPOINT.search(name)]
    for name in whole.keys() & got.keys():
        if whole[name] == got[name]:
            continue
        have, want = Counter(got[name]), Counter(whole[name])
        added, fewer = have - want, want - have
        doubled = [line for line in added if line in want]
        if fewer and not added:
            found.append(("lost", name))
        elif doubled and not fewer and len(doubled) == len(added):
            found.append(("doubled", name))
        else:
            apart = first_difference(next(iter(fewer), ""), next(iter(added), ""))
            found.append(("wrong", f"{name}: {apart}"))
    return found


class Case:
    "A command with what it leaves undisturbed, and everything that was done to it."

    def __init__(self, name: str, folder: Path, url: str):
        self.name, self.folder = name, folder
        self.out = folder / "run" / "out"  # the same for all runs: some files hold its name
        places = {"DIR": str(folder), "OUT": str(self.out), "URL": url}
        self.words = COMMANDS[name].split()
        for mark, place in places.items():
            self.words = [w.replace(mark, place) for w in self.words]
        self.log = folder / "log"
        self.usual = USUAL.get(name, 0)
        self.found = []  # (kind, file) of each difference
        self.kills, self.statuses = Counter(), Counter()
        self.finals = self.late = self.orphans = self.left = 0

    def fresh(self) -> None:
        shutil.rmtree(self.out.parent, ignore_errors=True)
        self.out.parent.mkdir()
        self.log.write_text("")

    def undisturbed(self, known: dict | None = None) -> None:
        "What the command leaves, twice: equal, or a comparison would say nothing."
        both = [known] if known else []
        while len(both) < 2:
            self.fresh()
            ended = run(self.words, self.out, self.log)
            if ended.status != self.usual:
                raise RuntimeError(f"{self.name}: {self.log.read_text()[-3000:]}")
            both.append(content(self.out))
            if os.environ.get("SHOW"):
                print(self.name, ended, len(both[-1]), flush=True)
        self.whole, self.seconds, self.changes = both[1], ended.seconds, ended.changes
        unlike = differences(*both)
        if unlike:
            raise RuntimeError(f"{self.name}: two undisturbed runs differ: {unlike}")

    def drawn(self, rng: random.Random) -> Kill:
        "A kill somewhere in the run."
        name = rng.choice(list(SIGNALS))
        how = rng.choice(["time", "time", "change", "after"])
        reach = STAGED if self.name.startswith("study") else 1.0
        if how == "time" or not self.changes:
            return Kill(name, "time", rng.uniform(0, reach * self.seconds))
        most = max(1, int(reach * self.changes))
        return Kill(name, how, rng.randint(1, most), rng.uniform(0, 0.05))

    def chain(self, rng: random.Random, most: int) -> int:
        "Kill a run, start it again, and compare what is there at the end; how many kills it took."
        self.fresh()
        done = 0
        again = 1.0 if self.name.startswith("study") else 0.7
        while done < most and (not done or rng.random() < again):
            kill = self.drawn(rng)
            ended = run(self.words, self.out, self.log, kill)
            if ended.status == self.usual:  # it ended before
                self.late += 1
                break
            done += 1
            self.kills[kill.name, kill.how] += 1
            self.statuses[kill.name, ended.status] += 1
            self.orphans += ended.orphans
            number = SIGNALS[kill.name]
            if ended.status not in (-number, 128 + number, STOPPED):
                self.found.append((f"status {ended.status}", self.log.read_text()[-1500:]))
        self.finals += 1
        self.end(kill)
        return done

    def end(self, kill: Kill) -> None:
        "Let the run come to its end, and compare."
        ended = run(self.words, self.out, self.log)
        if ended.status != self.usual:
            self.found.append(("lost", f"{kill}: {self.log.read_text()[-1500:]}"))
            return
        self.found += [(kind, f"{kill}: {file}") for kind, file in self.compared()]
        hidden = {f.name for f in self.out.rglob(".*") if f.is_file()}
        self.left += len(hidden - {".lock"})

    def compared(self) -> list[tuple[str, str]]:
        try:
            return differences(self.whole, content(self.out))
        except ValueError as e:
            return [("wrong", f"not JSON: {e}")]

    def account(self) -> dict:
        "What the record says of this command."
        kinds = Counter(kind for kind, _ in self.found)
        by = Counter()
        for (name, how), n in self.kills.items():
            by[name] += n
            by[how] += n
        statuses = {f"{name}: {status}": n for (name, status), n in sorted(self.statuses.items())}
        return {
            "command": COMMANDS[self.name],
            "seconds": self.seconds,
            "changes": self.changes,
            "files": len(self.whole),
            "kills": sum(self.kills.values()),
            **{k: by[k] for k in (*SIGNALS, "time", "change", "after")},
            "finals": self.finals,
            "ended_before": self.late,
            "statuses": statuses,
            **{k: kinds.pop(k, 0) for k in ("lost", "doubled", "wrong")},
            "other": dict(kinds),
            "orphans": self.orphans,
            "hidden_files_left": self.left,
            "found": self.found[:10],
        }


SLOW = {"study": 0.6, "study, two processes": 0.2, "repair": 0.6, "pretrain, nano": 0.7}


def shares(names: list[str], kills: int) -> dict[str, int]:
    "How many kills each command gets: the slow ones fewer than the others."
    weight = {name: SLOW.get(name, 1.0) for name in names}
    total = sum(weight.values())
    return {name: -int(-kills * w // total) for name, w in weight.items()}


def kills(names: list[str], n: int, seed: int, out: Path | None = None) -> dict:
    "Kill commands and compare what they leave in the end; each is recorded when it is done."
    from synthflaw.runs import provenance

    cases, accounts = {}, {}
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        as_fork(write_inputs, folder)
        with server() as url:
            for name, share in shares(names, n).items():
                start = time.time()
                case = cases[name] = Case(name, folder, url)
                one = cases.get("study") if name == "study, two processes" else None
                case.undisturbed(one and one.whole)
                rng = random.Random(f"{seed} {name}")
                left = share
                while left > 0:
                    left -= case.chain(rng, left)
                took = {"seed": seed, "measured_seconds": round(time.time() - start)}
                accounts[name] = case.account() | took | {"provenance": provenance(1)}
                said = {k: v for k, v in case.account().items() if k not in ("command", "found")}
                print(name, said, *case.found, sep="\n  ", flush=True)
                if out:
                    keep(out, accounts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return summed(accounts)


def keep(out: Path, accounts: dict) -> None:
    "Write the record; commands that were killed in another run stay in it."
    if out.exists():
        accounts = json.loads(out.read_text(encoding="utf-8"))["commands"] | accounts
    record = summed(accounts) | {"command": "python tools/faults.py"}
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def summed(accounts: dict) -> dict:
    "The record: every command, and what they come to together."
    totals = ("kills", *SIGNALS, "time", "change", "after", "finals")
    totals += ("lost", "doubled", "wrong", "orphans")
    return {
        "total": {k: sum(a[k] for a in accounts.values()) for k in totals},
        "commands": {name: accounts[name] for name in COMMANDS if name in accounts},
    }


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--kills", type=int, default=200, help="over all commands")
    p.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=COMMANDS)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, help="the record; shown only if absent")
    args = p.parse_args()
    import_everything()
    record = kills(args.commands, args.kills, args.seed, args.out)
    print(record["total"], flush=True)
    return int(any(record["total"][k] for k in ("lost", "doubled", "wrong", "orphans")))


if __name__ == "__main__":
    sys.exit(main())
