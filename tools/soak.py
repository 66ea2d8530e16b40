"""Do memory and open handles grow with time?  python tools/soak.py --minutes 40 [--out FILE]

Three loads run one after the other, each in a process of its own that starts the same work again
and again: pairs from an endpoint that fails as real ones do, the diagnosis of texts and a model,
and a small study, each eighth time in two worker processes. Their memory and
handles are read from outside every few seconds. What is written is every sample, and the slope of
each series with its 95% interval: least squares, with errors that allow for neighbouring samples
being alike (HAC), after the first quarter is left out as warm-up. Processes that ended and were
not waited for are counted in every sample. Linux only: it reads /proc.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

FAULTS = {"429": 0.1, "500": 0.05, "half": 0.03, "nothing": 0.02}  # share of the requests
LOADS = ("endpoint", "diagnosis", "study")
SMALL = (
    "arm_tokens=3000 sft_rows=66 heldout=8 eval_prompts=32 calibration_prompts=32 "
    "base_prompts=32 max_new_tokens=12"
)
WARM_UP = 0.25  # share of the samples that is left out of the slopes


def of_process(pid: int) -> dict:
    "Memory in MB, open handles and threads of a process."
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    said = dict(row.split(":", 1) for row in rows)
    handles = len(os.listdir(f"/proc/{pid}/fd"))
    memory = int(said["VmRSS"].split()[0]) / 1024
    return {"memory_mb": round(memory, 2), "handles": handles, "threads": int(said["Threads"])}


def family(session: int) -> list[str]:
    "States of all other processes of a session, as /proc has them: nobody waited for a Z."
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = file.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(words[3]) == session and int(file.parent.name) != session:
            found.append(words[0])
    return found


def endpoint_load(folder: Path, i: int) -> None:
    "Forty pairs from a server that fails now and then."
    from synthflaw.data.endpoint import EndpointEngine
    from synthflaw.data.generate import write_pairs
    from synthflaw.testing.tiny import tiny_documents

    url = os.environ["SOAK_URL"]
    engine = EndpointEngine("stub", url, concurrency=8, wait=(0.01, 0.05))
    made = write_pairs(tiny_documents(40, seed=i), engine, folder / "out", pairs=1)
    assert len(made.rows) + sum(made.reasons().values()) == made.asked


def diagnosis_load(folder: Path, i: int) -> None:
    "The diagnosis of some texts and of a model, with its page and figures."
    from synthflaw.cli.main import main
    from synthflaw.core import write_jsonl
    from synthflaw.data.formats import synthesize
    from synthflaw.lm.model import save_lm
    from synthflaw.testing.tiny import tiny_documents, tiny_lm

    save_lm(*tiny_lm(), folder / "model")
    write_jsonl(folder / "n.jsonl", [d.to_dict() for d in tiny_documents(30, seed=i)])
    write_jsonl(folder / "s.jsonl", synthesize(tiny_documents(60, seed=i + 1), "single", n=30))
    words = "diagnose --natural DIR/n.jsonl --synthetic DIR/s.jsonl --model DIR/model --out DIR/out"
    assert main(words.replace("DIR", str(folder)).split()) == 0


def study_load(folder: Path, i: int) -> None:
    "A study smaller than the tiny preset; each eighth time in two processes."
    from synthflaw.cli.main import main

    jobs = "2" if i % 8 == 7 else "1"
    words = f"study --preset tiny --seeds {i} --jobs {jobs} --out {folder / 'out'} --set {SMALL}"
    main(words.split())


def work(name: str, seconds: float) -> None:
    "The load NAME again and again; after each time a line with what the process holds then."
    from synthflaw.core import release_memory, set_threads
    from synthflaw.runs import quiet

    quiet()
    set_threads(1)
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.close(silence)
    load = {"endpoint": endpoint_load, "diagnosis": diagnosis_load, "study": study_load}[name]
    start = time.time()
    for i in count():
        with tempfile.TemporaryDirectory() as folder:
            load(Path(folder), i)
        release_memory()
        print(
            json.dumps({"at": round(time.time() - start, 1), **of_process(os.getpid())}), file=lines
        )
        if time.time() - start > seconds:
            return


def watched(name: str, seconds: float, every: float, url: str) -> dict:
    "Run a load and read what it holds every few seconds."
    words = [sys.executable, __file__, "--load", name, "--seconds", str(seconds)]
    env = {**os.environ, "SOAK_URL": url}
    start, samples, zombies = time.time(), [], 0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(words, env=env, stdout=said, start_new_session=True)
        while process.poll() is None:
            below = family(process.pid)
            zombies = max(zombies, below.count("Z"))
            seen = {"at": round(time.time() - start, 1), "below": len(below)}
            with suppress(OSError, KeyError):  # it has just ended
                samples.append(seen | of_process(process.pid))
            time.sleep(every)
        left = len(family(process.pid))
        said.seek(0)
        ended = [json.loads(line) for line in said]
    return {
        "status": process.returncode,
        "seconds": round(time.time() - start),
        "times": len(ended),
        "most_zombies": zombies,
        "left_behind": left,
        "samples": samples,
        "ended": ended,
    }


def slope(at: list[float], values: list[float]) -> dict:
    "Change an hour, with its 95% interval; neighbouring samples may be alike."
    import numpy as np
    import statsmodels.api as sm

    x, y = np.asarray(at) / 3600, np.asarray(values, float)
    if len(x) < 8:
        return {"mean": None, "reason": f"{len(x)} samples are too few"}
    if np.ptp(y) == 0:
        return {"mean": 0.0, "ci95": [0.0, 0.0], "n": len(x), "constant": float(y[0])}
    lags = max(1, int(len(x) ** 0.5))
    fit = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    low, high = fit.conf_int(0.05)[1]
    interval = [round(float(low), 4), round(float(high), 4)]
    kind = f"least squares, HAC errors with {lags} lags"
    mean = round(float(fit.params[1]), 4)
    return {"mean": mean, "ci95": interval, "ci_kind": kind, "n": len(x)}


def slopes(seen: dict) -> dict:
    "Slopes of memory and handles over all samples, and over the ends of the work."
    out = {}
    for kind in ("samples", "ended"):
        rows = [r for r in seen[kind] if r["at"] > WARM_UP * seen["seconds"]]
        for name in ("memory_mb", "handles", "threads"):
            out[f"{kind}: {name}"] = slope([r["at"] for r in rows], [r[name] for r in rows])
    return out


def soak(minutes: float, every: float, loads: list[str]) -> dict:
    "All loads, one after the other."
    from synthflaw.runs import provenance
    from synthflaw.testing.server import StubServer

    record = {"minutes": minutes, "every": every, "faults": FAULTS, "loads": {}}
    command = f"python tools/soak.py --minutes {minutes:g} --every {every:g} --loads"
    for name in loads:
        with StubServer(FAULTS) as server:
            seen = watched(name, 60 * minutes / len(loads), every, server.url)
        seen |= {"slopes": slopes(seen), "command": f"{command} {name}"}
        seen["provenance"] = provenance(1)
        record["loads"][name] = seen
        print(
            name,
            seen["times"],
            "times,",
            seen["seconds"],
            "s",
            json.dumps(seen["slopes"], indent=1),
        )
        sys.stdout.flush()
    return record


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--minutes", type=float, default=40, help="of all loads together")
    p.add_argument("--every", type=float, default=5, help="seconds between samples")
    p.add_argument("--loads", nargs="+", default=LOADS, choices=LOADS)
    p.add_argument("--out", type=Path, help="the record; shown only if absent")
    p.add_argument("--load", choices=LOADS, help=argparse.SUPPRESS)
    p.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.load:
        work(args.load, args.seconds)
        return 0
    record = soak(args.minutes, args.every, args.loads)
    if args.out:
        if args.out.exists():  # the other loads of an earlier soak stay
            record["loads"] = json.loads(args.out.read_text())["loads"] | record["loads"]
        args.out.write_text(json.dumps(record) + "\n", encoding="utf-8")
    bad = [n for n, s in record["loads"].items() if s["status"] or s["most_zombies"]]
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
