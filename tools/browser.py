"""Look at the built site with a browser: python tools/browser.py [--shots DIR]

The site in _docs/ is served on loopback and opened with Playwright in the system's Chromium.
Checked are
- every page of the navigation, at 1280 and at 390 px: it opens, its body does not scroll
  sideways at 390 px,
- no error in the console, no request that leaves the machine, no link, image or script that is
  not there,
- pictures that have loaded, with an alternative text,
- the search finds `bounded_forgetting_loss` and lands on its entry,
- dark mode: the page turns dark, and text keeps its contrast,
- equations are shown without a network, and llms.txt is there. Without Playwright or Chromium
  it says so and ends with status 0, unless --require is given.
"""

import argparse
import contextlib
import functools
import http.server
import os
import re
import shutil
import sys
import threading
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_docs"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
NAME = "bounded_forgetting_loss"

# Elements that stick out of the window although nothing around them scrolls or hides them.
STICKS_OUT = """() => {
  const w = document.documentElement.clientWidth, out = [];
  if (document.documentElement.scrollWidth <= w + 1) return out;
  for (const e of document.querySelectorAll('body *')) {
    const r = e.getBoundingClientRect();
    if (r.right <= w + 1 || !r.width || getComputedStyle(e).position === 'fixed') continue;
    let p = e.parentElement, held = false;
    for (; p && p !== document.body; p = p.parentElement) {
      if (getComputedStyle(p).overflowX !== 'visible') { held = true; break; }
    }
    if (held) continue;
    const kind = e.className && e.className.split ? '.' + e.className.split(' ')[0] : '';
    const text = (e.textContent || '').trim().slice(0, 40);
    out.push(e.tagName.toLowerCase() + kind + ': ' + Math.round(r.right - w) + ' px, ' + text);
  }
  if (out.length) return out.slice(0, 4);
  return ['body is ' + (document.documentElement.scrollWidth - w) + ' px too wide'];
}"""
PICTURES = """() => [...document.images].map(i => ({
  src: i.src.slice(0, 80),
  ok: i.complete && i.naturalWidth > 0,
  alt: (i.getAttribute('alt') || '').trim(),
  inMain: !!i.closest('main'),
}))"""
LINKS = """() => [...document.querySelectorAll('a[href]')].map(a => a.href)"""
ON_SCREEN = """name => {
  const heads = [...document.querySelectorAll('main h1, main h2, main h3, main h4')];
  return heads.some(h => {
    const r = h.getBoundingClientRect();
    return h.textContent.trim().startsWith(name) && r.top >= 0 && r.bottom <= innerHeight;
  });
}"""
LIGHTNESS = """() => {
  const lum = c => {
    const m = c.match(/[\\d.]+/g).map(Number);
    if (m.length > 3 && m[3] === 0) return null;
    return (0.2126 * m[0] + 0.7152 * m[1] + 0.0722 * m[2]) / 255;
  };
  const s = getComputedStyle(document.body);
  const root = getComputedStyle(document.documentElement);
  const bg = lum(s.backgroundColor);
  return {background: bg === null ? lum(root.backgroundColor) : bg, text: lum(s.color)};
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextlib.contextmanager
def served(folder: Path):
    "The folder on a free port of loopback."
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()


def chromium() -> str | None:
    "The browser to use; SYNTHFLAW_CHROMIUM names another."
    named = os.environ.get("SYNTHFLAW_CHROMIUM")
    return named or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


def main(argv=None) -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument(
        "--site", type=Path, default=SITE, metavar="DIR", help="the built site (default: _docs)"
    )
    p.add_argument(
        "--shots",
        type=Path,
        default=None,
        metavar="DIR",
        help="write screenshots of home, a notebook page, the same on a phone, and dark",
    )
    p.add_argument(
        "--only",
        default="",
        metavar="REGEX",
        help="only pages of the navigation whose address matches (default: all)",
    )
    p.add_argument("--require", action="store_true", help="a missing browser is an error")
    args = p.parse_args(argv)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("not checked: Playwright is not installed (pip install playwright)")
        return int(args.require)
    browser_path = chromium()
    if browser_path is None:
        print(
            "not checked: there is no Chromium on this machine "
            "(apt-get install chromium, or set SYNTHFLAW_CHROMIUM)"
        )
        return int(args.require)
    if not (args.site / "index.html").exists():
        print(f"not checked: {args.site} holds no site; run make docs first")
        return 1

    faults: list[str] = []
    with served(args.site) as home, sync_playwright() as pw:
        browser = pw.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(viewport=WIDE, color_scheme="light")
        page = context.new_page()
        page.set_default_timeout(60_000)
        now = {"page": ""}

        def fault(text: str) -> None:
            faults.append(f"{now['page']}: {text}")
            print(faults[-1], flush=True)

        page.on(
            "console", lambda m: fault(f"console: {m.text[:200]}") if m.type == "error" else None
        )
        page.on("pageerror", lambda e: fault(f"script: {str(e)[:200]}"))
        page.on("response", lambda r: fault(f"{r.status} for {r.url}") if r.status >= 400 else None)

        def stay(route):
            if urlsplit(route.request.url).hostname not in (None, "127.0.0.1"):
                fault(f"asks for {route.request.url}")
                route.abort()
            else:
                route.continue_()

        context.route("**/*", stay)

        dark = browser.new_context(viewport=WIDE, color_scheme="dark").new_page()
        if args.shots:
            args.shots.mkdir(parents=True, exist_ok=True)
            for name, url, size, p in (
                ("home", "index.html", WIDE, page),
                ("notebook", "loss.html", WIDE, page),
                ("guide", "guides/quickstart.html", WIDE, page),
                ("phone", "guides/quickstart.html", NARROW, page),
                ("phone-home", "index.html", NARROW, page),
                ("dark", "guides/quickstart.html", WIDE, dark),
            ):
                p.set_viewport_size(size)
                p.goto(home + url)
                p.wait_for_timeout(300)
                p.screenshot(path=args.shots / f"{name}.png", full_page=False)

        # every page of the navigation
        page.goto(home + "index.html")

        def inside(urls):
            whole = dict.fromkeys(urldefrag(urljoin(home, u))[0] for u in urls)
            return [u for u in whole if u.startswith(home) and u.endswith(".html")]

        pages = inside(
            [
                home + "index.html",
                *page.eval_on_selector_all(
                    "#quarto-sidebar a[href], nav a[href]", "es => es.map(e => e.href)"
                ),
            ]
        )
        pages = [url for url in pages if re.search(args.only, url[len(home) :])]
        links, alts = set(), 0
        for url in pages:
            now["page"] = url[len(home) :]
            page.set_viewport_size(WIDE)
            page.goto(url, wait_until="load")
            links |= set(inside(page.evaluate(LINKS)))
            for img in page.evaluate(PICTURES):
                if not img["ok"]:
                    fault(f"picture did not load: {img['src']}")
                if not img["alt"] and img["inMain"]:
                    fault(f"picture without alternative text: {img['src'][:60]}")
                alts += bool(img["alt"])
            page.set_viewport_size(NARROW)
            for what in page.evaluate(STICKS_OUT):
                fault(f"at 390 px: {what}")
            print(f"{now['page']} seen", file=sys.stderr, flush=True)
        for url in sorted(links - set(pages)):
            now["page"] = url[len(home) :]
            if page.request.get(url).status >= 400:
                fault("is linked, but is not there")

        # search
        now["page"] = "search"
        page.set_viewport_size(WIDE)
        page.goto(home + "index.html")
        landed = ""
        try:
            page.keyboard.press("/")
            box = page.locator("input[type=search], .aa-Input, #quarto-search input").first
            if not box.is_visible():
                page.locator("#quarto-search button, #quarto-search").first.click()
            box.fill(NAME)
            hit = page.locator(f"a[href*='loss']:has-text('{NAME}')").first
            hit.wait_for(state="visible", timeout=15_000)
            hit.click()
            page.wait_for_url("**/loss.html*")
            landed = page.url[len(home) :]
            page.wait_for_timeout(500)
            if not page.evaluate(ON_SCREEN, NAME):
                fault(f"landed on {landed}, where the entry {NAME} is not on the screen")
        except Exception as e:
            fault(f"{NAME} is not found: {str(e).splitlines()[0][:200]}")

        # equations, dark mode, llms.txt
        now["page"] = "loss.html"
        page.goto(home + "loss.html")
        equations = page.locator("math").count()
        if not equations:
            fault("no equation is shown")
        dark.goto(home + "loss.html")
        light = dark.evaluate(LIGHTNESS)
        if light["background"] > 0.3 or light["text"] - light["background"] < 0.4:
            fault(
                f"dark mode: background {light['background']:.2f}, "
                f"text {light['text']:.2f} (0 is black, 1 is white)"
            )
        now["page"] = "llms.txt"
        text = page.request.get(home + "llms.txt")
        if text.status != 200 or "loss" not in text.text():
            fault("is not there")
        browser.close()

    if faults:
        print(f"{len(faults)} faults on {len(pages)} pages")
        return 1
    print(
        f"{len(pages)} pages of the navigation, {len(links)} pages linked, "
        f"{alts} pictures with a text, {equations} equations in loss.html; "
        f"search lands on {landed}; nothing asked for from elsewhere; no error"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
