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
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from itertools import pairwise

import msgspec

_MOST_BLOCKS = 20  # CO_MAXBLOCKS
_MOST_HANDLERS = 8 * _MOST_BLOCKS  # a block has its handler, and that one's own; rarely one more
_LONGEST_NUMBER = 6  # bytes, of six bits each; the interpreter's are ints
_MOST_ARGUMENT = 0xFFFF_FFFF
_SETUP_FINALLY, _SETUP_WITH, _SETUP_ASYNC_WITH, _EXTENDED_ARG = 122, 143, 154, 144
_SETUPS_OF_WITH = frozenset({_SETUP_WITH, _SETUP_ASYNC_WITH})
_SETUPS_OF_TRY = frozenset({_SETUP_FINALLY})


class Covered(msgspec.Struct, frozen=True, kw_only=True):
    """A range of instructions, in bytes, that unwinds the stack to a depth when it raises.

    ``notes_place``: whether the handler learns where. It does for ``with``, and for the handlers of
    handlers, which find an exception on the stack; not for ``try``.
    """

    start: int
    end: int
    target: int
    depth: int
    notes_place: bool


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """A ``try`` around an instruction: where its first instruction and its handler are."""

    begin: int
    handler: int


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """How many slots are in use and, by slot, where the ``with`` begins that fills it, in bytes.

    ``begins`` means nothing for a slot that something else fills, such as a loop's iterator.
    ``tries`` are the ``try`` statements around the instruction, innermost first.
    """

    slots: int
    begins: dict[int, int]
    tries: tuple[Try, ...] = ()


class Table(msgspec.Struct, frozen=True, dict=True):
    """The exception table of a function, which the compiler has sorted: ranges do not overlap."""

    entries: Sequence[Covered]

    def covering(self, place: int) -> Covered | None:
        """Return the entry for an instruction, as the interpreter finds it: by bisection."""
        at = bisect_right(self._starts, place) - 1
        return self.entries[at] if at >= 0 and place < self.entries[at].end else None

    @cached_property
    def _starts(self) -> list[int]:
        return [each.start for each in self.entries]

    @cached_property
    def firsts(self) -> dict[int, int]:
        """By handler: the first instruction that it covers."""
        found: dict[int, int] = {}
        for each in self.entries:
            found[each.target] = min(each.start, found.get(each.target, each.start))
        return found

    def body_of(self, handler: int) -> tuple[tuple[int, int], ...]:
        """Return the ranges that lead to a handler, directly or from the handlers inside."""
        around = {each.target: self.covering(each.target) for each in self.entries}
        inside, nested = {handler}, {handler}
        for _ in range(_MOST_BLOCKS):
            nested = {
                target
                for target, by in around.items()
                if by is not None and by.target in nested and target not in inside
            }
            if not nested:
                break
            inside |= nested
        return tuple((each.start, each.end) for each in self.entries if each.target in inside)


NO_TABLE = Table(())


def parse_table(table: bytes) -> Table:
    """Parse the exception table of a function, from 3.11 on.

    Raises:
        ValueError: It is not such a table.
    """
    entries = tuple(_entries(table))
    if any(each.end > after.start for each, after in pairwise(entries)):
        raise ValueError("the exception table is not sorted")
    return Table(entries)


def _entries(table: bytes) -> Iterator[Covered]:
    numbers: list[int] = []
    value, length = 0, 0
    for byte in table:
        if byte & 0x80 and numbers:  # the start of an entry
            numbers.clear()
        value = (value << 6 if length else 0) | byte & 63
        length = length + 1 if byte & 64 else 0
        if length == _LONGEST_NUMBER:
            raise ValueError("a number in the exception table has no end")
        if length:
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


def depth_by_table(table: Table, place: int) -> Depth:
    """Return what is in use at an instruction, by the exception table.

    An exception's path shows the blocks around an instruction: the handler of a block is itself
    covered by the next block out. The order of instructions does not show them: handlers come
    last.

    Raises:
        ValueError: It is not such a table: its handlers lead in a circle.
    """
    entry = table.covering(place)
    slots = entry.depth if entry else 0
    begins: dict[int, int] = {}
    tries: list[Try] = []
    for _ in range(_MOST_HANDLERS):
        if entry is None:
            return Depth(slots=slots, begins=begins, tries=tuple(tries))
        if entry.notes_place and 0 < entry.depth <= slots:
            begins.setdefault(entry.depth - 1, table.firsts[entry.target])
        elif not entry.notes_place:
            tries.append(Try(begin=table.firsts[entry.target], handler=entry.target))
        entry = table.covering(entry.target)
    raise ValueError("the exception table leads in a circle")


def depth_by_blocks(count: int, blocks: bytes, code: bytes, unit: int) -> Depth:
    """Return what is in use, by the list of blocks of a frame up to 3.10.

    Args:
        count: The number of blocks.
        blocks: The list: kind, handler and depth, of four bytes each.
        code: The function's bytecode.
        unit: Bytes in which jumps are counted: 2 in 3.10, else 1.
    """
    slots, handlers, every = 0, {}, []
    for kind, handler, depth in struct.iter_unpack("<iii", blocks[: 12 * min(count, _MOST_BLOCKS)]):
        slots = max(slots, depth)
        if kind == _SETUP_FINALLY:
            every.append(handler * unit)
            if depth > 0:
                handlers[depth - 1] = handler * unit
    withs = _setups(code, handlers.values(), unit, _SETUPS_OF_WITH) if handlers else {}
    begins = {slot: withs[handler] for slot, handler in handlers.items() if handler in withs}
    others = _setups(code, every, unit, _SETUPS_OF_TRY) if every else {}
    tries = tuple(
        Try(begin=others[each] + 2, handler=each) for each in reversed(every) if each in others
    )
    return Depth(slots=slots, begins=begins, tries=tries)


def _setups(
    code: bytes, handlers: Collection[int], unit: int, setups: Collection[int]
) -> dict[int, int]:
    """Return, by handler, the first of these instructions that names it.

    One pass over the code for all blocks: it may have a megabyte.
    """
    wanted = frozenset(handlers)
    found: dict[int, int] = {}
    argument = 0
    for at, (number, low) in enumerate(zip(code[::2], code[1::2], strict=False)):
        if number not in setups and number != _EXTENDED_ARG:
            argument = 0
            continue
        argument = (argument << 8 | low) & _MOST_ARGUMENT
        if number == _EXTENDED_ARG:
            continue
        handler = 2 * at + 2 + argument * unit
        if handler in wanted:
            found.setdefault(handler, 2 * at)
        argument = 0
    return found
