"""A statement taken apart into its imports, to leave some out or to reorder them."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence

import msgspec
from msgspec.structs import replace

from deadlock_matrix.diagnosis.investigation.sources import imported_packages
from deadlock_matrix.model.cell import Entry
from deadlock_matrix.model.diagnosis import Target

MOST_ORDERS = 4
FILE_IS = "__file__ = "
RUN_FILE = 'exec(compile(open(__file__, "rb").read(), __file__, "exec"))'
"""How a statement ends that executes the user's script."""


class Imports(msgspec.Struct, frozen=True, kw_only=True):
    """The imports with which a statement begins, one module each, and what follows them.

    ``head`` is what has to stand before them: a docstring, and imports from ``__future__``.
    """

    imports: tuple[str, ...]
    rest: str
    head: tuple[str, ...] = ()


def split(statement: str) -> Imports:
    """Take a statement apart; if it is not Python, all of it is the rest."""
    try:
        body = ast.parse(statement).body
    except (SyntaxError, ValueError):
        return Imports(imports=(), rest=statement)
    head: list[str] = []
    leading: list[str] = []
    end = 0
    for node in body:
        if not leading and (_is_text(node) or _is_future(node)):
            head.append(ast.unparse(node))
        elif isinstance(node, ast.Import):
            leading += [ast.unparse(ast.Import(names=[alias])) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            leading.append(ast.unparse(node))
        else:
            break
        end += 1
    rest = "\n".join(ast.unparse(node) for node in body[end:])
    return Imports(imports=tuple(leading), rest=rest, head=tuple(head))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def join(imports: Sequence[str], parts: Imports) -> str:
    """Return a statement again with other imports, one a line."""
    return "\n".join([*parts.head, *imports, *([parts.rest] if parts.rest else [])])


def text_of(target: Target) -> str:
    """Return the user's own code: the requested statement, or the text of the script."""
    return target.script_text if target.script else target.entry.statement


def with_text(target: Target, text: str) -> Entry:
    """Return the target's entry with other code of the user's in its place."""
    if not target.script:
        return replace(target.entry, statement=text or "pass")
    around = target.entry.statement.removesuffix(RUN_FILE)
    return replace(target.entry, statement=f'{around}exec(compile({text!r}, __file__, "exec"))')


def shown_text(statement: str) -> str:
    """Return the user's own code in a statement made by `with_text`; any other as it is."""
    try:
        last = ast.parse(statement).body[-1]
    except (SyntaxError, ValueError, IndexError):
        return statement
    match last:
        case ast.Expr(
            ast.Call(
                ast.Name("exec"),
                [ast.Call(ast.Name("compile"), [ast.Constant(str(text)), ast.Name("__file__"), _])],
            )
        ):
            return text
    return statement


def is_of(import_: str, packages: Collection[str]) -> bool:
    """Return whether an import is of one of these top-level packages."""
    return bool(set(imported_packages([import_])) & set(packages))


def used_in(imports: Sequence[str], rest: str) -> tuple[str, ...]:
    """Return those imports whose names the following code uses, and without which it fails."""
    try:
        names = {node.id for node in ast.walk(ast.parse(rest)) if isinstance(node, ast.Name)}
    except (SyntaxError, ValueError):
        return tuple(imports)
    return tuple(each for each in imports if _bound(each) & names)


def _bound(import_: str) -> set[str]:
    return {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(ast.parse(import_))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }


def other_orders(imports: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return a few orders worth trying: the last ones first, and all of them backwards."""
    given = tuple(imports)
    if len(given) < 2:
        return ()
    moved = [(each, *(other for other in given if other != each)) for each in reversed(given[1:])]
    found = dict.fromkeys([*moved[: MOST_ORDERS - 1], tuple(reversed(given))])
    return tuple(order for order in found if order != given)
