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
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

sys.path.insert(0, str(Path(__file__).parent))
import entries  # noqa: E402
import mend  # noqa: E402

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
    ("format", "html", "columns"),  # or pandoc shares the width of a table out evenly
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


def exported(cell: dict, plain: bool = False) -> list[dict]:
    "An exported cell as its page shows it: entries and folded code; of tests headings and code."
    source = "".join(cell["source"])
    inner = EXPORTED.match(source)[1] == "i"
    code = EXPORTED.sub("", source, count=1)
    body = ast.parse(code).body
    out, public = [], []
    for number, node in enumerate(body):
        named = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        if named and not node.name.startswith("_"):
            words = "" if inner or plain else entries.described(node, code)
            out.append(entry(node.name, "####" if inner else "###", words))
            out[-1]["id"] = f"{cell['id']}-{number}"
            public.append(node.name)
    folds = ""
    if body and all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in body):
        folds = "Imports"
    elif public and not inner and not plain:
        folds = "Code of " + " and ".join(public)
    if folds:
        code = f'#| code-fold: true\n#| code-summary: "{folds}"\n{code}'
    return out + [cell | {"source": code.splitlines(keepends=True)}]


def entry(name: str, level: str, words: str) -> dict:
    "The heading of a name, with a link to its source, and what is said of it."
    from nbdev.doclinks import NbdevLookup

    source = NbdevLookup().code(name)
    link = f"[source]({source}){{.entry-source}}\n\n" if source else ""
    text = f"---\n\n{link}{level} {name}\n\n{words}\n"
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def folded(cell: dict, results: bool) -> dict:
    "The code of a figure under a click; on a page of results all code is."
    source = "".join(cell["source"])
    if cell["cell_type"] != "code" or re.search(
        r"^#\|\s*(?:code-fold|echo|hide|include)", source, re.M
    ):
        return cell
    kinds = {k for o in cell.get("outputs", []) for k in o.get("data", {})}
    if any(k.startswith("image/") for k in kinds):
        words = "Code of the figure"
    elif results and "text/html" in kinds:
        words = "Code of the table"
    elif results:
        words = "Code" if cell.get("outputs") else "Code that checks it"
    else:
        return cell
    marks = f'#| code-fold: true\n#| code-summary: "{words}"\n'
    return cell | {"source": [*marks.splitlines(keepends=True), *cell["source"]]}


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


ROOMS = {
    "": "Foundations",
    "data": "1 Data synthesis",
    "analysis": "2 Overfitting analysis",
    "train": "3 SFT and pre-training through TRL",
    "unlearn": "4 The unlearning loss",
    "evaluate": "Evaluation",
    "lm": "Models",
    "study": "The study",
    "cli": "Command line",
    "bench": "Benches",
    "related": "Related systems",
}  # folder -> how the book calls it; the others follow by name


def public_names(module: Path) -> list[tuple[str, str]]:
    "(name, sentence) of what a module makes public."
    tree = ast.parse(module.read_text(encoding="utf-8"))
    lists = [
        n
        for n in tree.body
        if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "__all__"
    ]
    names = ast.literal_eval(lists[0].value) if lists else []
    nodes = {getattr(n, "name", ""): n for n in tree.body}
    docs = {k: ast.get_docstring(nodes[k]) or "" for k in names if k in nodes}
    return [(k, docs[k].partition("\n")[0]) for k in names if k in docs]


def api_page(cfg) -> dict:
    "A notebook with every public name, by chapter, each leading to its entry."
    rooms: dict[str, list[str]] = {}
    for module in sorted(cfg.lib_path.rglob("*.py")):
        folder = module.parent.relative_to(cfg.lib_path).as_posix().removeprefix(".")
        if folder.partition("/")[0] in ("tests", "testing"):
            continue
        for name, sentence in public_names(module):
            line = f"| `{name}` | {entries.cell(sentence)} |"
            rooms.setdefault(folder, []).append(line)
    order = sorted(rooms, key=lambda r: (list(ROOMS).index(r) if r in ROOMS else 99, r))
    text = "# API\n\n> Every public name with its sentence; each leads to its signature, "
    text += "its parameters, an example and its source.\n"
    sources = [text]
    for room in order:
        head = (
            f"## {ROOMS.get(room, room.capitalize())}\n\n| name | what it does |\n| --- | --- |\n"
        )
        sources.append(head + "\n".join(rooms[room]))
    cells = [
        {"cell_type": "markdown", "id": f"api-{i}", "metadata": {}, "source": t.splitlines(True)}
        for i, t in enumerate(sources)
    ]
    kernel = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def page_notebooks(cfg) -> None:
    "Steps 1 and 2."
    from nbdev.doclinks import _build_modidx
    from nbdev.serve import proc_nbs

    _build_modidx(skip_exists=True)
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree("nbs", COPY, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "_*cache"))
    for name in BESIDE:
        shutil.copy(name, COPY)
    parsed = (
        ast.parse(module.read_text(encoding="utf-8")) for module in cfg.lib_path.rglob("*.py")
    )
    sayings = {
        node.name: ast.get_docstring(node)
        for tree in parsed
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node)
    }
    (COPY / "api.ipynb").write_text(json.dumps(api_page(cfg)), encoding="utf-8")
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
                cells += exported(cell, plain=path.parent.name == "tests")
            else:
                results = re.fullmatch(r"9\d[a-z]?_.*", path.stem) is not None
                cells.append(folded(described(cell, heading, sayings), results))
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


def mend_page(path: Path, cfg, ids: dict[str, set[str]], notebooks: dict[str, str]) -> None:
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
    text = mend.with_whole_options(mend.with_equations(mend.without_loaders(text)))
    notebook = notebooks.get(path.relative_to(SITE).as_posix())
    if notebook:
        text = mend.with_badge(text, mend.badge(cfg.git_url, cfg.branch, f"nbs/{notebook}"))
    path.write_text(text, encoding="utf-8")


def mend_styles() -> None:
    "Step 5 for the themes: they would ask for a font from elsewhere."
    for path in SITE.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        mended = mend.without_fonts(text)
        if mended != text:
            path.write_text(mended, encoding="utf-8")


def mend_files(cfg) -> None:
    "Step 5 for the files beside the pages: search, llms.txt, and what holds an address."
    parts = ("source", "site_libs")
    paths = [p for p in sorted(SITE.rglob("*.html")) if p.relative_to(SITE).parts[0] not in parts]
    pages = {p.relative_to(SITE).as_posix(): p.read_text(encoding="utf-8") for p in paths}
    index = SITE / "search.json"
    if index.exists():
        text = mend.searchable(index.read_text(encoding="utf-8"), pages)
        index.write_text(text, encoding="utf-8")
    text = mend.for_language_models(cfg.title, cfg.description, pages)
    (SITE / "llms.txt").write_text(text, encoding="utf-8")
    if not mend.is_public(cfg.doc_host):
        for name in ("sitemap.xml", "robots.txt"):
            (SITE / name).unlink(missing_ok=True)


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


NESTED = re.compile(r"\[<a [^>]*><code>([^<]*)</code></a>\]\(")  # as [`name`](page) comes out


def problems() -> list[str]:
    "Step 6: broken links, and anything a page would load from elsewhere."
    pages = {}
    faults: dict[str, list[str]] = {}
    for path in SITE.rglob("*.html"):
        name, text = path.relative_to(SITE).as_posix(), path.read_text(encoding="utf-8")
        pages[name] = Links(text)
        for code in NESTED.findall(text):
            faults.setdefault(f"{code} is a link within a link", []).append(name)
    for name, page in pages.items():
        for address in sorted(page.links | page.loads):
            parts = urlsplit(address)
            outside = bool(parts.scheme or parts.netloc)
            fault = elsewhere(address, page) if outside else within(address, name, pages)
            if fault:
                faults.setdefault(fault, []).append(name)
    for path in SITE.rglob("*.css"):
        for address in mend.loaded_from(path.read_text(encoding="utf-8")):
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
    page_notebooks(cfg)
    render()
    source_pages(cfg)
    paths = sorted(p for p in SITE.rglob("*.html") if "source" not in p.relative_to(SITE).parts)
    ids = {p.relative_to(SITE).as_posix(): Links(p.read_text(encoding="utf-8")).ids for p in paths}
    books = [p.relative_to("nbs") for p in Path("nbs").rglob("*.ipynb")]
    notebooks = {
        p.with_name(NUMBER.sub("", p.stem) + ".html").as_posix(): p.as_posix() for p in books
    }
    for path in paths:
        mend_page(path, cfg, ids, notebooks)
    mend_styles()
    mend_files(cfg)
    moved_pages()
    found = problems()
    if found:
        print("The site was built, with these faults:", *found, sep="\n  ", file=sys.stderr)
        return 1
    print(f"{len(paths)} pages in {SITE}/: open {SITE}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
