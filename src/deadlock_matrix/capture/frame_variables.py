"""The variables of a Python frame: what is needed to read them, their names, values and texts."""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator, Mapping

import msgspec

from deadlock_matrix.capture.line_tables import Lines
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.python_objects import ObjectLayout
from deadlock_matrix.capture.python_values import content_of_cell, names_in, text_of_value
from deadlock_matrix.capture.stacks_worker import KEPT

TAG = 7
"""Bits of a word that are not part of an address: from 3.14 on frames hold tagged references
(``_PyStackRef`` in ``pycore_stackref.h``). Objects are aligned to at least 8 bytes.
"""

TAGGED_INTEGER = 3  # both lowest bits: not a reference at all


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to read the stacks of one process."""

    version: tuple[int, int]
    runtime: int  # address of _PyRuntime
    layout: ObjectLayout
    offsets: Mapping[str, int]
    codes: dict[int, Code] = msgspec.field(default_factory=dict)  # by address; threads share them
    variables: dict[int, tuple[str, ...]] = msgspec.field(default_factory=dict)
    names: dict[int, str] = msgspec.field(default_factory=dict)  # of attributes and globals


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """What a stack shows of a code object; variable names only where values are kept."""

    function: str
    file: str
    lines: Lines
    names: tuple[str, ...]


class FrameAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a frame lies, for those who read more of it than its function and line."""

    frame: int
    code: int
    place: int  # of the instruction, in bytes from the first one
    slots: int  # address of its variables, behind which its value stack begins


def names_of_variables(memory: Memory, python: Interpreter, code: int) -> tuple[str, ...]:
    """Return the names of all variables of a function, in the order of their slots.

    Raises:
        Unreadable: They cannot be read.
    """
    names = python.variables.get(code)
    if names is None:
        names = python.variables[code] = _read_names(memory, python, code)
    return names


def _read_names(memory: Memory, python: Interpreter, code: int) -> tuple[str, ...]:
    at, layout = python.offsets, python.layout
    fields: tuple[str, ...] = ("varnames", "cellvars", "freevars")
    if "code_object.localsplusnames" in at:
        fields = ("localsplusnames",)
    return tuple(
        name
        for each in fields
        for name in names_in(memory, layout, memory.number(code + at[f"code_object.{each}"]))
    )


def variables_of(
    memory: Memory, python: Interpreter, frame: FrameAddress, only: Container[str] | None = None
) -> Iterator[tuple[str, int]]:
    """Yield a frame's variables that have a value, with the value's address; cells are opened.

    Args:
        memory: The process's memory.
        python: Its interpreter.
        frame: The frame.
        only: The names wanted; None for all.

    Raises:
        Unreadable: They cannot be read.
    """
    names = names_of_variables(memory, python, frame.code)
    yield from _values(memory, python, names, frame.slots, only)


def _values(
    memory: Memory,
    python: Interpreter,
    names: tuple[str, ...],
    slots: int,
    only: Container[str] | None,
) -> Iterator[tuple[str, int]]:
    words = struct.unpack(f"<{len(names)}Q", memory.read(slots, 8 * len(names)))
    for name, word in zip(names, words, strict=True):
        wanted = only is None or name in only
        if wanted and word & ~TAG and word & TAGGED_INTEGER != TAGGED_INTEGER:
            value = content_of_cell(memory, python.layout, word & ~TAG)
            if value:
                yield name, value


def kept_values(
    memory: Memory, python: Interpreter, names: tuple[str, ...], slots: int
) -> dict[str, str]:
    """Return, as text, the variables that have a value and are kept in the evidence.

    Raises:
        Unreadable: They cannot be read.
    """
    if not KEPT.intersection(names):
        return {}
    tagged = python.version >= (3, 12)
    return {
        name: text_of_value(memory, python.layout, value, tagged)
        for name, value in _values(memory, python, names, slots, KEPT)
    }
