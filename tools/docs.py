"""Build the site into _docs/: with Quarto where it is installed, otherwise with smalldocs.

1. Copy nbs/ and write the entries: each exported cell shows its code, under a heading with a
   link to the module. (nbdev would run the cells again to print each signature a second time
   and would hide the code.)
2. Let nbdev make the pages' notebooks, build/nbs -> _proc: front matter, hidden cells, links
   from names to entries.
3. Give pages and links the same names. nbdev drops the number (`50_loss.ipynb` is `loss.html`);
   Quarto follows that by itself, smalldocs does not, so for smalldocs the notebooks in _proc
   are renamed.
4. Render.
5. Mend the pages: addresses of the site and of the code become links within the site, equations
   become MathML, fonts are those of the reader's machine.
6. Check every link and that nothing is loaded from elsewhere; a failure is an error.

Nothing is run and no file that git knows is touched. The site needs no network: it can be
opened from the folder.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

ROOT = Path(__file__).resolve().parent.parent
COPY, PROC, SITE = Path("build/nbs"), Path("_proc"), Path("_docs")
MOVED = {
    "again": "record",
    "bench_analysis": "cost",
    "bench_synthesis": "cost",
    "cli": "cli/main",
    "diagnose": "diagnosis",
    "evaluate": "score",
    "inference": "stats",
    "lm": "model",
    "pairs": "generate",
    "paper": "recipe",
    "prompting": "generate",
    "synthesis": "formats",
}  # pages that had other names: old -> new
BESIDE = ("CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")  # what notebooks may link to as ../NAME
NUMBER = re.compile(r"^\d+[a-zA-Z0-9]*_")  # what nbdev drops from the name of a page
# What only Quarto reads, or what would put an address that does not exist yet into the pages.
ONLY_QUARTO = (
    ("format", "html", "html-math-method"),
    ("format", "html", "grid"),
    ("website", "site-url"),
    ("website", "repo-url"),
    ("website", "repo-branch"),
)


def opening(cell: dict) -> list[dict]:
    "The first cell in two: nbdev makes front matter of its head and would drop what follows."
    found = re.match(r"(# .*\n+)((?:>.*\n?)*)", "".join(cell["source"]) + "\n")
    if cell["cell_type"] != "markdown" or not found:
        return [cell]
    sentence = " ".join(line.lstrip("> ").strip() for line in found[2].splitlines())
    rest = "".join(cell["source"])[found.end() :].strip()
    head = cell | {"source": [found[1], "\n", f"> {sentence}\n"] if sentence else [found[1]]}
    return [head] + (
        [cell | {"id": "opening", "source": rest.splitlines(keepends=True)}] if rest else []
    )


EXPORTED = re.compile(r"#\|\s*export(i|s?)\s*\n")  # i: for the modules only, not public


def exported(cell: dict) -> list[dict]:
    "An exported cell as the page shows it: an entry for each name, and the code; imports folded."
    source = "".join(cell["source"])
    level = "####" if EXPORTED.match(source)[1] == "i" else "###"
    code = EXPORTED.sub("", source, count=1)
    body = ast.parse(code).body
    out = []
    for number, node in enumerate(body):
        named = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        if named and not node.name.startswith("_"):
            out.append(entry(node.name, level, f"{cell['id']}-{number}"))
    if body and all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in body):
        code = '#| code-fold: true\n#| code-summary: "Imports"\n' + code
    return out + [cell | {"source": code.splitlines(keepends=True)}]


def entry(name: str, level: str, ident: str) -> dict:
    "The heading of a name, with a link to its source."
    from nbdev.doclinks import NbdevLookup

    source = NbdevLookup().code(name)
    link = f"[source]({source}){{.entry-source}}\n\n" if source else ""
    text = f"---\n\n{link}{level} {name}\n"
    lines = text.splitlines(keepends=True)
    return {"cell_type": "markdown", "id": ident, "metadata": {}, "source": lines}


def described(cell: dict, heading: str, sayings: dict[str, str]) -> dict:
    "A picture without an alternative text gets one: title or drawer, and section."
    source = "".join(cell["source"])
    pictures = any(
        k.startswith("image/") for o in cell.get("outputs", []) for k in o.get("data", {})
    )
    if not pictures or re.search(r"^#\|\s*fig-alt", source, re.M):
        return cell
    title = re.search(
        r"""title\s*=\s*(?:f?"([^"{}]+)"|f?'([^'{}]+)')|set_title\(\s*"([^"{}]+)\"""", source
    )
    drawn = [sayings[name] for name in re.findall(r"\bplot_\w+", source) if name in sayings]
    words = next(filter(None, title.groups()), "") if title else drawn[0] if drawn else "Figure"
    text = f"{words.rstrip('.')}. Section: {heading}".replace("`", "")
    return cell | {
        "source": [f"#| fig-alt: {json.dumps(text, ensure_ascii=False)}\n", *cell["source"]]
    }


def page_notebooks() -> None:
    "Steps 1 and 2."
    from nbdev.config import get_config
    from nbdev.doclinks import _build_modidx
    from nbdev.serve import proc_nbs

    _build_modidx(skip_exists=True)
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree("nbs", COPY, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "_*cache"))
    for name in BESIDE:
        shutil.copy(name, COPY)
    parsed = (
        ast.parse(module.read_text(encoding="utf-8"))
        for module in get_config().lib_path.rglob("*.py")
    )
    sayings = {
        node.name: ast.get_docstring(node)
        for tree in parsed
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node)
    }
    for path in COPY.rglob("*.ipynb"):
        nb = json.loads(path.read_text(encoding="utf-8"))
        nb["cells"][:1] = opening(nb["cells"][0])
        cells, heading = [], ""
        for cell in nb["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                heading = (re.findall(r"^#+ (.+)$", source, re.M) or [heading])[-1]
                source = re.sub(rf"\]\(\.\./(?=({'|'.join(BESIDE)})\))", "](", source)
                cells.append(cell | {"source": source.splitlines(keepends=True)})
            elif EXPORTED.match(source):
                cells += exported(cell)
            else:
                cells.append(described(cell, heading, sayings))
        for cell in cells:
            if cell["cell_type"] == "code":
                cell["source"] = ["#| eval: false\n", *cell["source"]]
        path.write_text(json.dumps(nb | {"cells": cells}), encoding="utf-8")
    proc_nbs(str(COPY), force=True, n_workers=int(os.environ.get("WORKERS", "2")))


def rename_pages() -> None:
    "Step 3, for smalldocs."
    for path in sorted(PROC.rglob("*.ipynb")):
        nb = json.loads(path.read_text(encoding="utf-8"))
        for cell in nb["cells"]:
            if cell["cell_type"] == "markdown":
                source = re.sub(
                    r"(\]\((?:[\w.-]+/)*)\d+[a-zA-Z0-9]*_([\w.-]+\.ipynb)",
                    r"\1\2",
                    "".join(cell["source"]),
                )
                cell["source"] = source.splitlines(keepends=True)
        path.unlink()
        page = path.with_name(NUMBER.sub("", path.name))
        if page.exists():
            raise SystemExit(f"two notebooks would be the page {page.with_suffix('.html').name}")
        page.write_text(json.dumps(nb), encoding="utf-8")
    config = yaml.safe_load((PROC / "_quarto.yml").read_text(encoding="utf-8"))
    for extra in config.pop("metadata-files", []):
        more = yaml.safe_load((PROC / extra).read_text(encoding="utf-8"))
        for key, value in more.items():
            config[key] = {**value, **config.get(key, {})}
    config["website"]["llms-txt"] = True
    for *parents, key in ONLY_QUARTO:
        part = config
        for p in parents:
            part = part.get(p, {})
        part.pop(key, None)
    text = re.sub(r"\b\d+[a-zA-Z0-9]*_(\w+\.ipynb)", r"\1", yaml.safe_dump(config, sort_keys=False))
    (PROC / "_quarto.yml").write_text(text, encoding="utf-8")


def render() -> None:
    "Steps 3 and 4."
    built = PROC / SITE
    if shutil.which("quarto"):
        subprocess.run(["quarto", "render", "--no-cache"], cwd=PROC, check=True)
    else:
        from smalldocs.site import build

        rename_pages()
        for warning in build(PROC, quiet=True).warnings:
            if (
                "broken link" not in warning and "output-file" not in warning
            ):  # both are seen to here
                print(f"smalldocs: {warning}", file=sys.stderr)
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.move(built, SITE)


def source_pages(cfg) -> None:
    "A page for every module, with an anchor for each line: what the `source` links lead to."
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    format = HtmlFormatter(linenos="inline", lineanchors="L", anchorlinenos=True, style="friendly")
    looks = (
        "body { margin: 1.5rem; font: 15px/1.45 system-ui, sans-serif }"
        " body { color: #222; background: #fff }"
        " pre { font-size: 13px } .highlight { background: none }"
        " .highlight a, .highlight .linenos { color: #999; text-decoration: none }"
    )
    for module in sorted(cfg.lib_path.rglob("*.py")):
        name = module.relative_to(cfg.config_path)
        target = (SITE / "source" / name).with_suffix(".html")
        target.parent.mkdir(parents=True, exist_ok=True)
        home = "../" * len(target.relative_to(SITE).parent.parts) + "index.html"
        code = highlight(module.read_text(encoding="utf-8"), PythonLexer(), format)
        target.write_text(
            f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{name}</title>
<style>{format.get_style_defs(".highlight")} {looks}</style></head>
<body><p><a href="{home}">{cfg.title}</a> / {name}</p>{code}</body></html>""",
            encoding="utf-8",
        )


def moved_pages() -> None:
    "A page for each old name, which leads to the new one."
    for old, new in MOVED.items():
        (SITE / f"{old}.html").write_text(
            f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={new}.html"><title>Moved</title></head>
<body><p>This page is now <a href="{new}.html">{new}</a>.</p></body></html>""",
            encoding="utf-8",
        )


def mathml(match: re.Match) -> str:
    "One equation as MathML, which browsers show without any script or font from elsewhere."
    from latex2mathml.converter import convert

    tex = re.sub(
        r"\\operatorname\*?\{(\w+)\}", r"\\text{\1}", unescape(match[2])
    )  # the converter has operators of one symbol only
    text = convert(tex, display="block" if match[1] == "display" else "inline")
    # TeX sets a thin space between a function's name and what follows it
    return re.sub(
        r"(?<!<msub>)(?<!<msup>)(?<!<munder>)(?<!<mfrac>)(?<!<msubsup>)"
        r"(<mi>(?:log|exp|max|min)</mi>)(?=<(?:mi|mn|msu|mfrac|mtext))",
        r'\1<mspace width="0.167em" />',
        text,
    )


def mend_page(path: Path, cfg, ids: dict[str, set[str]]) -> None:
    "Step 5 for one page."
    up = "../" * (len(path.relative_to(SITE).parts) - 1)
    docs, code = cfg.doc_host + cfg.doc_baseurl + "/", f"{cfg.git_url}/blob/{cfg.branch}/"

    def to_page(m: re.Match) -> str:
        page, _, anchor = m[1].partition("#")
        known = ids.get(page, set())
        if (
            anchor not in known
        ):  # methods stand in the entry of their class, private names have none
            anchor = "" if anchor.startswith("_") else anchor.split(".")[0]
        return f'href="{up}{page}{"#" + anchor if anchor else ""}"'

    def to_code(m: re.Match) -> str:
        return f'href="{up}source/{m[1].removesuffix(".py")}.html{"#L-" + m[2] if m[2] else ""}"'

    text = path.read_text(encoding="utf-8")
    text = re.sub(rf'href="{re.escape(docs)}([^"]*)"', to_page, text)
    text = re.sub(
        rf'href="{re.escape(code)}([^"#]*)(?:#L(\d+))?"(?: target="_blank")?', to_code, text
    )
    text = re.sub(
        r'<span class="math (inline|display)">\\[(\[](.*?)\\[)\]]</span>', mathml, text, flags=re.S
    )
    text = re.sub(r"\s*<(?:link|script)[^>]*/katex@[^>]*>(?:</script>)?", "", text)
    path.write_text(text, encoding="utf-8")


def mend_styles() -> None:
    "Step 5 for the themes: they would ask for a font from elsewhere."
    for path in SITE.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        mended = re.sub(
            r"@import\s+(?:url\([^)]*https?://[^)]*\)|[\"']https?://[^\"']*[\"'])[^;]*;", "", text
        )
        if mended != text:
            path.write_text(mended, encoding="utf-8")


class Links(HTMLParser):
    "The links, loaded addresses and ids of a page."

    def __init__(self, text: str):
        super().__init__()
        self.links, self.loads, self.ids = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = {k: v or "" for k, v in attrs}
        self.ids |= {a[k] for k in ("id", "name") if k in a}
        if tag in ("a", "area") and "href" in a:
            self.links.add(a["href"])
        elif tag == "link" and a.get("rel") in ("stylesheet", "icon", "preload", "modulepreload"):
            self.loads.add(a.get("href", ""))
        elif tag in ("script", "img", "iframe", "source", "video", "audio") and a.get("src"):
            self.loads.add(a["src"])


def elsewhere(address: str, page: Links) -> str:
    "What is wrong with an address outside of the site, if anything is."
    if address in page.loads and urlsplit(address).scheme != "data":
        return f"{address} is loaded from elsewhere"
    if ".example/" in address + "/":
        return f"{address} does not exist"
    return ""


def within(address: str, name: str, pages: dict[str, Links]) -> str:
    "What is wrong with an address within the site, if anything is."
    parts = urlsplit(address)
    target = name
    if parts.path:
        target = os.path.normpath(os.path.join(os.path.dirname(name), unquote(parts.path)))
    if (SITE / target).is_dir():
        target = os.path.normpath(os.path.join(target, "index.html"))
    if not (SITE / target).is_file():
        return f"{target} is linked, but is not there"
    if parts.fragment and target in pages:
        places = pages[target].ids | {"top"}
        if unquote(parts.fragment) not in places:
            place = f"{target}#{parts.fragment}"
            return f"{place} is linked, but there is no such place on that page"
    return ""


def problems() -> list[str]:
    "Step 6: broken links, and anything a page would load from elsewhere."
    pages = {}
    for path in SITE.rglob("*.html"):
        pages[path.relative_to(SITE).as_posix()] = Links(path.read_text(encoding="utf-8"))
    faults: dict[str, list[str]] = {}
    for name, page in pages.items():
        for address in sorted(page.links | page.loads):
            parts = urlsplit(address)
            outside = bool(parts.scheme or parts.netloc)
            fault = elsewhere(address, page) if outside else within(address, name, pages)
            if fault:
                faults.setdefault(fault, []).append(name)
    loaded = re.compile(r"(?:url\(|@import\s+)[\"']?(https?://[^\"')]+)")
    for path in SITE.rglob("*.css"):
        for address in loaded.findall(path.read_text(encoding="utf-8")):
            fault = f"{address} is loaded from elsewhere"
            faults.setdefault(fault, []).append(path.relative_to(SITE).as_posix())
    out = []
    for fault, names in faults.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        out.append(f"{fault}: on {names[0]}{more}")
    return out


def main() -> int:
    os.chdir(ROOT)
    from nbdev.config import get_config

    cfg = get_config()
    page_notebooks()
    render()
    source_pages(cfg)
    paths = sorted(p for p in SITE.rglob("*.html") if "source" not in p.relative_to(SITE).parts)
    ids = {p.relative_to(SITE).as_posix(): Links(p.read_text(encoding="utf-8")).ids for p in paths}
    for path in paths:
        mend_page(path, cfg, ids)
    mend_styles()
    moved_pages()
    found = problems()
    if found:
        print("The site was built, with these faults:", *found, sep="\n  ", file=sys.stderr)
        return 1
    print(f"{len(paths)} pages in {SITE}/: open {SITE}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
