"""From a place in a function's bytecode to the line in its file: CPython's four formats.

Source: ``Objects/lnotab_notes.txt`` (up to 3.10) and ``InternalDocs/code_objects.md`` (from 3.11);
the formats are a part of each minor version and do not change within one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator

_LONGEST_NUMBER = 6
"""Bytes of a number, of six bits each; the interpreter's are ints."""


class Lines:
    """The lines of one function, parsed once: a thousand frames may be at as many places in it."""

    def __init__(self, table: bytes, first: int, version: tuple[int, int]) -> None:
        """Parse a table.

        Args:
            table: ``co_lnotab`` up to 3.9, ``co_linetable`` later.
            first: ``co_firstlineno``.
            version: The interpreter's, for the format.
        """
        parse = _by_steps
        if version >= (3, 11):
            parse = _by_locations
        elif version >= (3, 10):
            parse = _by_ranges
        self._ends, self._lines = array("q"), array("q")
        self._beyond = first
        for end, line, self._beyond in parse(table, first):
            self._ends.append(end)
            self._lines.append(line)

    def at(self, place: int) -> int:
        """Return the line of an instruction, or the function's first where the table has none.

        Args:
            place: In bytes from the first one; negative before the start.
        """
        at = bisect_right(self._ends, place)
        return self._lines[at] if at < len(self._ends) else self._beyond


def _by_steps(table: bytes, first: int) -> Iterator[tuple[int, int, int]]:
    """Up to 3.9: pairs of steps, in bytecode and (signed) in lines.

    Yields:
        The end of a range of instructions, its line, and the line of those behind it, should
            nothing follow.
    """
    end, line = 0, first
    for step, lines in zip(table[::2], table[1::2], strict=False):
        end += step
        before, line = line, line + _signed(lines)
        yield end, before, line


def _by_ranges(table: bytes, first: int) -> Iterator[tuple[int, int, int]]:
    """3.10: pairs of a range's length and the signed step to its line; -128: it has none."""
    end, line, last = 0, first, first
    for length, lines in zip(table[::2], table[1::2], strict=False):
        has_line = lines != 0x80
        if has_line:
            line += _signed(lines)
        end += length
        here = line if has_line else last
        last = here if length else last
        yield end, here, last


def _by_locations(table: bytes, first: int) -> Iterator[tuple[int, int, int]]:
    """From 3.11: entries; the first byte of each has its highest bit set, the others do not."""
    end, line, last, at = 0, first, first, 0
    while at < len(table):
        head = table[at]
        kind, units = head >> 3 & 15, (head & 7) + 1
        if kind in (13, 14):
            line += _zigzag(table, at + 1)
        elif kind in (11, 12):
            line += kind - 10
        if kind != 15:
            last = line
        end += 2 * units
        yield end, last, last
        at += 1
        while at < len(table) and not table[at] & 0x80:
            at += 1


def _signed(byte: int) -> int:
    return byte - 256 if byte & 0x80 else byte


def _zigzag(table: bytes, at: int) -> int:
    """Read a signed number of six bits a byte, lowest first; its own lowest bit is the sign."""
    value = 0
    for shift, byte in enumerate(table[at : at + _LONGEST_NUMBER]):
        value |= (byte & 63) << 6 * shift
        if not byte & 64:
            break
    return -(value >> 1) if value & 1 else value >> 1
