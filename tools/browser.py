"""Look at the built site with a browser: python tools/browser.py [--shots DIR]

The site in _docs/ is served on loopback and opened with Playwright in the system's Chromium.
Checked are
- every page of the navigation, at 1280 and at 390 px: it opens, its body does not scroll
  sideways at 390 px,
- no error in the console, no request that leaves the machine, no link, image or script that is
  not there,
- pictures that have loaded, with an alternative text,
- the search finds `bounded_forgetting_loss` and lands on its entry,
- every page in dark mode too: it turns dark, text keeps its contrast, and nothing sticks out,
- the bar at the top leads to guides, book, results and API,
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
from importlib.util import find_spec
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


def options(argv=None) -> argparse.Namespace:
    "The words of the command."
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--site", type=Path, default=SITE, metavar="DIR", help="default: _docs")
    shots = "write screenshots of home, a notebook page, the same on a phone, and dark"
    p.add_argument("--shots", type=Path, default=None, metavar="DIR", help=shots)
    only = "only pages of the navigation whose address matches (default: all)"
    p.add_argument("--only", default="", metavar="REGEX", help=only)
    p.add_argument("--require", action="store_true", help="a missing browser is an error")
    return p.parse_args(argv)


def missing(site: Path) -> tuple[str, bool]:
    "Why nothing can be checked, or an empty text; and whether that is an error by itself."
    if find_spec("playwright") is None:
        return "Playwright is not installed (pip install playwright)", False
    if chromium() is None:
        where = "apt-get install chromium, or set SYNTHFLAW_CHROMIUM"
        return f"there is no Chromium on this machine ({where})", False
    if not (site / "index.html").exists():
        return f"{site} holds no site; run make docs first", True
    return "", False


class Visit:
    "A browser on the site, which writes down what is wrong with the page it is on."

    def __init__(self, browser, home: str):
        self.home, self.where, self.faults = home, "", []
        context = browser.new_context(viewport=WIDE, color_scheme="light")
        self.page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("console", self.console)
        self.page.on("pageerror", lambda e: self.fault(f"script: {str(e)[:200]}"))
        self.page.on("response", self.response)
        context.route("**/*", self.stay)
        self.dark = browser.new_context(viewport=WIDE, color_scheme="dark").new_page()

    def fault(self, text: str) -> None:
        self.faults.append(f"{self.where}: {text}")
        print(self.faults[-1], flush=True)

    def console(self, message) -> None:
        if message.type == "error":
            self.fault(f"console: {message.text[:200]}")

    def response(self, response) -> None:
        if response.status >= 400:
            self.fault(f"{response.status} for {response.url}")

    def stay(self, route) -> None:
        "Nothing may be asked for from elsewhere."
        if urlsplit(route.request.url).hostname not in (None, "127.0.0.1"):
            self.fault(f"asks for {route.request.url}")
            route.abort()
        else:
            route.continue_()

    def go(self, address: str) -> None:
        self.where = address
        self.page.goto(self.home + address, wait_until="load")

    def in_dark(self, address: str) -> None:
        "The page for a reader whose system is dark, at both widths."
        self.dark.goto(self.home + address, wait_until="load")
        if not self.dark.locator("main").count():
            return  # a page that leads to another
        light = self.dark.evaluate(LIGHTNESS)
        if light["background"] > 0.3 or light["text"] - light["background"] < 0.4:
            values = f"background {light['background']:.2f}, text {light['text']:.2f}"
            self.fault(f"dark mode: {values} (0 is black, 1 is white)")
        for size in (NARROW, WIDE):
            self.dark.set_viewport_size(size)
            for what in self.dark.evaluate(STICKS_OUT):
                self.fault(f"dark, {size['width']} px: {what}")

    def inside(self, urls) -> list[str]:
        "Pages of the site among some addresses, each once, as the site calls them."
        whole = dict.fromkeys(urldefrag(urljoin(self.home, u))[0] for u in urls)
        return [
            u.removeprefix(self.home)
            for u in whole
            if u.startswith(self.home) and u.endswith(".html")
        ]


def screenshots(visit: Visit, folder: Path) -> None:
    "What a reader sees first."
    folder.mkdir(parents=True, exist_ok=True)
    light, dark = visit.page, visit.dark
    for name, address, size, page in (
        ("home", "index.html", WIDE, light),
        ("notebook", "loss.html", WIDE, light),
        ("guide", "guides/quickstart.html", WIDE, light),
        ("phone", "guides/quickstart.html", NARROW, light),
        ("phone-home", "index.html", NARROW, light),
        ("dark", "guides/quickstart.html", WIDE, dark),
    ):
        page.set_viewport_size(size)
        page.goto(visit.home + address)
        page.wait_for_timeout(300)
        page.screenshot(path=folder / f"{name}.png", full_page=False)


def navigation(visit: Visit, only: str) -> tuple[list[str], set[str], int]:
    "Look at every page of the navigation: the pages, the pages they link, pictures with a text."
    visit.go("index.html")
    sidebar = "#quarto-sidebar a[href], nav a[href]"
    found = visit.page.eval_on_selector_all(sidebar, "es => es.map(e => e.href)")
    pages = [a for a in visit.inside(["index.html", *found]) if re.search(only, a)]
    links, texts, beside = set(), 0, set()
    for address in pages:
        found, shown = look(visit, address)
        links |= found
        texts += shown
    for address in sorted(links - set(pages)):  # linked and not in the navigation
        if re.search(only, address) and not address.startswith("source/"):
            texts += look(visit, address)[1]
            beside.add(address)
    return [*pages, *sorted(beside)], links, texts


def look(visit: Visit, address: str) -> tuple[set[str], int]:
    "Open a page at both widths and in both schemes: the pages it links, pictures with a text."
    visit.page.set_viewport_size(WIDE)
    visit.go(address)
    links = set(visit.inside(visit.page.evaluate(LINKS)))
    texts = pictures(visit)
    visit.page.set_viewport_size(NARROW)
    for what in visit.page.evaluate(STICKS_OUT):
        visit.fault(f"at 390 px: {what}")
    visit.in_dark(address)
    print(f"{address} seen", file=sys.stderr, flush=True)
    return links, texts


def pictures(visit: Visit) -> int:
    "Pictures of the page: those with an alternative text are counted, broken ones are faults."
    texts = 0
    for img in visit.page.evaluate(PICTURES):
        if not img["ok"]:
            visit.fault(f"picture did not load: {img['src']}")
        if not img["alt"] and img["inMain"]:
            visit.fault(f"picture without alternative text: {img['src'][:60]}")
        texts += bool(img["alt"])
    return texts


def linked(visit: Visit, pages: set[str]) -> None:
    "Pages that are linked and not in the navigation: are they there?"
    for address in sorted(pages):
        visit.where = address
        if visit.page.request.get(visit.home + address).status >= 400:
            visit.fault("is linked, but is not there")


def search(visit: Visit) -> str:
    "Search for a name of the library and follow the first hit: where one lands."
    page = visit.page
    page.set_viewport_size(WIDE)
    visit.go("index.html")
    visit.where = "search"
    landed = ""
    try:
        page.keyboard.press("/")
        box = page.locator("input[type=search], .aa-Input, #quarto-search input").first
        if not box.is_visible():
            page.locator("#quarto-search button, #quarto-search").first.click()
        box.fill(NAME)
        hit = page.locator(f"a[href*='loss.html'][href$='#{NAME}']").first  # Quarto adds ?q=
        hit.wait_for(state="visible", timeout=15_000)
        hit.click()
        page.wait_for_url("**/loss.html*")
        landed = page.url.removeprefix(visit.home)
        page.wait_for_timeout(500)
        if not page.evaluate(ON_SCREEN, NAME):
            visit.fault(f"landed on {landed}, where the entry {NAME} is not on the screen")
    except Exception as e:
        visit.fault(f"{NAME} is not found: {str(e).splitlines()[0][:200]}")
    return landed


def details(visit: Visit) -> int:
    "Equations, dark mode, and the file for language models; how many equations there are."
    visit.go("loss.html")
    equations = visit.page.locator("math").count()
    if not equations:
        visit.fault("no equation is shown")
    bar = visit.page.eval_on_selector_all(
        "#quarto-header .navbar-nav a.nav-link[href]", "es => es.map(e => e.textContent.trim())"
    )
    for name in ("Guides", "Book", "Results", "API"):
        if name not in bar:
            visit.fault(f"the bar at the top has no {name}: {bar}")
    visit.where = "llms.txt"
    text = visit.page.request.get(visit.home + "llms.txt")
    if text.status != 200 or "loss" not in text.text():
        visit.fault("is not there")
    return equations


def main(argv=None) -> int:
    args = options(argv)
    why, error = missing(args.site)
    if why:
        print(f"not checked: {why}")
        return int(error or args.require)
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu"]
    with served(args.site) as home, sync_playwright() as pw:
        browser = pw.chromium.launch(executable_path=chromium(), args=flags)
        visit = Visit(browser, home)
        if args.shots:
            screenshots(visit, args.shots)
        pages, links, texts = navigation(visit, args.only)
        linked(visit, links - set(pages))
        landed = search(visit)
        equations = details(visit)
        browser.close()
    if visit.faults:
        print(f"{len(visit.faults)} faults on {len(pages)} pages")
        return 1
    print(
        f"{len(pages)} pages of the navigation, {len(links)} pages linked, "
        f"{texts} pictures with a text, {equations} equations in loss.html; "
        f"search lands on {landed}; nothing asked for from elsewhere; no error"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
