"""Write README.md from nbs/index.ipynb, without running anything; --check only compares.

Markdown cells are taken as they are, code cells with their stored outputs, cells marked `#|
hide` not at all. Links to notebooks and files are made to hold from the top of the repository;
pictures go into index_files/.
"""

import base64
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "nbs" / "index.ipynb"
PICTURES = "index_files"
NOTE = "<!-- Written from nbs/index.ipynb by `make readme`: change that notebook instead. -->\n"
LINK = re.compile(
    r"(!?\[[^\]]*\]\()([^)\s]+)(?=[)\s])|(<(?:img|a)\b[^>]*?\b(?:src|href)=[\"'])([^\"']+)"
)


def from_top(text: str) -> str:
    "Relative links of a notebook in nbs/, as they are from the top of the repository."

    def one(m: re.Match) -> str:
        start, target = (m[1], m[2]) if m[1] else (m[3], m[4])
        if re.match(r"[a-z]+:|#|/", target):
            return m[0]
        return start + (target.removeprefix("../") if target.startswith("../") else "nbs/" + target)

    return LINK.sub(one, text)


def outside_fences(text: str, change) -> str:
    "`change` applied to the parts of a Markdown text that are not fenced code."
    parts = re.split(r"(^```.*?^```[ ]*$)", text, flags=re.S | re.M)
    return "".join(p if i % 2 else change(p) for i, p in enumerate(parts))


def fenced(text: str, language: str = "") -> str:
    fence = "`" * max(3, 1 + max((len(m) for m in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def output(out, name: str, pictures: dict[str, bytes], alt: str) -> str:
    "One stored output as Markdown; pictures, described by `alt`, are added to `pictures`."
    if out.output_type == "stream":
        return fenced(out.text) if out.name == "stdout" and out.text.strip() else ""
    data = out.get("data", {})
    for kind, suffix in (("image/svg+xml", "svg"), ("image/png", "png")):
        if kind in data:
            raw = data[kind]
            pictures[f"{name}.{suffix}"] = (
                raw.encode() if suffix == "svg" else base64.b64decode(raw)
            )
            return f"![{alt}]({PICTURES}/{name}.{suffix})"
    if "text/markdown" in data:
        return outside_fences(data["text/markdown"], from_top)
    if "text/html" in data:
        return re.sub(r"<style\b.*?</style>\s*", "", data["text/html"], flags=re.S)
    return fenced(data["text/plain"]) if data.get("text/plain") else ""


def build() -> tuple[str, dict[str, bytes]]:
    "The text of README.md and its pictures."
    nb, parts, pictures = nbformat.read(NOTEBOOK, as_version=4), [], {}
    for n, cell in enumerate(nb.cells):
        if cell.cell_type == "markdown":
            parts.append(outside_fences(cell.source, from_top))
        if cell.cell_type != "code":
            continue
        lines = cell.source.splitlines()
        flags = {line[2:].strip() for line in lines if line.startswith("#|")}
        code = "\n".join(line for line in lines if not line.startswith("#|")).strip()
        if flags & {"hide", "include: false"}:
            continue
        if code and "echo: false" not in flags:
            parts.append(fenced(code, "python"))
        if "output: false" not in flags:
            alt = next(
                (
                    f.partition(":")[2].strip().strip("\"'")
                    for f in sorted(flags)
                    if f.startswith("fig-alt:")
                ),
                "",
            )
            parts += [output(o, f"cell-{n}-{i}", pictures, alt) for i, o in enumerate(cell.outputs)]
    return NOTE + "\n" + "\n\n".join(p.strip() for p in parts if p.strip()) + "\n", pictures


def main(check: bool) -> int:
    text, pictures = build()
    want = {"README.md": text.encode()} | {f"{PICTURES}/{k}": v for k, v in pictures.items()}
    have = {
        p.relative_to(ROOT).as_posix(): p.read_bytes()
        for p in [ROOT / "README.md", *(ROOT / PICTURES).glob("*")]
        if p.is_file()
    }
    differ = sorted(n for n in want.keys() | have.keys() if want.get(n) != have.get(n))
    if check:
        if differ:
            print(
                "These files are not what nbs/index.ipynb gives (run `make readme`):",
                *differ,
                sep="\n  ",
                file=sys.stderr,
            )
        else:
            print(f"{len(want)} files as they should be")
        return 1 if differ else 0
    for name in have.keys() - want.keys():
        (ROOT / name).unlink()
    for name in differ:
        if name in want:
            (ROOT / name).parent.mkdir(exist_ok=True)
            (ROOT / name).write_bytes(want[name])
    print(f"README.md: {len(text.splitlines())} lines, {len(pictures)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
