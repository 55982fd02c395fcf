"""What Python's locks look like in memory, and the words of a frame in which they are found.

Source: ``lockobject`` and ``rlockobject`` in ``Modules/_threadmodule.c``, ``PyCodeObject`` in
``Include/cpython/code.h``, of 3.8 to 3.15. What is taken for a lock must have a type of that name.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Literal

import msgspec

from deadlock_matrix.capture.frame_variables import FrameAddress, Interpreter
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_objects import type_name
from deadlock_matrix.capture.python_values import bytes_of
from deadlock_matrix.capture.with_blocks import NO_TABLE, Table, parse_table

MOST_SLOTS = 256
"""Most words read of one frame."""
_MOST_UNITS = 1 << 16  # of a function's code, two bytes each
_MOST_TABLE = 1 << 16  # bytes: some 10,000 blocks of one function

Kind = Literal["Lock", "RLock"]
_KINDS: Mapping[str, Kind] = {"_thread.lock": "Lock", "_thread.RLock": "RLock"}
STACK_SIZE_AT, BYTECODE_AT = 32, 48  # in a code object up to 3.10


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed of a function's code, read once."""

    variables: int
    stack_size: int
    table: Table


class LockObjects(msgspec.Struct, kw_only=True):
    """The objects of one process; what never changes is read once."""

    memory: Memory
    python: Interpreter
    _codes: dict[int, Code] = msgspec.field(default_factory=dict)
    _types: dict[int, str] = msgspec.field(default_factory=dict)

    def code(self, frame: FrameAddress) -> Code:
        """Return the code of a frame.

        Raises:
            Unreadable: There is none.
        """
        if frame.code not in self._codes:
            self._codes[frame.code] = self._read_code(frame)
        return self._codes[frame.code]

    def _read_code(self, frame: FrameAddress) -> Code:
        at, layout, memory = self.python.offsets, self.python.layout, self.memory
        if "code_object.localsplusnames" in at:
            names = memory.number(frame.code + at["code_object.localsplusnames"])
            size_at = at["code_object.firstlineno"] - 4
            # Behind the header and the size come constants, names, then the exception table.
            table = memory.number(frame.code + layout.header + 24)
            variables = memory.number(names + layout.header)
            raw = bytes_of(memory, layout, table, _MOST_TABLE)
            memory.spend(2 * len(raw))
            try:
                entries = parse_table(raw)
            except ValueError as error:
                raise Unreadable(str(error)) from None
        else:
            base = memory.number(frame.frame + at["frame_object.valuestack"])
            variables, size_at, entries = (base - frame.slots) // 8, STACK_SIZE_AT, NO_TABLE
        size = memory.number(frame.code + size_at, 4, signed=True)
        if not 0 <= variables < 1 << 16 or not 0 <= size < 1 << 16:
            raise Unreadable(f"no code at {frame.code:#x}")
        return Code(variables=variables, stack_size=size, table=entries)

    def bytecode(self, code: int) -> bytes:
        """Return the instructions of a function, as they are now: specialised, with caches.

        Raises:
            Unreadable: They cannot be read, or are very long.
        """
        memory, python = self.memory, self.python
        at = python.offsets.get("code_object.co_code_adaptive")
        if at is None:
            address = memory.number(code + BYTECODE_AT)
            return memory.once(("code", code), lambda: bytes_of(memory, python.layout, address))
        units = memory.number(code + python.layout.header)
        if units >= _MOST_UNITS:
            raise Unreadable(f"{units} instructions")
        return memory.once(("code", code), lambda: memory.read(code + at, 2 * units))

    def words(self, address: int, count: int) -> tuple[int, ...]:
        """Read this many words of memory.

        Raises:
            Unreadable: They cannot be read.
        """
        return struct.unpack(f"<{count}Q", self.memory.read(address, 8 * count))

    def self_of(self, method: int) -> int:
        """Return what a method is bound to, whether it is written in C or in Python.

        Raises:
            Unreadable: It cannot be read.
        """
        return self.memory.number(method + self.python.layout.header + 8)

    def is_alive(self, address: int) -> bool:
        """Return whether an object was not freed: a stale word on a stack may point to one that
        was.

        A freed object's memory still looks the same, except for the reference count, which is 0 or
        overwritten by the allocator's pointer to the next free block. A count has 32 bits (more
        only before 3.12); from 3.14 on flags follow it, in the highest 16 bits.
        """
        if self.python.layout.free_threaded:
            return True
        try:
            count = self.memory.number(address)
        except Unreadable:
            return False
        return bool(count & 0xFFFF_FFFF) and not count >> 32 & 0xFFFF

    def kind(self, address: int) -> Kind | None:
        """Return which lock it is, if it is one."""
        return _KINDS.get(self.type(address))

    def type(self, address: int) -> str:
        """Return the name of an object's type; empty if there is no object."""
        if address % 8:
            return ""
        try:
            kind = self.memory.number(address + self.python.layout.type_at)
            if kind not in self._types:
                self._types[kind] = type_name(self.memory, self.python.layout, address)
            return self._types[kind]
        except Unreadable:
            return ""
