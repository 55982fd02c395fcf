"""The interpreters of a machine on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deadlock_matrix.model.discovery import Discovery
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import (
    Fingerprint,
    InterpreterFacts,
    LibraryKind,
    NativeLibrary,
)
from deadlock_matrix.render.drawing import RULED, draw
from deadlock_matrix.render.plain import count, listed, one_line

_PACKAGES = ("torch", "numpy", "transformers")
_FIRST_WIDTH = 24


def interpreters_text(found: Discovery, width: int = 80, colour: bool = False) -> str:
    """The interpreters as text, at most ``width`` columns wide; with ``colour``, ANSI sequences."""
    return draw(_renderable(found), width, colour)


def _renderable(found: Discovery) -> RenderableType:
    working = [each for each in found.interpreters if isinstance(each.fingerprint, Known)]
    broken = [each for each in found.interpreters if not isinstance(each.fingerprint, Known)]
    parts: list[RenderableType] = []
    for title, facts in (("interpreter", working), ("does not work", broken)):
        if facts:
            parts += [_table(title, facts), ""]
    parts += [Text(f"note: {one_line(note)}") for note in found.notes]
    parts.append(Text(summary(len(working), len(broken))))
    return Group(*parts)


def summary(working: int, broken: int) -> str:
    """One line: ``12 interpreters work, 2 do not``."""
    if not working and not broken:
        return "no interpreter was found"
    first = f"{count(working, 'interpreter')} {'works' if working == 1 else 'work'}"
    return f"{first}, {broken} {'does' if broken == 1 else 'do'} not" if broken else first


def _table(title: str, facts: Sequence[InterpreterFacts]) -> Table:
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="", expand=True)
    table.add_column(title, width=_FIRST_WIDTH, overflow="fold")
    table.add_column("where, and what is in it", ratio=1, overflow="fold")
    for each in facts:
        table.add_row(_what(each), _where(each))
    return table


def _what(facts: InterpreterFacts) -> RenderableType:
    name = Text(one_line(facts.name), style="bold", overflow="fold")
    if not isinstance(facts.fingerprint, Known):
        return name
    found = facts.fingerprint.value
    version = found.version if found.implementation == "cpython" else ""
    version = version or f"{found.implementation} {found.version}"
    version += " free-threaded" if found.free_threaded else ""
    return Group(name, _inset(f"{version}, {found.distribution}"))


def _where(facts: InterpreterFacts) -> RenderableType:
    path = Text(one_line(facts.executable), overflow="fold")
    if isinstance(facts.fingerprint, Known):
        return Group(path, *map(_inset, _contents(facts.fingerprint.value)))
    return Group(path, _inset(facts.fingerprint.reason, style="red"))


def _inset(line: str, style: str = "") -> RenderableType:
    return Padding(Text(one_line(line), style=style, overflow="fold"), (0, 0, 0, 2))


def _contents(found: Fingerprint) -> Iterator[str]:
    packages = [f"{name} {found.packages[name]}" for name in _PACKAGES if name in found.packages]
    if packages:
        yield ", ".join(packages)
    if isinstance(found.libraries, Known) and (line := libraries_line(found.libraries.value)):
        yield line


def libraries_line(libraries: Sequence[NativeLibrary]) -> str:
    """``BLAS: MKL in numpy; OpenMP: libgomp, libiomp5``; what is not there is left out.

    A BLAS goes with who loads it, as that is what settings are for; of OpenMP it matters that
    there are several in one process.
    """
    blas: dict[str, list[str]] = {}
    for each in libraries:
        if each.kind is LibraryKind.BLAS:
            users = blas.setdefault(each.name, [])
            users += [user for user in each.users if user not in users]
    parts = [f"{name} in {listed(users)}" if users else name for name, users in blas.items()]
    openmp = dict.fromkeys(each.name for each in libraries if each.kind is LibraryKind.OPENMP)
    lines = [("BLAS", parts), ("OpenMP", list(openmp))]
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in lines if names)
