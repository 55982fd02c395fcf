"""Which slots of a frame's value stack are in use, and which ``with`` block filled each.

A ``with`` block keeps the ``__exit__`` of what it entered on the stack of its frame, in the slot
below the depth to which the stack is unwound if the block raises. That depth is exact: the compiler
writes it into the exception table (from 3.11), and before that the interpreter wrote it into the
frame's list of blocks. Everything below the depth of the current instruction is in use; words above
it may be left over from before.

Source: ``InternalDocs/exception_handling.md`` and ``get_exception_handler`` in ``Python/ceval.c``
from 3.11, ``PyFrame_BlockSetup`` and ``SETUP_WITH`` of 3.8 to 3.10.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MOST_BLOCKS = 20  # CO_MAXBLOCKS
_MOST_HANDLERS = 8 * _MOST_BLOCKS  # a block has its handler, and that one's own; rarely one more
_SETUP_FINALLY, _SETUP_WITH, _SETUP_ASYNC_WITH, _EXTENDED_ARG = 122, 143, 154, 144


@dataclass(frozen=True, kw_only=True)
class Covered:
    """A range of instructions, in bytes, that unwinds the stack to a depth when it raises.

    ``notes_place``: whether the handler learns where. It does for ``with``, and for the handlers of
    handlers, which find an exception on the stack; not for ``try``.
    """

    start: int
    end: int
    target: int
    depth: int
    notes_place: bool


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How many slots are in use and, by slot, where the ``with`` begins that fills it, in bytes.

    ``begins`` means nothing for a slot that something else fills, such as a loop's iterator.
    """

    slots: int
    begins: dict[int, int]


def parse_table(table: bytes) -> tuple[Covered, ...]:
    """Parse the exception table of a function, from 3.11 on."""
    return tuple(_entries(table))


def _entries(table: bytes) -> Iterator[Covered]:
    numbers: list[int] = []
    value, inside = 0, False
    for byte in table:
        if byte & 0x80 and numbers:  # the start of an entry
            numbers.clear()
        value = (value << 6 if inside else 0) | byte & 63
        inside = bool(byte & 64)
        if inside:
            continue
        numbers.append(value)
        if len(numbers) == 4:
            start, size, target, depth = numbers
            yield Covered(
                start=2 * start,
                end=2 * (start + size),
                target=2 * target,
                depth=depth >> 1,
                notes_place=bool(depth & 1),
            )
            numbers.clear()


def depth_by_table(table: tuple[Covered, ...], place: int) -> Depth:
    """Return what is in use at an instruction, by the exception table.

    An exception's path shows the blocks around an instruction: the handler of a block is itself
    covered by the next block out. The order of instructions does not show them: handlers come
    last.

    Raises:
        ValueError: It is not such a table: its handlers lead in a circle.
    """
    entry = _covering(table, place)
    slots = entry.depth if entry else 0
    begins: dict[int, int] = {}
    firsts: dict[int, int] = {}
    for each in table:
        firsts[each.target] = min(each.start, firsts.get(each.target, each.start))
    for _ in range(_MOST_HANDLERS):
        if entry is None:
            return Depth(slots=slots, begins=begins)
        if entry.notes_place and 0 < entry.depth <= slots:
            begins.setdefault(entry.depth - 1, firsts[entry.target])
        entry = _covering(table, entry.target)
    raise ValueError("the exception table leads in a circle")


def _covering(table: tuple[Covered, ...], place: int) -> Covered | None:
    return next((each for each in table if each.start <= place < each.end), None)


def depth_by_blocks(count: int, blocks: bytes, code: bytes, unit: int) -> Depth:
    """Return what is in use, by the list of blocks of a frame up to 3.10.

    Args:
        count: The number of blocks.
        blocks: The list: kind, handler and depth, of four bytes each.
        code: The function's bytecode.
        unit: Bytes in which jumps are counted: 2 in 3.10, else 1.
    """
    slots, begins = 0, {}
    for kind, handler, depth in struct.iter_unpack("<iii", blocks[: 12 * min(count, _MOST_BLOCKS)]):
        slots = max(slots, depth)
        if kind == _SETUP_FINALLY and depth > 0:
            begin = _with_of(code, handler * unit, unit)
            if begin is not None:
                begins[depth - 1] = begin
    return Depth(slots=slots, begins=begins)


def _with_of(code: bytes, handler: int, unit: int) -> int | None:
    """Return where the ``SETUP_WITH`` or ``SETUP_ASYNC_WITH`` is that names this handler."""
    argument = 0
    for at in range(0, len(code) - 1, 2):
        argument = argument << 8 | code[at + 1]
        if code[at] in (_SETUP_WITH, _SETUP_ASYNC_WITH) and at + 2 + argument * unit == handler:
            return at
        if code[at] != _EXTENDED_ARG:
            argument = 0
    return None
