"""Lines of text with a style each, for a terminal or a log."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

LEAST_WIDTH = 40


class Line(NamedTuple):
    """One line.

    ``style`` is one of rich's and is lost where there is no colour. Prose may be broken at the end
    of a terminal's line; a path or a line of code stays whole, so that it can be copied.
    """

    text: str = ""
    style: str = ""
    prose: bool = False


def put_down(lines: Iterable[Line], width: int | None = None, colour: bool = False) -> str:
    """Return the lines as text.

    Args:
        lines: The lines.
        width: Columns at which prose is broken; ``None`` breaks it nowhere, as in a log.
        colour: Whether to use ANSI sequences.
    """
    broken = (each for line in lines for each in _broken(line, width))
    return "\n".join(_coloured(line) if colour else line.text for line in broken)


def _broken(line: Line, width: int | None) -> Iterator[Line]:
    if width is None or not line.prose or len(line.text) <= width:
        yield line
        return
    body = line.text.lstrip()
    inset = " " * (len(line.text) - len(body))
    for text in textwrap.wrap(
        body,
        max(width, LEAST_WIDTH),
        initial_indent=inset,
        subsequent_indent=inset,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        yield line._replace(text=text)


def _coloured(line: Line) -> str:
    if not line.style or not line.text:
        return line.text
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(line.style).render(line.text, color_system=ColorSystem.STANDARD)
