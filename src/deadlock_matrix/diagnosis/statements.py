"""A statement taken apart into its imports, to leave some out or to put them in another order."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import msgspec

MOST_ORDERS = 4


class Imports(msgspec.Struct, frozen=True, kw_only=True):
    """The imports a statement begins with, one module each, and what follows them."""

    imports: tuple[str, ...]
    rest: str


def split(statement: str) -> Imports:
    """Take a statement apart; what is no Python is all rest."""
    try:
        body = ast.parse(statement).body
    except (SyntaxError, ValueError):
        return Imports(imports=(), rest=statement)
    leading: list[str] = []
    end = 0
    for node in body:
        if isinstance(node, ast.Import):
            leading += [ast.unparse(ast.Import(names=[alias])) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            leading.append(ast.unparse(node))
        else:
            break
        end += 1
    rest = "\n".join(ast.unparse(node) for node in body[end:])
    return Imports(imports=tuple(leading), rest=rest)


def join(imports: Sequence[str], rest: str) -> str:
    """The statement again: one import a line."""
    return "\n".join([*imports, *([rest] if rest else [])])


def other_orders(imports: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """A few orders worth trying: the last ones first, and all of them backwards."""
    given = tuple(imports)
    if len(given) < 2:
        return ()
    moved = [(each, *(other for other in given if other != each)) for each in reversed(given[1:])]
    found = dict.fromkeys([*moved[: MOST_ORDERS - 1], tuple(reversed(given))])
    return tuple(order for order in found if order != given)


def top_level(statement: str) -> str:
    """The first package that a statement imports; empty: there is none."""
    try:
        nodes = list(ast.walk(ast.parse(statement)))
    except (SyntaxError, ValueError):
        return ""
    for node in nodes:
        if isinstance(node, ast.Import):
            return node.names[0].name.partition(".")[0]
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            return node.module.partition(".")[0]
    return ""
