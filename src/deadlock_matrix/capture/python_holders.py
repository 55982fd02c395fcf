"""The locks that a thread has taken: those whose ``with`` blocks it is in, above all.

For each ``with`` block, a frame keeps what the block leaves in a slot of its stack, see
`with_blocks`: up to 3.13 the bound method ``__exit__``; from 3.14 on the method and, in the slot
after it, the object it belongs to, or either one bound. A ``Condition`` has the lock as its
attribute ``_lock``, and a thread that waits for a notice has released it. For what else a block may
enter, see `context_managers`; for locks taken by ``acquire()``, `acquired_locks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Literal

import msgspec
from msgspec.structs import replace

from deadlock_matrix.capture.acquired_locks import AcquiredLocks
from deadlock_matrix.capture.context_managers import MOST_NESTED, ContextManagers
from deadlock_matrix.capture.frame_names import name_in_frame
from deadlock_matrix.capture.frame_variables import TAG, FrameAddress, variables_of
from deadlock_matrix.capture.lock_objects import MOST_SLOTS, LockObjects
from deadlock_matrix.capture.memory import Unreadable
from deadlock_matrix.capture.python_frames import PythonThread, code_at, python_frame
from deadlock_matrix.capture.python_locks import THREADING
from deadlock_matrix.capture.python_names import attribute_of
from deadlock_matrix.capture.python_objects import builtin_function
from deadlock_matrix.capture.with_blocks import Depth, depth_by_blocks, depth_by_table
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import HeldLock

_SHARED: Mapping[str, Literal["multiprocessing.Lock", "multiprocessing.RLock"]] = {
    "Lock": "multiprocessing.Lock",
    "RLock": "multiprocessing.RLock",
}
_OF_CONDITIONS = (THREADING, "/multiprocessing/synchronize.py")
_METHOD_NAME_AT = 24  # behind the header of a method_descriptor: its PyMethodDef


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A ``with`` or ``async with`` block: what it entered, and where it is.

    ``entered`` is 0 for an object that is not understood. ``acquired``: it is no such block, but
    the ``try`` whose ``finally`` releases what ``acquire()`` took, see `acquired_locks`.
    """

    entered: int
    line: int
    acquired: bool = False
    frame: PythonFrame
    address: FrameAddress


class HolderReader(msgspec.Struct, frozen=True, kw_only=True):
    """Reads the ``with`` blocks of the threads of one process."""

    objects: LockObjects
    source: str
    _depths: dict[tuple[int, int], Depth] = msgspec.field(default_factory=dict)  # by code and place

    @property
    def managers(self) -> ContextManagers:
        """What reads the context managers that are no locks."""
        return ContextManagers(objects=self.objects)

    def held(self, thread: PythonThread) -> Known[tuple[HeldLock, ...]] | Unknown:
        """Return the locks whose ``with`` blocks a thread is in, outermost first."""
        found: list[HeldLock] = []
        try:
            given_back = self._given_back(thread)
            seen = {address.frame for address in thread.addresses if address}
            for frame, address in zip(thread.frames, thread.addresses, strict=True):
                if address is None:
                    return unknown("its stack is not readable")
                for block in self.blocks_in(frame, address, seen):
                    found += self._held_in(block, given_back)
        except (Unreadable, ValueError) as error:
            return unknown(str(error))
        return known(tuple(found), self.source)

    def _held_in(self, block: Block, given_back: frozenset[int]) -> Iterator[HeldLock]:
        entered = block.entered
        lock = self._lock_of(entered) if entered else 0
        if lock in given_back:
            return
        kind = self.objects.kind(lock) if lock else None
        if lock and kind is None:
            shared = list(self._shared(block, lock))
            yield from shared
            known = shared or block.acquired
            lock = 0 if known else self.managers.lock_released_by(entered)
            kind = self.objects.kind(lock) if lock else None
        if kind is not None and lock not in given_back:
            memory, python = self.objects.memory, self.objects.python
            name = name_in_frame(memory, python, block.address, (lock, entered))
            yield HeldLock(
                kind=kind,
                address=lock,
                name=name.text,
                of=name.of,
                function=block.frame.function,
                file=block.frame.file,
                line=block.line,
                acquired=block.acquired,
            )

    def _shared(self, block: Block, lock: int) -> Iterator[HeldLock]:
        """Yield a ``multiprocessing`` lock, identified by the file in which its semaphore lies."""
        memory, python = self.objects.memory, self.objects.python
        kind = _SHARED.get(self.objects.type(lock))
        if kind is None:
            return
        try:
            inner = attribute_of(memory, python, lock, "_semlock")
            if not inner or self.objects.type(inner) != "_multiprocessing.SemLock":
                return
            mapping = memory.maps.find(memory.number(inner + python.layout.header))
        except (Unreadable, OSError):
            return
        if mapping is not None and mapping.permissions.endswith("s"):
            name = name_in_frame(memory, python, block.address, (lock,))
            yield HeldLock(
                kind=kind,
                address=inner,
                semaphore=mapping.path,
                name=name.text,
                of=name.of,
                function=block.frame.function,
                file=block.frame.file,
                line=block.line,
                acquired=block.acquired,
            )

    def blocks_in(
        self, frame: PythonFrame, address: FrameAddress, seen: set[int], depth: int = 0
    ) -> Iterator[Block]:
        """Yield the ``with`` and ``async with`` blocks of a frame, outermost first.

        For one that enters a ``@contextmanager``, those of its generator follow; for an
        ``ExitStack``, what it has entered.

        Args:
            frame: What the frame shows.
            address: The frame.
            seen: The frames of its thread, by address: one of them is not suspended. Those of
                generators are added, so that none is looked into twice.
            depth: How many generators lead to this one.

        Raises:
            Unreadable: The frame cannot be read.
        """
        for entered, line, acquired in self._entered_in(address):
            block = Block(
                entered=entered, line=line, acquired=acquired, frame=frame, address=address
            )
            if acquired:
                yield block
                continue
            for each in (block, *self._stacked_in(block)):
                yield each
                if each.entered and depth < MOST_NESTED:
                    yield from self._behind(each.entered, seen, depth)

    def _stacked_in(self, block: Block) -> list[Block]:
        """Return one block for each object that an ``ExitStack`` has entered."""
        if not block.entered:
            return []
        try:
            stacked = list(islice(self.managers.stacked_in(block.entered), MOST_SLOTS))
        except (Unreadable, ValueError):
            return []
        return [replace(block, entered=each) for each in stacked]

    def _behind(self, entered: int, seen: set[int], depth: int) -> list[Block]:
        """Return the blocks that a ``@contextmanager`` is in; none if they cannot be read."""
        try:
            inner = self.managers.generator_in(entered)
            if inner is None or inner.frame in seen:
                return []
            seen.add(inner.frame)
            shown = python_frame(self.objects.memory, self.objects.python, inner)
            return list(self.blocks_in(shown, inner, seen, depth + 1))
        except (Unreadable, ValueError):
            return []

    def _entered_in(self, address: FrameAddress) -> Iterator[tuple[int, int, bool]]:
        """Yield what a frame has entered or acquired, the line, and which; outermost first."""
        depth, base = self.depth(address)
        acquired = AcquiredLocks(objects=self.objects).taken_in(address, depth.tries)
        found = [(place, entered, True) for entered, place in acquired]
        if depth.begins:
            words = self.objects.words(base, min(depth.slots, MOST_SLOTS))
            for slot, begin in depth.begins.items():
                found.append((begin, self._entered(words, slot), False))
        for place, entered, how in sorted(found):
            yield entered, self._line(address, place), how

    def _entered(self, words: tuple[int, ...], slot: int) -> int:
        """Return what a block entered that fills ``slot`` and, from 3.14 on, the slot before it."""
        memory, layout = self.objects.memory, self.objects.python.layout
        paired = self.objects.python.version >= (3, 14)
        first, last = slot - paired, words[slot] & ~TAG if slot < len(words) else 0
        method = words[first] & ~TAG if 0 <= first < len(words) else 0
        what = self.objects.type(method) if method else ""
        if what == "builtin_function_or_method":
            exits = builtin_function(memory, layout, method)[0] == "__exit__"
            return self.objects.self_of(method) if exits else 0
        if what == "method":
            return self.objects.self_of(method)
        if what == "method_descriptor" and paired:
            definition = memory.number(method + layout.header + _METHOD_NAME_AT)
            return last if memory.text(memory.number(definition)) == "__exit__" else 0
        return last if what == "function" and paired else 0

    def _lock_of(self, entered: int) -> int:
        if self.objects.type(entered) != "Condition":
            return entered
        return self._lock_of_condition(entered)

    def _lock_of_condition(self, address: int) -> int:
        try:
            return attribute_of(self.objects.memory, self.objects.python, address, "_lock")
        except Unreadable:
            return 0

    def _given_back(self, thread: PythonThread) -> frozenset[int]:
        """Return the locks of the conditions in which a thread waits for a notice.

        Whatever block took such a lock: a condition can be made of ``self._lock``, and its block
        entered by ``with self._lock``.
        """
        memory, python = self.objects.memory, self.objects.python
        return frozenset(
            self._lock_of_condition(value)
            for frame, address in zip(thread.frames, thread.addresses, strict=True)
            if address and frame.function == "wait" and frame.file.endswith(_OF_CONDITIONS)
            for _, value in variables_of(memory, python, address, ("self",))
        )

    def depth(self, frame: FrameAddress) -> tuple[Depth, int]:
        """Return the slots in use, and the address of the first one.

        Raises:
            Unreadable: They cannot be read.
        """
        at, memory = self.objects.python.offsets, self.objects.memory
        if "frame_object.blockstack" not in at:
            code, place = self.objects.code(frame), (frame.code, frame.place)
            if place not in self._depths:
                try:
                    self._depths[place] = depth_by_table(code.table, frame.place)
                except ValueError as error:
                    raise Unreadable(str(error)) from None
            return self._depths[place], frame.slots + 8 * code.variables
        base = memory.number(frame.frame + at["frame_object.valuestack"])
        blocks = memory.read(frame.frame + at["frame_object.blockcount"], 4)
        count = int.from_bytes(blocks, "little", signed=True)
        if not count:
            return Depth(slots=0, begins={}), base
        if not 0 < count <= 20 or not frame.slots <= base < frame.slots + 8 * MOST_SLOTS:
            raise Unreadable(f"no list of blocks in the frame at {frame.frame:#x}")
        raw = memory.read(frame.frame + at["frame_object.blockstack"], 12 * count)
        unit = 2 if self.objects.python.version >= (3, 10) else 1
        bytecode = self.objects.bytecode(frame.code)
        memory.spend(len(bytecode) >> 3)
        return depth_by_blocks(count, raw, bytecode, unit), base

    def _line(self, frame: FrameAddress, place: int) -> int:
        code = code_at(self.objects.memory, self.objects.python, frame.code)
        return code.lines.at(place)
