"""The locks that a frame has taken by ``acquire()``, and gives back in a ``finally``.

::

    self._lock.acquire()
    try:
        ...
    finally:
        self._lock.release()

A thread between the two has taken the lock as surely as inside a ``with`` block. The bytecode shows
it: the handler of the ``try`` begins with ``X.release()``, and the same instructions, with
``acquire`` in place of ``release``, end where the ``try`` begins, or are the first inside it. Only
the first of a handler's statements counts: so the handler is a ``finally``, and asks nothing before
it releases. ``X`` is a variable or global and names behind it. It is worked out anew, from what the
frame has now. Whoever also releases ``X`` inside the ``try`` may just have given it back: then
nothing is told.

A handler hardly ever runs, so its instructions are plain. Those of ``acquire`` may be specialised:
of them only places and arguments are compared. What differs (a number above 255, instructions that
a tracer has replaced) is no such statement.

Numbers of instructions and their caches: ``opcode`` of 3.8 to 3.15.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from deadlock_matrix.capture.frame_variables import TAG, FrameAddress
from deadlock_matrix.capture.lock_objects import LockObjects
from deadlock_matrix.capture.python_members import members_of
from deadlock_matrix.capture.python_names import (
    globals_of,
    names_in_code,
    text_of_name,
)
from deadlock_matrix.capture.python_values import content_of_cell
from deadlock_matrix.capture.with_blocks import Try

_LONGEST = 512  # bytes, of such a statement; a name takes 20
_LOCALS_AT = 28  # co_nlocals, in a code object up to 3.10


class Instructions(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of the instructions that matter in one version; caches in instructions."""

    variable: frozenset[int]
    name: int
    in_globals: frozenset[int]
    in_cell: int
    attribute: frozenset[int]
    method: frozenset[int]
    calls: tuple[frozenset[int], ...]
    pop: int
    nothing: int
    caught: int = 0  # what a handler begins with
    caches: tuple[int, int, int, tuple[int, ...]] = (0, 0, 0, (0,))
    """Of globals, attributes, methods and calls."""
    before: frozenset[int] = frozenset()  # what may stand between acquire() and the try
    leaves: int = 0  # stands before a copy of what is behind ``finally``


def _old(leaves: int) -> Instructions:
    return Instructions(
        variable=frozenset({124}),
        name=101,
        in_globals=frozenset({116}),
        in_cell=136,
        attribute=frozenset({106}),
        method=frozenset({160}),
        calls=(frozenset({161}),),
        pop=1,
        nothing=9,
        before=frozenset({122, 144}),  # SETUP_FINALLY, EXTENDED_ARG
        leaves=leaves,
    )


def _new(
    *, variable: set[int], name: int, in_globals: set[int], in_cell: int, attribute: int,
    call: int, pop: int, nothing: int, caught: int,
) -> Instructions:  # fmt: skip
    return Instructions(
        variable=frozenset(variable),
        name=name,
        in_globals=frozenset(in_globals),
        in_cell=in_cell,
        attribute=frozenset({attribute}),
        method=frozenset({attribute}),
        calls=(frozenset({call}),),
        pop=pop,
        nothing=nothing,
        caught=caught,
        caches=(4, 9, 9, (3,)),
        before=frozenset({nothing}),
    )


_BY_VERSION: Mapping[tuple[int, int], Instructions] = {
    (3, 8): _old(leaves=0),
    (3, 9): _old(leaves=87),
    (3, 10): _old(leaves=87),
    (3, 11): Instructions(
        variable=frozenset({124}),
        name=101,
        in_globals=frozenset({116, 47, 48, 55}),
        in_cell=137,
        attribute=frozenset({106, 39}),
        method=frozenset({160, 56}),
        calls=(frozenset({166, 64}), frozenset({171, 22})),
        pop=1,
        nothing=9,
        caught=35,
        caches=(5, 4, 10, (1, 4)),
        before=frozenset({9}),
    ),
    (3, 12): _new(
        variable={124}, name=101, in_globals={116, 111, 112}, in_cell=137, attribute=106,
        call=171, pop=1, nothing=9, caught=35,
    ),
    (3, 13): _new(
        variable={85}, name=92, in_globals={91, 203, 204}, in_cell=84, attribute=82,
        call=53, pop=32, nothing=30, caught=33,
    ),
    (3, 14): _new(
        variable={84, 86}, name=93, in_globals={92, 192, 193}, in_cell=83, attribute=80,
        call=52, pop=31, nothing=27, caught=32,
    ),
    (3, 15): _new(
        variable={83, 85}, name=92, in_globals={91, 196, 197}, in_cell=82, attribute=79,
        call=50, pop=29, nothing=25, caught=30,
    ),
}  # fmt: skip


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """``X.release()``: its parts, and the places and arguments of its instructions."""

    first: frozenset[int]  # the instruction it begins with, and others that do the same
    base: int  # the number of the variable or name
    attributes: tuple[int, ...]  # numbers of names
    arguments: tuple[tuple[int, int], ...]  # of all instructions, by their places from the first
    method_at: int
    size: int  # with the instruction that drops the result


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Where ``X.acquire()`` is, in bytes, and the ``X.release()`` that belongs to it."""

    at: int
    release: Statement
    known: Instructions
    names: Mapping[str, int]


class AcquiredLocks(msgspec.Struct, frozen=True, kw_only=True):
    """Finds them in the frames of one process."""

    objects: LockObjects

    def taken_in(self, frame: FrameAddress, tries: Sequence[Try]) -> Iterator[tuple[int, int]]:
        """Yield each object that a frame has taken, and the place where it did, in bytes.

        Args:
            frame: The frame.
            tries: The ``try`` statements around its current instruction.

        Raises:
            Unreadable: The frame cannot be read.
        """
        memory, python = self.objects.memory, self.objects.python
        if not tries:
            return
        names = {
            text_of_name(memory, python, key): number
            for number, key in enumerate(names_in_code(memory, python, frame.code))
        }
        if not {"acquire", "release"} <= names.keys():
            return
        code = self.objects.bytecode(frame.code)
        for around in tries:
            taken = find_taken(code, frame.place, around, names, python.version)
            if taken is None:
                continue
            if gives_back(code, self._body(frame, around), taken):
                continue
            if address := self._value(frame, taken):
                yield address, taken.at

    def _body(self, frame: FrameAddress, around: Try) -> tuple[tuple[int, int], ...]:
        if "frame_object.blockstack" in self.objects.python.offsets:
            return ((around.begin, around.handler),)
        table = self.objects.code(frame).table
        self.objects.memory.spend(len(table.entries))
        return table.body_of(around.handler)

    def _value(self, frame: FrameAddress, taken: Taken) -> int:
        """Return what ``X`` is now, or 0."""
        memory, python = self.objects.memory, self.objects.python
        statement, known = taken.release, taken.known
        names = names_in_code(memory, python, frame.code)
        if statement.first is known.variable or known.in_cell in statement.first:
            slot = statement.base
            if known.in_cell in statement.first and python.version < (3, 11):
                slot += memory.number(frame.code + _LOCALS_AT, 4)
            address = memory.number(frame.slots + 8 * slot) & ~TAG
            if address and known.in_cell in statement.first:
                address = content_of_cell(memory, python.layout, address)
        else:
            table = memory.number(frame.frame + python.offsets["frame.globals"])
            address = dict(globals_of(memory, python, table)).get(names[statement.base], 0)
        for number in statement.attributes:
            if not address or number >= len(names):
                return 0
            wanted = names[number]
            found = (value for key, value in members_of(memory, python, address) if key == wanted)
            address = next(found, 0)
        return address


def find_taken(
    code: bytes, place: int, around: Try, names: Mapping[str, int], version: tuple[int, int]
) -> Taken | None:
    """Return the ``X.acquire()`` before a ``try`` whose ``finally`` begins with ``X.release()``.

    None if there is none, or if the thread has not yet come as far.

    Args:
        code: The function's bytecode.
        place: The current instruction, in bytes.
        around: A ``try`` around that instruction.
        names: The numbers of the code's names, with ``acquire`` and ``release``.
        version: The interpreter's version.
    """
    known = _BY_VERSION.get(version)
    if known is None:
        return None
    release = _statement_at(code, around.handler, known, names["release"])
    if release is None:
        return None
    at = _taken_at(code, around.begin, release, known, names["acquire"])
    if at is None or place < at + release.size:
        return None
    return Taken(at=at, release=release, known=known, names=names)


def gives_back(code: bytes, body: Sequence[tuple[int, int]], taken: Taken) -> bool:
    """Return whether ``X.release()`` also stands inside the ``try``, whose ranges are ``body``."""
    known, number = taken.known, taken.names["release"]
    return any(
        _is_at(code, at, taken.release, known, number)
        and not (known.leaves and at >= 2 and code[at - 2] == known.leaves)
        for start, end in body
        for at in range(start, end, 2)
    )


def _statement_at(code: bytes, at: int, known: Instructions, release: int) -> Statement | None:
    """Return the ``X.release()`` with which the handler at a place begins, or None."""
    if not 0 <= at < len(code):
        return None
    padded = code[at : at + _LONGEST] + bytes(128)  # zeros are no such instruction
    at = 0
    if known.caught:
        if padded[at] != known.caught:
            return None
        at += 2
    of_globals, of_attribute, of_method, of_calls = known.caches
    begin, first, base = at, frozenset({padded[at]}), padded[at + 1]
    arguments = [(0, base)]
    if padded[at] in known.variable:
        first = known.variable
    elif padded[at] in known.in_globals:
        first = known.in_globals
        at += 2 * of_globals
        if known.caught:  # from 3.11 on the lowest bit says that it is called
            if base & 1:
                return None
            base >>= 1
    elif padded[at] not in (known.name, known.in_cell):
        return None
    at += 2
    attributes: list[int] = []
    both = known.attribute == known.method
    while padded[at] in known.attribute and not (both and padded[at + 1] & 1):
        if at >= _LONGEST:
            return None
        arguments.append((at - begin, padded[at + 1]))
        attributes.append(padded[at + 1] >> both)
        at += 2 + 2 * of_attribute
    if padded[at] not in known.method or padded[at + 1] >> both != release:
        return None
    method_at = at - begin
    arguments.append((method_at, padded[at + 1]))
    at += 2 + 2 * of_method
    for call, caches in zip(known.calls, of_calls, strict=True):
        if padded[at] not in call or padded[at + 1]:
            return None
        arguments.append((at - begin, 0))
        at += 2 + 2 * caches
    if padded[at] != known.pop:
        return None
    return Statement(
        first=first,
        base=base,
        attributes=tuple(attributes),
        arguments=tuple(arguments),
        method_at=method_at,
        size=at + 2 - begin,
    )


def _is_at(code: bytes, at: int, statement: Statement, known: Instructions, method: int) -> bool:
    """Return whether the statement is at a place, with another method's name."""
    if at < 0 or at + statement.size > len(code) or code[at] not in statement.first:
        return False
    if code[at + statement.size - 2] != known.pop:
        return False
    both = known.attribute == known.method
    number = method << 1 | 1 if both else method
    return all(
        code[at + place + 1] == (number if place == statement.method_at else argument)
        for place, argument in statement.arguments
    )


def _taken_at(
    code: bytes, begin: int, statement: Statement, known: Instructions, acquire: int
) -> int | None:
    """Return where ``X.acquire()`` is, before the first instruction of a ``try``, or as such."""
    if _is_at(code, begin, statement, known, acquire):
        return begin
    end = begin
    while end >= 2 and code[end - 2] in known.before and code[end - 2] != known.pop:
        end -= 2
    at = end - statement.size
    return at if _is_at(code, at, statement, known, acquire) else None
