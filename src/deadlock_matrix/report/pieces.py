"""A report's file taken apart: the results in its lists, and what surrounds them.

This looks only for marks at which results begin; whether the bytes between them are JSON is for
whoever decodes them to find out. In a text, a quotation mark has a backslash before it, so a mark
is never part of one. A file in another order has no marks: all of it surrounds no result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from io import BufferedIOBase
from typing import TypeVar

from deadlock_matrix.report.decoding import DAMAGE
from deadlock_matrix.report.stretches import check_size, stretches

BLOCK_BYTES = 1 << 18
MAX_PIECE_BYTES = 1 << 28
"""Of one result, and of everything around the results."""

T = TypeVar("T")
DecodeList = Callable[[bytes | memoryview], Sequence[T]]
Keep = Callable[[Sequence[T], Sequence[int], memoryview], Sequence[T]]

_KEY = b'"cell"'  # a result's first key
_MARK = re.compile(rb'\{\s*"cell"\s*:\s*\{')
_LONGEST_MARK = 256  # a mark may straddle two blocks, with white space in it
_LIST = re.compile(rb'"(cells|controls)"\s*:\s*\[\s*\Z')  # before the first result of a list
_LAST = re.compile(rb'\]\s*,\s*"controls"\s*:\s*\[|\]\s*,\s*"planned"\s*:\s*[0-9]')
_OPENS, _COMMA, _CLOSES = b"[,]"


def take_apart(
    file: BufferedIOBase, decode_list: DecodeList[T], keep: Keep[T] | None = None
) -> tuple[bytes, dict[str, list[T]]]:
    """Return the report without its results, as JSON, and the decoded results of each list.

    Args:
        file: This reads from where it is to its end.
        decode_list: Decodes a list of results from JSON. The bytes are overwritten when it has
            returned: copying all of a large report takes as long as searching it.
        keep: Makes of some results what is kept of them, given where each begins in the file, where
            the last one ends, and the bytes from there to there.

    Raises:
        DAMAGE: A piece is too large to be a result, or is none.
    """
    around: list[bytes] = []
    lists: dict[str, list[T]] = {}
    name, outside, end_of_stretch = "", 0, file.tell()
    for stretch in stretches(file, _last_mark, BLOCK_BYTES, MAX_PIECE_BYTES, _LONGEST_MARK):
        at, end_of_stretch = end_of_stretch, end_of_stretch + len(stretch) - 1
        results = _decoded(stretch, decode_list) if name else None
        if results is not None:
            if keep is not None:
                starts = [at + mark.start() for mark in _MARK.finditer(stretch[1:])]
                if len(starts) == len(results):  # else there is a mark within one of them
                    results = keep(results, (*starts, end_of_stretch), stretch[1:])
            lists[name] += results
            continue
        for data in _at_marks(stretch[1:]):
            rest = data
            place, at = at, at + len(data)
            if name and bytes(data[:1]) == b"{":
                end = _end_of_result(data)
                some = decode_list(b"[" + bytes(data[:end]) + b"]")
                if keep is not None and len(some) == 1:
                    some = keep(some, (place, place + end), data[:end])
                lists[name] += some
                rest = data[end:]
                if bytes(rest[:1]) == b",":
                    continue
            outside += len(rest)
            check_size(outside, MAX_PIECE_BYTES)
            around.append(bytes(rest))
            opens = _LIST.search(rest[-_LONGEST_MARK:])
            name = opens[1].decode() if opens is not None else ""
            if name:
                lists.setdefault(name, [])
    return b"".join(around), lists


def _decoded(stretch: memoryview, decode_list: DecodeList[T]) -> Sequence[T] | None:
    """Decode all results of a stretch at once; return ``None`` if there is something else in it.

    It is no JSON list then, which decoding finds out. Looking at each mark first would take about
    as long as decoding.
    """
    comma = _comma(stretch)
    if not comma or bytes(stretch[1:2]) != b"{":
        return None
    before, stretch[0], stretch[comma] = stretch[0], _OPENS, _CLOSES
    try:
        return decode_list(stretch[: comma + 1])
    except DAMAGE:
        stretch[0], stretch[comma] = before, _COMMA
        return None


def _end_of_result(data: memoryview) -> int:
    """Return how long a result is that others, or the end of the list, come after."""
    comma = _comma(data)
    if comma:
        return comma
    last = _LAST.search(data)
    return last.start() if last is not None else len(data)


def _comma(data: memoryview) -> int:
    """Return where the comma at the end is; 0 if there is none."""
    end = bytes(data[-_LONGEST_MARK:])
    shorter = end.rstrip()
    return len(data) - len(end) + len(shorter) - 1 if shorter.endswith(b",") else 0


def _last_mark(buffer: bytearray, begin: int, end: int) -> int:
    """Return where the last mark begins; 0 if there is none."""
    key = end
    while (key := buffer.rfind(_KEY, begin, key)) >= 0:
        before = bytes(buffer[max(begin, key - _LONGEST_MARK) : key])
        start = key - len(before) + len(before.rstrip()) - 1
        if start >= begin and _MARK.match(buffer, start, end):
            return start
    return 0


def _at_marks(stretch: memoryview) -> Iterator[memoryview]:
    """Yield the parts of a stretch, cut before each mark."""
    begin = 0
    for mark in _MARK.finditer(stretch):
        if mark.start() > begin:
            yield stretch[begin : mark.start()]
            begin = mark.start()
    yield stretch[begin:]
