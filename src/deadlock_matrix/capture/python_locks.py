"""The lock that a Python thread sleeps for, and the locks inside whose ``with`` blocks it is.

**What it sleeps for** is looked for among the words of its innermost frame, where the lock is while
its ``acquire`` or ``__enter__`` runs: ``self`` of the call, or of a bound method. The lock must
agree with the futex that the thread sleeps on. A lock with a semaphore of its own (``Lock`` up to
3.13.0, ``RLock`` up to 3.13) holds the address of that futex. One that is a ``PyMutex`` holds a
byte that says "locked, and somebody sleeps"; the sleeper's futex lies in a ``struct wait_entry`` on
its own stack, the word before it is the address of the mutex (``Python/parking_lot.c``).

**Its owner** an ``RLock`` keeps beside the lock, as Python's ident of the thread
(``rlockobject`` in ``Modules/_threadmodule.c``, ``_PyRecursiveMutex`` in ``pycore_lock.h``): the
second word in both.

**Who is inside a with block**: see `with_blocks`. Up to 3.13 the slot holds the bound method
``__exit__``, from 3.14 on the method and in the slot behind it the lock, or either one bound.

Every object is checked by its type's name. Words that a running thread changes meanwhile can
show what never was: for a thread that sleeps all the time it is the truth, which two snapshots
around the reading can tell.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from deadlock_matrix.capture.line_tables import line_at
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_frames import TAG, FrameAddress, Interpreter, PythonThread
from deadlock_matrix.capture.python_objects import builtin_function, type_name
from deadlock_matrix.capture.python_values import bytes_of
from deadlock_matrix.capture.with_blocks import (
    Covered,
    Depth,
    depth_by_blocks,
    depth_by_table,
    parse_table,
)
from deadlock_matrix.model.evidence import HeldLock, PythonFrame, PythonLock
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

MOST_SLOTS = 256
"""Words read of one frame."""

Kind = Literal["Lock", "RLock"]
_KINDS: Mapping[str, Kind] = {"_thread.lock": "Lock", "_thread.RLock": "RLock"}
_LOCKED_AND_WAITED_FOR = 3  # _Py_LOCKED | _Py_HAS_PARKED
_OLD_CODE = {"stacksize": 32, "bytecode": 48}  # up to 3.10
_METHOD_NAME_AT = 24  # behind the header of a method_descriptor: its PyMethodDef


@dataclass(frozen=True, kw_only=True)
class _Code:
    """What is needed of a function's code, read once."""

    variables: int
    stack_size: int
    table: tuple[Covered, ...]


@dataclass(kw_only=True)
class LockReader:
    """Reads the locks of the threads of one process."""

    memory: Memory
    python: Interpreter
    tids: Mapping[int, int]  # from Python's idents to the observer's ids; 0: has ended
    source: str
    _codes: dict[int, _Code] = field(default_factory=dict)
    _depths: dict[tuple[int, int], Depth] = field(default_factory=dict)  # by code and place
    _types: dict[int, str] = field(default_factory=dict)

    def waited_for(self, thread: PythonThread, word: int) -> Known[PythonLock] | Unknown:
        """The lock that a thread sleeps for.

        Args:
            thread: it.
            word: the futex it sleeps on.
        """
        if not thread.addresses or thread.addresses[-1] is None:
            return unknown("its innermost frame is not readable")
        frame = thread.addresses[-1]
        try:
            for address in self._candidates(frame):
                kind = self._kind(address)
                if kind and self._sleeps_for(address, word):
                    return known(self._lock(thread, kind, address, word), self.source)
        except Unreadable as error:
            return unknown(str(error))
        return unknown("no lock in its innermost frame is the one it sleeps for")

    def held(self, thread: PythonThread) -> Known[tuple[HeldLock, ...]] | Unknown:
        """The locks inside whose ``with`` blocks a thread is, outermost first."""
        found: list[HeldLock] = []
        try:
            for frame, address in zip(thread.frames, thread.addresses, strict=True):
                if address is None:
                    return unknown("its stack is not readable")
                found += self._held_in(frame, address)
        except Unreadable as error:
            return unknown(str(error))
        return known(tuple(found), self.source)

    # --- what it sleeps for ---

    def _candidates(self, frame: FrameAddress) -> Iterator[int]:
        """Objects in a frame, the last ones first, and those that bound methods are bound to."""
        code = self._code(frame)
        count = min(code.variables + code.stack_size, MOST_SLOTS)
        seen: set[int] = set()
        for word in reversed(self._words(frame.slots, count)):
            address = word & ~TAG
            if not address or address in seen:
                continue
            seen.add(address)
            yield address
            if self._type(address) == "builtin_function_or_method":
                yield self._self_of(address)

    def _sleeps_for(self, address: int, word: int) -> bool:
        begin = address + self.python.layout.header
        if self.memory.number(begin) == word:
            return True
        try:
            mutex = self.memory.number(word - 8)
        except Unreadable:
            return False
        return mutex == begin and self.memory.number(begin, 1) == _LOCKED_AND_WAITED_FOR

    def _lock(self, thread: PythonThread, kind: Kind, address: int, word: int) -> PythonLock:
        frame = thread.frames[-1]
        return PythonLock(
            kind=kind,
            address=address,
            word=word,
            owner=self._owner(address) if kind == "RLock" else unknown("a Lock names no owner"),
            function=frame.function,
            file=frame.file,
            line=frame.line,
        )

    def _owner(self, address: int) -> Known[int] | Unknown:
        ident = self.memory.number(address + self.python.layout.header + 8)
        if not ident:
            return unknown("the RLock has no owner at this moment")
        return known(self.tids.get(ident, 0), f"{self.source}: owner of the RLock at {address:#x}")

    # --- with blocks ---

    def _held_in(self, frame: PythonFrame, address: FrameAddress) -> Iterator[HeldLock]:
        depth, base = self._depth(address)
        if not depth.slots:
            return
        words = self._words(base, min(depth.slots, MOST_SLOTS))
        for slot, word in enumerate(words):
            lock, at = self._exited(words, slot, word & ~TAG)
            kind = self._kind(lock) if lock else None
            if kind is None:
                continue
            begin = depth.begins.get(at)
            line = self._line(address, begin) if begin is not None else frame.line
            yield HeldLock(
                kind=kind, address=lock, function=frame.function, file=frame.file, line=line
            )

    def _exited(self, words: tuple[int, ...], slot: int, address: int) -> tuple[int, int]:
        """What the ``__exit__`` in a slot would leave, and the slot below the block's depth."""
        if not address:
            return 0, slot
        what = self._type(address)
        layout = self.python.layout
        paired = self.python.version >= (3, 14)
        if what == "builtin_function_or_method":
            if builtin_function(self.memory, layout, address)[0] == "__exit__":
                return self._self_of(address), slot + paired
        elif what == "method_descriptor" and paired and slot + 1 < len(words):
            method = self.memory.number(address + layout.header + _METHOD_NAME_AT)
            if self.memory.text(self.memory.number(method)) == "__exit__":
                return words[slot + 1] & ~TAG, slot + 1
        return 0, slot

    def _depth(self, frame: FrameAddress) -> tuple[Depth, int]:
        """The slots in use, and the address of the first."""
        at, memory = self.python.offsets, self.memory
        if "frame_object.blockstack" not in at:
            code, place = self._code(frame), (frame.code, frame.place)
            if place not in self._depths:
                self._depths[place] = depth_by_table(code.table, frame.place)
            return self._depths[place], frame.slots + 8 * code.variables
        base = memory.number(frame.frame + at["frame_object.valuestack"])
        blocks = memory.read(frame.frame + at["frame_object.blockcount"], 4)
        count = int.from_bytes(blocks, "little", signed=True)
        if not count:
            return Depth(slots=0, begins={}), base
        if not 0 < count <= 20 or not frame.slots <= base < frame.slots + 8 * MOST_SLOTS:
            raise Unreadable(f"no list of blocks in the frame at {frame.frame:#x}")
        raw = memory.read(frame.frame + at["frame_object.blockstack"], 12 * count)
        code_bytes = memory.number(frame.code + _OLD_CODE["bytecode"])
        unit = 2 if self.python.version >= (3, 10) else 1
        bytecode = bytes_of(memory, self.python.layout, code_bytes)
        return depth_by_blocks(count, raw, bytecode, unit), base

    def _line(self, frame: FrameAddress, place: int) -> int:
        at, layout, memory = self.python.offsets, self.python.layout, self.memory
        first = memory.number(frame.code + at["code_object.firstlineno"], 4, signed=True)
        table = bytes_of(memory, layout, memory.number(frame.code + at["code_object.linetable"]))
        return line_at(table, first, place, self.python.version)

    # --- objects ---

    def _code(self, frame: FrameAddress) -> _Code:
        if frame.code not in self._codes:
            self._codes[frame.code] = self._read_code(frame)
        return self._codes[frame.code]

    def _read_code(self, frame: FrameAddress) -> _Code:
        at, layout, memory = self.python.offsets, self.python.layout, self.memory
        if "code_object.localsplusnames" in at:
            names = memory.number(frame.code + at["code_object.localsplusnames"])
            size_at = at["code_object.firstlineno"] - 4
            # Behind the header and the size: constants, names, then the exception table.
            table = memory.number(frame.code + layout.header + 24)
            variables = memory.number(names + layout.header)
            entries = parse_table(bytes_of(memory, layout, table))
        else:
            base = memory.number(frame.frame + at["frame_object.valuestack"])
            variables, size_at, entries = (base - frame.slots) // 8, _OLD_CODE["stacksize"], ()
        size = memory.number(frame.code + size_at, 4, signed=True)
        if not 0 <= variables < 1 << 16 or not 0 <= size < 1 << 16:
            raise Unreadable(f"no code at {frame.code:#x}")
        return _Code(variables=variables, stack_size=size, table=entries)

    def _words(self, address: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}Q", self.memory.read(address, 8 * count))

    def _self_of(self, method: int) -> int:
        return self.memory.number(method + self.python.layout.header + 8)

    def _kind(self, address: int) -> Kind | None:
        return _KINDS.get(self._type(address))

    def _type(self, address: int) -> str:
        """The name of an object's type; nothing where there is no object."""
        if address % 8:
            return ""
        try:
            kind = self.memory.number(address + self.python.layout.type_at)
            if kind not in self._types:
                self._types[kind] = type_name(self.memory, self.python.layout, address)
            return self._types[kind]
        except Unreadable:
            return ""
