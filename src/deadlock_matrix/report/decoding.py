"""Turn bytes from outside into types, or say in one sentence what is wrong with them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

T = TypeVar("T")

DAMAGE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are not what they should be."""

MAX_WORDS = 300  # of a message that quotes the file


@contextmanager
def collector_off() -> Iterator[None]:
    """Turn garbage collection off: decoded values have no cycles, and looking for them is slow."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def decode(data: bytes, wanted: type[T]) -> T:
    """Decode as `msgspec.json.decode` does, several times faster for a large report.

    Raises:
        DAMAGE: One of these; `explain` puts it into words.
    """
    with collector_off():
        return msgspec.json.decode(data, type=wanted)


def explain(error: Exception, data: bytes, what: str) -> str:
    """Say what is wrong with ``data``, which should have been ``what``, to end a sentence."""
    if isinstance(error, RecursionError):
        return f"is nested deeper than any {what}"
    if isinstance(error, msgspec.ValidationError):
        return f"is not {_article(what)}: {one_line(str(error))}"
    if not data.strip():
        return "is empty"
    if "truncated" in str(error):
        return f"is truncated, it ends after {len(data)} bytes in the middle of a value"
    return f"is not JSON: {one_line(str(error))}"


def one_line(text: str, limit: int = MAX_WORDS) -> str:
    """Fit a text from outside into a message: one line, no control characters, not long."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:limit])
    return shown if len(text) <= limit else f"{shown}..."


def _article(what: str) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
