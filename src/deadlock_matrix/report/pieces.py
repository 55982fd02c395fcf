"""A report's file piece by piece: one result at a time, and what stands around them.

Only the marks at which results begin are looked for; whether what lies between them is JSON is for
whoever decodes the pieces to find out. In a text, a quotation mark has a backslash before it, so a
mark is never part of one. A file in another order has no marks: all of it stands around no result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BufferedIOBase
from typing import NamedTuple

import msgspec

BLOCK_BYTES = 1 << 18
MAX_PIECE_BYTES = 1 << 28
"""Of one result, and of all that stands around them."""

_MARK = re.compile(rb'\{\s*"cell"\s*:\s*\{')  # "cell" is a result's first key
_LONGEST_MARK = 256  # a mark may lie across two blocks, with white space in it
_LIST = re.compile(rb'"(cells|controls)"\s*:\s*\[\s*\Z')  # before the first result of a list
_LAST = re.compile(rb'\]\s*,\s*"controls"\s*:\s*\[|\]\s*,\s*"planned"\s*:\s*[0-9]')
_BRACE, _COMMA = b"{", b","


class Piece(NamedTuple):
    """One result, in the list that it stands in: ``cells`` or ``controls``.

    With an empty name, a part of what stands around the results. ``data`` is overwritten when the
    next piece is asked for: to copy all of a large report takes as long as to look through it.
    """

    name: str
    data: memoryview


def pieces(file: BufferedIOBase) -> Iterator[Piece]:
    """The pieces of a file; joined, those without a name are the report without its results.

    Raises:
        DecodeError: A piece is too large to be one.
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
    """How long a piece is without the comma at its end; 0: there is none."""
    end = bytes(data[-_LONGEST_MARK:])
    shorter = end.rstrip()
    return len(data) - len(end) + len(shorter) - 1 if shorter.endswith(_COMMA) else 0


def _at_marks(file: BufferedIOBase) -> Iterator[memoryview]:
    """The file cut before each mark, each time in the same memory."""
    buffer = bytearray(BLOCK_BYTES)
    begin = looked = end = 0
    while True:
        if begin:
            buffer[: end - begin] = buffer[begin:end]
            begin, looked, end = 0, looked - begin, end - begin
        elif end == len(buffer):
            _check(end)
            buffer = buffer + bytes(end)  # a new one: views of the old one may be left
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
