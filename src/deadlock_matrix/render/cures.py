"""Which profiles cure what hangs, and which make something hang."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from deadlock_matrix.diagnosis.cures import Cures, cures, harms
from deadlock_matrix.diagnosis.text import count, listed, one_line
from deadlock_matrix.model.observation import CellResult

_WORDS = ("cured by", "not by", "something else under")


def cure_lines(results: Sequence[CellResult]) -> Iterator[RenderableType]:
    """Yield what was tried on each place that hangs under the baseline; alike ones share lines."""
    groups: dict[tuple[tuple[str, ...], ...], list[Cures]] = {}
    for each in cures(results):
        if each.tried:
            groups.setdefault(each.tried, []).append(each)
    for tried, places in groups.items():
        for place in places:
            runs = count(place.runs, "run")
            yield one_line(f"{place.place}: hung in {place.hung} of {runs}")
        for word, profiles in zip(_WORDS, tried, strict=True):
            if profiles:
                yield Padding(Text(f"{word} {listed(profiles)}"), (0, 0, 0, 4))
    yield from _harm_lines(results)


def _harm_lines(results: Sequence[CellResult]) -> Iterator[RenderableType]:
    groups: dict[tuple[str, ...], list[Cures]] = {}
    for each in harms(results):
        groups.setdefault(each.uncured, []).append(each)
    for profiles, places in groups.items():
        for place in places:
            yield one_line(f"{place.place}: ok under the baseline")
        yield Padding(Text(f"made to hang by {listed(profiles)}"), (0, 0, 0, 4))
