"""From a place in a function's bytecode to the line in its file: CPython's four formats.

Source: ``Objects/lnotab_notes.txt`` (up to 3.10) and ``InternalDocs/code_objects.md`` (from 3.11);
the formats are a part of each minor version and do not change within one.
"""

from __future__ import annotations


def line_at(table: bytes, first: int, place: int, version: tuple[int, int]) -> int:
    """Return the line of an instruction, or the function's first where the table has none.

    Args:
        table: ``co_lnotab`` up to 3.9, ``co_linetable`` later.
        first: ``co_firstlineno``.
        place: The instruction, in bytes from the first one; negative before the start.
        version: The interpreter's, for the format.
    """
    if version >= (3, 11):
        return _by_locations(table, first, place)
    if version >= (3, 10):
        return _by_ranges(table, first, place)
    return _by_steps(table, first, place)


def _by_steps(table: bytes, first: int, place: int) -> int:
    """Up to 3.9: pairs of steps, in bytecode and (signed) in lines."""
    at, line = 0, first
    for step, lines in zip(table[::2], table[1::2], strict=False):
        at += step
        if at > place:
            break
        line += _signed(lines)
    return line


def _by_ranges(table: bytes, first: int, place: int) -> int:
    """3.10: pairs of a range's length and the signed step to its line; -128: it has none."""
    end, line, last = 0, first, first
    for length, lines in zip(table[::2], table[1::2], strict=False):
        has_line = lines != 0x80
        if has_line:
            line += _signed(lines)
        end += length
        if has_line and (length or end > place):
            last = line
        if end > place:
            break
    return last


def _by_locations(table: bytes, first: int, place: int) -> int:
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
        if end > place:
            break
        at += 1
        while at < len(table) and not table[at] & 0x80:
            at += 1
    return last


def _signed(byte: int) -> int:
    return byte - 256 if byte & 0x80 else byte


def _zigzag(table: bytes, at: int) -> int:
    """Read a signed number of six bits a byte, lowest first; its own lowest bit is the sign."""
    value = shift = 0
    while at < len(table):
        value |= (table[at] & 63) << shift
        if not table[at] & 64:
            break
        at += 1
        shift += 6
    return -(value >> 1) if value & 1 else value >> 1
