"""The user's own files as text: what a script carries, and what it imports."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise

import msgspec

MOST_NAME = 200
_IMPORTERS = frozenset({"__import__", "import_module", "find_spec", "run_module"})


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its text, and its path below the folder in which modules are looked for first."""

    name: str
    text: str


def imported_packages(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the top-level modules that some code imports, or names to a function that imports."""
    names = (name.partition(".")[0] for node in _nodes(texts) for name in _imported(node))
    return tuple(filter(None, dict.fromkeys(names)))


def strings_in(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the short strings in some code: a file's name may be among them."""
    found = dict.fromkeys(
        node.value
        for node in _nodes(texts)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return tuple(each for each in found if 0 < len(each) <= MOST_NAME and each.isprintable())


def _nodes(texts: Iterable[str]) -> Iterator[ast.AST]:
    """Yield all nodes of some code; what is not Python is skipped."""
    for text in texts:
        with suppress(SyntaxError, ValueError):
            yield from ast.walk(ast.parse(text))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module]
    if isinstance(node, ast.Call) and node.args:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        first = node.args[0]
        if name in _IMPORTERS and isinstance(first, ast.Constant) and isinstance(first.value, str):
            return [first.value]
    return []


def pieces(text: str) -> tuple[str, ...]:
    """Return a program cut between its top-level statements; joined, they are the program.

    Comments and blank lines go with the next statement. Text that is not Python is one piece.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return (text,) if text else ()
    lines = text.splitlines(keepends=True)
    spans = [(node.lineno, node.end_lineno or node.lineno) for node in body]
    # Where a statement ends, unless another one is on that line, too.
    ends = sorted({end for _, end in spans if not any(a <= end < b for a, b in spans)})
    bounds = [0, *ends[:-1], len(lines)]
    return tuple("".join(lines[first:last]) for first, last in pairwise(bounds) if first < last)


def without_future(text: str) -> tuple[str, str]:
    """Return the ``from __future__`` lines of a program, and the program without them.

    They must be the first statements of a file, so whatever precedes a program goes in between.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return "", text
    lines = text.splitlines()
    future: list[str] = []
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            future.append(ast.unparse(node))
            for at in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[at] = ""
    return "\n".join(future), "\n".join(lines) if future else text
