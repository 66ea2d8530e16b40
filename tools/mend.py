"""What the rendered pages need before they are right, as functions from text to text.

The two generators leave different things: Quarto loads scripts and fonts from elsewhere for some
outputs and writes placeholder addresses; smalldocs leaves equations to KaTeX. tools/docs.py calls
these for every page, whichever made it; `nbs/tests/test_site.ipynb` shows each on small pages.
"""

import json
import re
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urlsplit

# What outputs of `text/html` make Quarto add to a page: a loader of modules and jQuery.
LOADER = re.compile(
    r"\s*<script[^>]*\bsrc=[\"'][^\"']*/(?:require(?:\.min)?|jquery(?:\.min)?)\.js[\"'][^>]*>\s*</script>"
)
DEFINE = re.compile(r"\s*<script[^>]*>\s*define\(\s*['\"]jquery['\"].*?</script>", re.S)
KATEX = re.compile(r"\s*<(?:link|script)[^>]*/katex@[^>]*>(?:</script>)?")
IMPORT = re.compile(r"@import\s*(?:url\([^)]*https?://[^)]*\)|[\"']https?://[^\"']*[\"'])[^;}]*;?")
OUTSIDE = re.compile(r"(?:url\(|@import\s*)[\"']?(https?://[^\"')]+)")
MATH = re.compile(r'<span class="math (inline|display)">\\[(\[](.*?)\\[)\]]</span>', re.S)
# a function's name and what follows it, with the invisible mark of application between or not
APPLIED = re.compile(
    r"(?<!<msub>)(?<!<msup>)(?<!<munder>)(?<!<mfrac>)(?<!<msubsup>)"
    r"(<m[io](?: [^>]*)?>(?:log|exp|max|min)</m[io]>)"
    r"(?:<mo>(?:&#8289;|&#x2061;|\u2061)</mo>)?(?=<(?:mi|mn|msu|mfrac|mtext))"
)


def without_loaders(page: str) -> str:
    "The page without scripts that would be asked for elsewhere and that nothing on it uses."
    return KATEX.sub("", DEFINE.sub("", LOADER.sub("", page)))


def without_fonts(style: str) -> str:
    "The style sheet without its imports from elsewhere; fonts are those of the reader's machine."
    return IMPORT.sub("", style)


def loaded_from(style: str) -> list[str]:
    "The addresses elsewhere that a style sheet asks for."
    return OUTSIDE.findall(style)


def spaced(page: str) -> str:
    "Equations as TeX sets them: a thin space between a function's name and what follows it."
    return APPLIED.sub(r'\1<mspace width="0.167em" />', page)


def mathml(match: re.Match) -> str:
    "One equation as MathML, which browsers show without any script or font from elsewhere."
    from latex2mathml.converter import convert

    tex = re.sub(
        r"\\operatorname\*?\{(\w+)\}", r"\\text{\1}", unescape(match[2])
    )  # the converter has operators of one symbol only
    return convert(tex, display="block" if match[1] == "display" else "inline")


def with_equations(page: str) -> str:
    "The page with its equations in MathML."
    return spaced(MATH.sub(mathml, page))


def with_whole_options(page: str) -> str:
    "Commands in which an option is not cut at its hyphens where a line is too narrow."

    def one(block: re.Match) -> str:
        return re.sub(
            r"(?<![\w<=\"'/-])(--?[a-zA-Z][\w-]*)", r'<span class="option">\1</span>', block[0]
        )

    return re.sub(r'<pre class="sourceCode (?:sh|bash)\b.*?</pre>', one, page, flags=re.S)


def is_public(address: str) -> bool:
    "Whether an address leads anywhere: nobody can own a name that ends in .example."
    host = urlsplit(address).hostname or ""
    return bool(host) and not host.endswith(".example") and host != "example"


def badge(git_url: str, branch: str, notebook: str) -> str:
    "A link that opens the notebook in Colab, once its repository is public on GitHub."
    parts = urlsplit(git_url)
    if parts.hostname != "github.com":
        return ""
    where = f"https://colab.research.google.com/github{parts.path.rstrip('/')}/blob/{branch}"
    return f'<p class="colab"><a href="{where}/{notebook}">Open in Colab</a></p>'


def with_badge(page: str, link: str) -> str:
    "The page with a link below its title."
    found = re.search(r'<header id="title-block-header".*?</header>', page, re.S)
    return page[: found.end()] + link + page[found.end() :] if found and link else page


class Headings(HTMLParser):
    "The sections of a page: (id, title, the text up to the next one), and its description."

    def __init__(self, page: str):
        super().__init__()
        self.sections, self.title, self.about = [], "", ""
        self._ids, self._in, self._skip, self._meta = [], "", 0, ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        a = {k: v or "" for k, v in attrs}
        if tag == "meta" and a.get("name") == "description":
            self.about = a.get("content", "")
        if tag == "section":
            self._ids.append(a.get("id", ""))
        if tag in ("script", "style", "nav"):
            self._skip += 1
        if tag in ("h1", "h2", "h3", "h4"):
            self._in = tag
            place = a.get("data-anchor-id") or (self._ids[-1] if self._ids else "")
            if tag != "h1" and place:
                self.sections.append([place, "", ""])

    def handle_endtag(self, tag):
        if tag == "section" and self._ids:
            self._ids.pop()
        if tag in ("script", "style", "nav"):
            self._skip = max(0, self._skip - 1)
        if tag == self._in:
            self._in = ""

    def handle_data(self, data):
        if self._skip:
            return
        if self._in == "h1":
            self.title += data
        elif self.sections:
            self.sections[-1][1 if self._in else 2] += data


def searchable(index: str, pages: dict[str, str]) -> str:
    "The index of the search with every section of every page, down to the entry of a name."
    found = json.loads(index)
    there = {row.get("href") for row in found}
    for name, page in pages.items():
        heads = Headings(page)
        for place, title, text in heads.sections:
            href = f"{name}#{place}"
            if href not in there:
                row = {"objectID": href, "href": href, "title": heads.title.strip()}
                words = " ".join(text.split())[:600]
                found.append(row | {"section": " ".join(title.split()), "text": words})
                there.add(href)
    return json.dumps(found, ensure_ascii=False)


def for_language_models(title: str, about: str, pages: dict[str, str]) -> str:
    "The text of llms.txt: each page with its sentence, addresses relative to the site."
    lines = [f"# {title}", "", f"> {about}", "", "## Pages", ""]
    for name, page in pages.items():
        heads = Headings(page)
        said = f": {' '.join(heads.about.split())}" if heads.about else ""
        lines.append(f"- [{' '.join(heads.title.split()) or name}]({name}){said}")
    return "\n".join(lines) + "\n"
