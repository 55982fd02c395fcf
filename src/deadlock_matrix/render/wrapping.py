"""Lines of limited width, in which anything to be copied stays whole."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from deadlock_matrix.diagnosis.text import printable


def wrapped(text: str, width: int, indent: str, further: str | None = None) -> Iterator[str]:
    """Yield lines of at most ``width``; a longer word stays whole, to be copied."""
    yield from textwrap.wrap(
        kept(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent if further is None else further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def kept(text: str) -> str:
    """Return one printable line, with spaces as they are: they make columns."""
    return printable(text).replace("\n", " ")
