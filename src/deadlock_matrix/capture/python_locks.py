"""The Python lock for which a thread sleeps, with its owner and its name in the code.

**The lock** is looked for among the words of the innermost frame, where it lies while its
``acquire`` or ``__enter__`` runs: as ``self`` of the call, or of a bound method. It must agree with
the futex on which the thread sleeps. A lock with a semaphore of its own (``Lock`` up to 3.13.0,
``RLock`` up to 3.13) holds the address of that futex. A lock that is a ``PyMutex`` holds a byte
that says "locked, and somebody sleeps"; the sleeper's futex lies in a ``struct wait_entry`` on its
own stack, where the word before it is the address of the mutex (``Python/parking_lot.c``).

**Its owner**: an ``RLock`` keeps it beside the lock, as Python's ident of the thread
(``rlockobject`` in ``Modules/_threadmodule.c``, ``_PyRecursiveMutex`` in ``pycore_lock.h``): the
second word in both.

**Its name** is the one in the innermost frame outside ``threading``: ``with self._ready`` of a
``Condition`` waits for a lock that only the condition knows.

For a thread that sleeps all the time this is the truth, and two snapshots around the reading show
whether it did; what a running thread changes meanwhile can show what never existed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from deadlock_matrix.capture.frame_names import name_in_frame
from deadlock_matrix.capture.frame_variables import TAG, FrameAddress, variables_of
from deadlock_matrix.capture.lock_objects import MOST_SLOTS, Kind, LockObjects
from deadlock_matrix.capture.memory import Unreadable
from deadlock_matrix.capture.python_frames import PythonThread
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import PythonLock

THREADING = "/threading.py"
_LOCKED_AND_WAITED_FOR = 3  # _Py_LOCKED | _Py_HAS_PARKED


class LockReader(msgspec.Struct, frozen=True, kw_only=True):
    """Reads the locks for which the threads of one process sleep."""

    objects: LockObjects
    tids: Mapping[int, int]  # from Python's idents to the observer's ids; 0: has ended
    source: str

    def waited_for(self, thread: PythonThread, word: int) -> Known[PythonLock] | Unknown:
        """Return the lock for which a thread sleeps.

        Args:
            thread: The thread.
            word: The futex it sleeps on.
        """
        if not thread.addresses or thread.addresses[-1] is None:
            return unknown("its innermost frame is not readable")
        frame = thread.addresses[-1]
        try:
            for address in self._candidates(frame):
                kind = self.objects.kind(address)
                if kind and self.objects.is_alive(address) and self._sleeps_for(address, word):
                    return known(self._lock(thread, kind, address, word), self.source)
        except (Unreadable, ValueError) as error:
            return unknown(str(error))
        return unknown("no lock in its innermost frame is the one it sleeps for")

    def _candidates(self, frame: FrameAddress) -> Iterator[int]:
        """Yield a frame's objects, last first, and those that bound methods are bound to."""
        code = self.objects.code(frame)
        count = min(code.variables + code.stack_size, MOST_SLOTS)
        seen: set[int] = set()
        for word in reversed(self.objects.words(frame.slots, count)):
            address = word & ~TAG
            if not address or address in seen:
                continue
            seen.add(address)
            yield address
            if self.objects.type(address) == "builtin_function_or_method":
                yield self.objects.self_of(address)

    def _sleeps_for(self, address: int, word: int) -> bool:
        begin = address + self.objects.python.layout.header
        if self.objects.memory.number(begin) == word:
            return True
        try:
            mutex = self.objects.memory.number(word - 8)
        except Unreadable:
            return False
        return mutex == begin and self.objects.memory.number(begin, 1) == _LOCKED_AND_WAITED_FOR

    def _lock(self, thread: PythonThread, kind: Kind, address: int, word: int) -> PythonLock:
        frame, at, wanted = self._user_of(thread, address)
        name = name_in_frame(self.objects.memory, self.objects.python, at, wanted)
        ident = self._owner_ident(address) if kind == "RLock" else 0
        return PythonLock(
            kind=kind,
            address=address,
            word=word,
            owner=self._owner(address, kind, ident),
            owner_ident=ident,
            name=name.text,
            of=name.of,
            function=frame.function,
            file=frame.file,
            line=frame.line,
        )

    def _user_of(
        self, thread: PythonThread, lock: int
    ) -> tuple[PythonFrame, FrameAddress, tuple[int, ...]]:
        """Return the innermost frame outside ``threading``, and what it may know the lock by.

        A condition's wait for a notice is not a wait for its lock, and is reported as it is.
        """
        wanted = [lock]
        stack = list(zip(thread.frames, thread.addresses, strict=True))
        frame, at = stack[-1]
        assert at is not None
        if frame.function == "wait":
            return frame, at, (lock,)
        for outer, address in reversed(stack):
            if address is None:
                break
            if not outer.file.endswith(THREADING):
                return outer, address, tuple(wanted)
            wanted += self._selves(address)
        return frame, at, (lock,)

    def _selves(self, frame: FrameAddress) -> list[int]:
        memory, python = self.objects.memory, self.objects.python
        try:
            found = variables_of(memory, python, frame, ("self",))
            return [value for _, value in found]
        except Unreadable:
            return []

    def _owner_ident(self, address: int) -> int:
        return self.objects.memory.number(address + self.objects.python.layout.header + 8)

    def _owner(self, address: int, kind: Kind, ident: int) -> Known[int] | Unknown:
        if kind != "RLock":
            return unknown("a Lock names no owner")
        if not ident:
            return unknown("the RLock has no owner at this moment")
        return known(self.tids.get(ident, 0), f"{self.source}: owner of the RLock at {address:#x}")
