"""The interpreters of a machine on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deadlock_matrix.diagnosis.study.study import Study, packages_of
from deadlock_matrix.diagnosis.text import count, one_line
from deadlock_matrix.model.discovery import Discovery
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import (
    Fingerprint,
    InterpreterFacts,
)
from deadlock_matrix.render.drawing import RULED, draw

_FIRST_WIDTH = 24


def interpreters_text(
    found: Discovery, width: int = 80, colour: bool = False, studies: Sequence[Study] = ()
) -> str:
    """Return the interpreters as text, at most ``width`` columns wide.

    ``studies`` say which packages to name, and what else is in an interpreter. ``colour`` allows
    ANSI sequences.
    """
    return draw(_renderable(found, studies), width, colour)


def _renderable(found: Discovery, studies: Sequence[Study]) -> RenderableType:
    working = [each for each in found.interpreters if isinstance(each.fingerprint, Known)]
    broken = [each for each in found.interpreters if not isinstance(each.fingerprint, Known)]
    parts: list[RenderableType] = []
    for title, facts in (("interpreter", working), ("does not work", broken)):
        if facts:
            parts += [_table(title, facts, studies), ""]
    parts += [Text(f"note: {one_line(note)}") for note in found.notes]
    parts.append(Text(summary(len(working), len(broken))))
    return Group(*parts)


def summary(working: int, broken: int) -> str:
    """Return ``12 interpreters work, 2 do not``."""
    if not working and not broken:
        return "no interpreter was found"
    first = f"{count(working, 'interpreter')} {'works' if working == 1 else 'work'}"
    return f"{first}, {broken} {'does' if broken == 1 else 'do'} not" if broken else first


def _table(title: str, facts: Sequence[InterpreterFacts], studies: Sequence[Study]) -> Table:
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="", expand=True)
    table.add_column(title, width=_FIRST_WIDTH, overflow="fold")
    table.add_column("where, and what is in it", ratio=1, overflow="fold")
    for each in facts:
        table.add_row(_what(each), _where(each, studies))
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


def _where(facts: InterpreterFacts, studies: Sequence[Study]) -> RenderableType:
    path = Text(one_line(facts.executable), overflow="fold")
    if isinstance(facts.fingerprint, Known):
        return Group(path, *map(_inset, _contents(facts.fingerprint.value, studies)))
    return Group(path, _inset(facts.fingerprint.reason, style="red"))


def _inset(line: str, style: str = "") -> RenderableType:
    return Padding(Text(one_line(line), style=style, overflow="fold"), (0, 0, 0, 2))


def _contents(found: Fingerprint, studies: Sequence[Study]) -> Iterator[str]:
    if packages := packages_of(found, studies):
        yield ", ".join(packages)
    for study in studies:
        yield from study.contents(found)
