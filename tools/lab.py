"""Does the book work in JupyterLab?  python tools/lab.py [--shot FILE] [--notebook index.ipynb]

Starts JupyterLab on loopback with a copy of nbs/, opens the notebook in Chromium through
Playwright, clears its outputs, runs all cells and waits for them. Checked: no cell fails,
nothing is asked for from elsewhere, and the notebook's figures appear (as many pictures as are
stored). Without Playwright, Chromium or JupyterLab it says so (status 0).
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
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


def main(argv=None) -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument(
        "--notebook",
        default="index.ipynb",
        metavar="NOTEBOOK",
        help="path in nbs/ (default: %(default)s)",
    )
    p.add_argument(
        "--seconds",
        type=int,
        default=300,
        metavar="S",
        help="how long its cells may take (default: %(default)s)",
    )
    p.add_argument(
        "--shot",
        type=Path,
        default=None,
        metavar="FILE",
        help="write a screenshot of the last picture",
    )
    args = p.parse_args(argv)
    jupyter = Path(sys.executable).with_name("jupyter")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("not checked: Playwright is not installed (pip install playwright)")
        return 0
    if chromium() is None or not jupyter.exists():
        print("not checked: there is no Chromium, or no JupyterLab beside this Python")
        return 0
    wanted = stored_pictures(ROOT / "nbs" / args.notebook)
    with tempfile.TemporaryDirectory() as folder:
        copy, log = Path(folder) / "nbs", Path(folder) / "log"
        shutil.copytree(ROOT / "nbs", copy, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        with log.open("w") as out:
            server = subprocess.Popen(
                [
                    jupyter,
                    "lab",
                    "--no-browser",
                    "--allow-root",
                    "--ip=127.0.0.1",
                    "--port=8931",
                    "--port-retries=50",
                    "--IdentityProvider.token=",
                    f"--notebook-dir={copy}",
                    f"--LabApp.workspaces_dir={folder}/workspaces",
                ],
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            for _ in range(180):
                found = re.search(r"http://127\.0\.0\.1:\d+/lab", log.read_text())
                if found or server.poll() is not None:
                    break
                time.sleep(1)
            if not found:
                print("JupyterLab did not start:", log.read_text()[-500:])
                return 1
            with sync_playwright() as pw:
                browser = pw.chromium.launch(
                    executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
                )
                page, away = browser.new_page(viewport=WIDE), []
                page.set_default_timeout(120_000)
                page.on(
                    "request",
                    lambda r: (
                        away.append(r.url)
                        if urlsplit(r.url).scheme in ("http", "https", "ws")
                        and urlsplit(r.url).hostname != "127.0.0.1"
                        else None
                    ),
                )
                page.goto(f"{found[0]}/tree/{args.notebook}?reset")
                page.wait_for_selector(".jp-Notebook .jp-Cell")
                page.keyboard.press("Escape")
                for menu, entry in (
                    ("Edit", "Clear Outputs of All Cells"),
                    ("Run", "Run All Cells"),
                ):
                    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{menu}$")).click()
                    page.get_by_role("menuitem", name=re.compile(f"^{entry}")).first.click()
                start, state = time.time(), {}
                while time.time() - start < args.seconds:
                    page.wait_for_timeout(2000)
                    state = page.evaluate(STATE)
                    if state["failed"] or (
                        state["cells"] and not state["waiting"] and state["pictures"] >= wanted
                    ):
                        break
                if args.shot:
                    page.locator(".jp-OutputArea img").last.scroll_into_view_if_needed() if state[
                        "pictures"
                    ] else None
                    page.wait_for_timeout(500)
                    page.screenshot(path=args.shot)
                browser.close()
        finally:
            server.terminate()
            server.wait(30)
    faults = [f"a cell failed: {x}" for x in state["failed"]] + [
        f"asks for {x}" for x in dict.fromkeys(away)
    ]
    if state["waiting"]:
        faults.append(f"{state['waiting']} of {state['cells']} cells did not run")
    if state["pictures"] < wanted:
        faults.append(f"{state['pictures']} of {wanted} pictures appeared")
    well = (
        f"{args.notebook} ran in JupyterLab in {time.time() - start:.0f} s; "
        f"all {state['cells']} code cells, {state['pictures']} of {wanted} pictures; "
        "nothing asked for from elsewhere"
    )
    print(*(faults or [well]), sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
