"""What the views for a terminal share: how they are drawn, their sections and tables."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import Box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

# Plain ASCII: a report is read in logs of any encoding.
RULED = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def draw(part: RenderableType, width: int, colour: bool) -> str:
    """Return ``part`` as text, at most ``width`` columns wide; with ``colour``, ANSI sequences."""
    console = Console(
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(part)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def section(title: str, lines: Iterable[RenderableType]) -> list[RenderableType]:
    """Put a title above its indented lines; empty if there are none. Lines stay as they are."""
    shown: list[RenderableType] = [Text(line) if isinstance(line, str) else line for line in lines]
    return ["", Text(title, style="bold"), *map(inset, shown)] if shown else []


def inset(part: RenderableType) -> RenderableType:
    """Return ``part``, two columns to the right."""
    return Padding(part, (0, 0, 0, 2))
