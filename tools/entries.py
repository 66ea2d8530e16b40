"""The entry of a public name on its page: signature, parameters with types and units, source.

Everything is read from the code of the cell: types and defaults from the signature, the meaning
of a parameter from the comment on its line. The example is the cell that follows in the notebook.
"""

import ast
import io
import textwrap
import tokenize

WIDTH = 84  # characters of a line of a signature


def comments(code: str) -> dict[int, str]:
    "The comment of each line."
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return {
        t.start[0]: t.string.lstrip("# ").strip()
        for t in tokens
        if t.type == tokenize.COMMENT and not t.string.startswith(("# noqa", "#|"))
    }


def parameters(node: ast.FunctionDef) -> list[tuple[ast.arg, str, ast.expr | None]]:
    "Each parameter as (argument, its name with stars, its default)."
    a = node.args
    plain = [*a.posonlyargs, *a.args]
    defaults = [None] * (len(plain) - len(a.defaults)) + a.defaults
    found = [(arg, arg.arg, d) for arg, d in zip(plain, defaults, strict=True)]
    if a.vararg:
        found.append((a.vararg, f"*{a.vararg.arg}", None))
    found += [(arg, arg.arg, d) for arg, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    if a.kwarg:
        found.append((a.kwarg, f"**{a.kwarg.arg}", None))
    return [f for f in found if f[1] not in ("self", "cls")]


def fields(node: ast.ClassDef) -> list[tuple[str, ast.AnnAssign]]:
    "The fields of a data class or a named tuple."
    marks = [ast.unparse(d) for d in node.decorator_list]
    bases = [ast.unparse(b) for b in node.bases]
    if not any("dataclass" in m for m in marks) and "NamedTuple" not in bases:
        return []
    found = [
        n for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
    ]
    return [(n.target.id, n) for n in found if not n.target.id.startswith("_")]


def text(node: ast.AST | None) -> str:
    "A type or a default as it is written; a long one cut short."
    said = " ".join(ast.unparse(node).split()) if node is not None else ""
    return said if len(said) <= 60 else said[:57] + "..."


def maker(node: ast.ClassDef) -> ast.FunctionDef | None:
    "The `__init__` of a class, where it has one."
    return next((n for n in node.body if getattr(n, "name", "") == "__init__"), None)


def rows(node: ast.AST, said: dict[int, str]) -> list[tuple[str, str, str, str]]:
    "(name, type, default, meaning) of what a name is called with."
    if isinstance(node, ast.ClassDef):
        own = fields(node)
        if own:
            return [
                (name, text(n.annotation), text(n.value), said.get(n.end_lineno, ""))
                for name, n in own
            ]
        node = maker(node)
        if node is None:
            return []
    return [
        (name, text(arg.annotation), text(default), said.get((default or arg).end_lineno, ""))
        for arg, name, default in parameters(node)
    ]


def signature(node: ast.AST, lines: list[tuple[str, str, str, str]]) -> str:
    "The call in one line, or one parameter a line where that is too long."
    shown = []
    for name, kind, default, _ in lines:
        typed = f"{name}: {kind}" if kind else name
        equal = " = " if kind else "="
        shown.append(f"{typed}{equal}{default}" if default else typed)
    returns = getattr(node, "returns", None)
    end = f" -> {text(returns)}" if returns is not None else ""
    one = f"{node.name}({', '.join(shown)}){end}"
    if len(one) <= WIDTH or not shown:
        return one
    return f"{node.name}(\n" + "".join(f"    {s},\n" for s in shown) + f"){end}"


def cell(said: str) -> str:
    "Text for a cell of a Markdown table."
    return " ".join(said.split()).replace("|", "\\|")


def literal(said: str) -> str:
    "Code for a cell of a Markdown table; two marks, so that no parameter is taken for an entry."
    return f"`` {cell(said)} ``" if said else ""


def boxed(lines: list[str]) -> str:
    "A Markdown table in a box of its own class."
    return "::: {.entry-table}\n\n" + "\n".join(lines) + "\n\n:::"


def table(lines: list[tuple[str, str, str, str]], returned: tuple[str, str]) -> str:
    "The parameters, and what is returned, as a Markdown table."
    out = ["| parameter | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, kind, default, meaning in lines:
        out.append(f"| {literal(name)} | {literal(kind)} | {literal(default)} | {cell(meaning)} |")
    if any(returned):
        out.append(f"| *returns* | {literal(returned[0])} | | {cell(returned[1])} |")
    return boxed(out) if len(out) > 2 else ""


def methods(node: ast.AST) -> str:
    "The public methods of a class, each with its sentence."
    if not isinstance(node, ast.ClassDef):
        return ""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    public = [n for n in node.body if isinstance(n, kinds) and not n.name.startswith("_")]
    if not public:
        return ""
    out = ["| method | what it does |", "| --- | --- |"]
    for n in public:
        marks = {ast.unparse(d).rpartition(".")[2] for d in n.decorator_list}
        names = ", ".join(name for _, name, _ in parameters(n))
        call = n.name if marks & {"property", "cached_property"} else f"{n.name}({names})"
        sentence = (ast.get_docstring(n) or "").partition("\n")[0]
        out.append(f"| {literal(call)} | {cell(sentence)} |")
    return boxed(out)


def described(node: ast.AST, code: str) -> str:
    "What stands under the heading of a public name, as Markdown."
    said = comments(code)
    lines = rows(node, said)
    back = getattr(node, "returns", None)
    returned = (text(back), said.get(back.end_lineno, "")) if back is not None else ("", "")
    parts = [
        f"```python\n{signature(node, lines)}\n```",
        textwrap.dedent(ast.get_docstring(node) or ""),
        table(lines, returned if any(r != "None" and r for r in returned) else ("", "")),
        methods(node),
    ]
    return "\n\n".join(p for p in parts if p)
