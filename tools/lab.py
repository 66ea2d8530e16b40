"""Does the book work in JupyterLab?  python tools/lab.py [--shot FILE] [--notebook index.ipynb]

Starts JupyterLab on loopback with a copy of nbs/, opens the notebook in Chromium through
Playwright, clears its outputs, runs all cells and waits for them. Checked: no cell fails,
nothing is asked for from elsewhere, and the notebook's figures appear (as many pictures as are
stored). Without Playwright, Chromium or JupyterLab it says so (status 0).
"""

import argparse
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))
from browser import ROOT, WIDE, chromium  # noqa: E402

STATE = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const output = (kind) => '.jp-OutputArea-output[data-mime-type="' + kind + '"]';
  const error = output('application/vnd.jupyter.error');
  const stderr = output('application/vnd.jupyter.stderr');
  const prompts = all('.jp-CodeCell .jp-InputPrompt');
  const failed = all(error + ', ' + stderr).filter(e => e.textContent.includes('Traceback'));
  return {
    waiting: prompts.filter(e => !/\\[\\d+\\]/.test(e.textContent)).length,
    cells: all('.jp-CodeCell').length,
    pictures: all('.jp-OutputArea img').length,
    failed: failed.map(e => e.textContent.trim().split('\\n').pop()),
  };
}"""


def stored_pictures(path: Path) -> int:
    "How many pictures the notebook's stored outputs hold."
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return sum(
        any(k.startswith("image/") for k in o.get("data", {}))
        for c in cells
        for o in c.get("outputs", [])
    )


def options(argv=None) -> argparse.Namespace:
    "The words of the command."
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = "path in nbs/ (default: %(default)s)"
    p.add_argument("--notebook", default="index.ipynb", metavar="NOTEBOOK", help=path)
    limit = "how long its cells may take (default: %(default)s)"
    p.add_argument("--seconds", type=int, default=300, metavar="S", help=limit)
    shot = "write a screenshot of the last picture"
    p.add_argument("--shot", type=Path, default=None, metavar="FILE", help=shot)
    return p.parse_args(argv)


@contextlib.contextmanager
def jupyterlab(folder: Path):
    "JupyterLab on a copy of the notebooks: its address, or None and what it said."
    copy, log = folder / "nbs", folder / "log"
    shutil.copytree(ROOT / "nbs", copy, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    command = [
        Path(sys.executable).with_name("jupyter"),
        "lab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--port=8931",
        "--port-retries=50",
        "--IdentityProvider.token=",
        f"--notebook-dir={copy}",
        f"--LabApp.workspaces_dir={folder}/workspaces",
    ]
    with log.open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        for _ in range(180):
            found = re.search(r"http://127\.0\.0\.1:\d+/lab", log.read_text())
            if found or server.poll() is not None:
                break
            time.sleep(1)
        yield found and found[0], log.read_text()[-500:]
    finally:
        server.terminate()
        server.wait(30)


def run_all(page, address: str) -> None:
    "Open a notebook, clear what is stored in it, and run it."
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.keyboard.press("Escape")
    for menu, item in (("Edit", "Clear Outputs of All Cells"), ("Run", "Run All Cells")):
        label = re.compile(f"^{menu}$")
        page.locator(".lm-MenuBar-itemLabel", has_text=label).click()
        page.get_by_role("menuitem", name=re.compile(f"^{item}")).first.click()


def wait(page, seconds: int, wanted: int) -> tuple[dict, float]:
    "What the notebook looks like when it has run, has failed, or time is over; and how long."
    start, state = time.time(), {}
    while time.time() - start < seconds:
        page.wait_for_timeout(2000)
        state = page.evaluate(STATE)
        done = state["cells"] and not state["waiting"] and state["pictures"] >= wanted
        if state["failed"] or done:
            break
    return state, time.time() - start


def look(address: str, args, wanted: int) -> tuple[dict, float, list[str]]:
    "Run the notebook in a browser: its state, the seconds, and what it asked for from elsewhere."
    from playwright.sync_api import sync_playwright

    away: list[str] = []

    def request(r):
        parts = urlsplit(r.url)
        if parts.scheme in ("http", "https", "ws") and parts.hostname != "127.0.0.1":
            away.append(r.url)

    with sync_playwright() as pw:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = pw.chromium.launch(executable_path=chromium(), args=flags)
        page = browser.new_page(viewport=WIDE)
        page.set_default_timeout(120_000)
        page.on("request", request)
        run_all(page, f"{address}/tree/{args.notebook}?reset")
        state, seconds = wait(page, args.seconds, wanted)
        if args.shot:
            if state["pictures"]:
                page.locator(".jp-OutputArea img").last.scroll_into_view_if_needed()
            page.wait_for_timeout(500)
            page.screenshot(path=args.shot)
        browser.close()
    return state, seconds, list(dict.fromkeys(away))


def faults(state: dict, wanted: int, away: list[str]) -> list[str]:
    "What went wrong."
    found = [f"a cell failed: {x}" for x in state["failed"]]
    found += [f"asks for {x}" for x in away]
    if state["waiting"]:
        found.append(f"{state['waiting']} of {state['cells']} cells did not run")
    if state["pictures"] < wanted:
        found.append(f"{state['pictures']} of {wanted} pictures appeared")
    return found


def main(argv=None) -> int:
    args = options(argv)
    if find_spec("playwright") is None:
        print("not checked: Playwright is not installed (pip install playwright)")
        return 0
    if chromium() is None or not Path(sys.executable).with_name("jupyter").exists():
        print("not checked: there is no Chromium, or no JupyterLab beside this Python")
        return 0
    wanted = stored_pictures(ROOT / "nbs" / args.notebook)
    with tempfile.TemporaryDirectory() as folder, jupyterlab(Path(folder)) as (address, said):
        if not address:
            print("JupyterLab did not start:", said)
            return 1
        state, seconds, away = look(address, args, wanted)
    found = faults(state, wanted, away)
    well = (
        f"{args.notebook} ran in JupyterLab in {seconds:.0f} s; "
        f"all {state['cells']} code cells, {state['pictures']} of {wanted} pictures; "
        "nothing asked for from elsewhere"
    )
    print(*(found or [well]), sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
