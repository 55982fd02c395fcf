"""A report's file piece by piece: one result at a time, and what surrounds them.

This looks only for the marks at which results begin; whether the bytes between them are JSON is for
whoever decodes the pieces to find out. In a text, a quotation mark has a backslash before it, so a
mark is never part of one. A file in another order has no marks: all of it surrounds no result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BufferedIOBase
from typing import NamedTuple

import msgspec

BLOCK_BYTES = 1 << 18
MAX_PIECE_BYTES = 1 << 28
"""Of one result, and of everything around the results."""

_MARK = re.compile(rb'\{\s*"cell"\s*:\s*\{')  # "cell" is a result's first key
_LONGEST_MARK = 256  # a mark may straddle two blocks, with white space in it
_LIST = re.compile(rb'"(cells|controls)"\s*:\s*\[\s*\Z')  # before the first result of a list
_LAST = re.compile(rb'\]\s*,\s*"controls"\s*:\s*\[|\]\s*,\s*"planned"\s*:\s*[0-9]')
_BRACE, _COMMA = b"{", b","


class Piece(NamedTuple):
    """One result, with the list it belongs to: ``cells`` or ``controls``.

    With an empty name, a part of what surrounds the results. ``data`` is overwritten when the next
    piece is asked for: copying all of a large report takes as long as searching it.
    """

    name: str
    data: memoryview


def pieces(file: BufferedIOBase) -> Iterator[Piece]:
    """Yield the pieces of a file; joined, those without a name are the report without its results.

    Raises:
        DecodeError: A piece is too large to be a result.
    """
    name, outside = "", 0
    for data in _at_marks(file):
        around = data
        if name and data[:1] == _BRACE:
            end = _before_comma(data)
            if end:
                yield Piece(name, data[:end])
                continue
            last = _LAST.search(data)
            end = last.start() if last is not None else len(data)
            yield Piece(name, data[:end])
            around = data[end:]
        outside += len(around)
        _check(outside)
        yield Piece("", around)
        opens = _LIST.search(around[-_LONGEST_MARK:])
        name = opens[1].decode() if opens is not None else ""


def _before_comma(data: memoryview) -> int:
    """Return how long a piece is without the comma at its end; 0 if it has none."""
    end = bytes(data[-_LONGEST_MARK:])
    shorter = end.rstrip()
    return len(data) - len(end) + len(shorter) - 1 if shorter.endswith(_COMMA) else 0


def _at_marks(file: BufferedIOBase) -> Iterator[memoryview]:
    """Yield the file cut before each mark, each time in the same memory."""
    buffer = bytearray(BLOCK_BYTES)
    begin = looked = end = 0
    while True:
        if begin:
            buffer[: end - begin] = buffer[begin:end]
            begin, looked, end = 0, looked - begin, end - begin
        elif end == len(buffer):
            _check(end)
            buffer = buffer + bytes(end)  # a new one: somebody may still view the old one
        view = memoryview(buffer)
        read = file.readinto(view[end:])
        if not read:
            break
        end += read
        for mark in _MARK.finditer(buffer, looked, end):
            if mark.start() > begin:
                yield view[begin : mark.start()]
                begin = mark.start()
            looked = mark.end()
        looked = max(looked, begin, end - _LONGEST_MARK)
    _check(end)
    yield view[:end]


def _check(size: int) -> None:
    if size > MAX_PIECE_BYTES:
        raise msgspec.DecodeError(f"a part of it is larger than {MAX_PIECE_BYTES >> 20} MiB")
