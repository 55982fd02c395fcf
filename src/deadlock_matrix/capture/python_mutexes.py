"""CPython's own mutexes in a free-threaded build: who waits for one, and in whose section it is.

A thread that waits for a ``PyMutex`` sleeps on a semaphore in a ``struct wait_entry`` on its own
stack: the word before the futex is the mutex's address, and the mutex says "locked, and somebody
sleeps" (``Python/parking_lot.c``, ``Python/lock.c``). A mutex has no owner. But a thread that is
inside a critical section has locked the section's mutexes: ``PyThreadState.critical_section``, two
words behind ``native_thread_id``, is the head of a list of ``PyCriticalSection {prev, mutex}`` on
the thread's stack (``Include/internal/pycore_critical_section.h``). Of a pointer in it the lowest
bit says "suspended", the next one "has a second mutex". Whoever detaches suspends them all, so only
an attached thread is inside one. Tried with CPython 3.13.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import msgspec

from deadlock_matrix.capture.frame_variables import Interpreter
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_frames import PythonThread
from deadlock_matrix.capture.python_objects import type_name
from deadlock_matrix.capture.world_stop import is_attached, keeping_it
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.stack_facts import PythonMutex

LOCKED_AND_WAITED_FOR = 3  # _Py_LOCKED | _Py_HAS_PARKED
MUTEX_IN_OBJECT = 10  # ``ob_mutex``, behind ``ob_tid`` and ``ob_flags``
SUSPENDED, HAS_TWO, TAGS = 1, 2, 3
MOST_SECTIONS = 64


class MutexReader(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Reads for what the threads of one process sleep, in a free-threaded build."""

    memory: Memory
    python: Interpreter
    threads: tuple[PythonThread, ...]
    tids: Mapping[int, int]  # from the process's own thread ids to the observer's

    def waited_for(self, futex: int) -> Known[PythonMutex] | Unknown:
        """Return the mutex for which the thread that sleeps on ``futex`` waits."""
        try:
            address = self.memory.number(futex - 8)
            if self.memory.number(address, 1) != LOCKED_AND_WAITED_FOR:
                return unknown("it does not sleep for a mutex of CPython's")
            found = PythonMutex(
                address=address, word=futex, object=self._object(address), inside=self._in(address)
            )
        except Unreadable as error:
            return unknown(str(error))
        return known(found, f"/proc/{self.memory.pid}/mem")

    def keeping(self, thread: PythonThread, futex: int) -> Known[tuple[int, ...]] | Unknown:
        """Return the threads that keep one from stopping the world; see `world_stop.keeping_it`."""
        return keeping_it(self.memory, self.python, thread, self.threads, futex, self.tids)

    def _object(self, mutex: int) -> str:
        """Return the type of the object that the mutex is part of; empty if it is part of none."""
        address = mutex - MUTEX_IN_OBJECT
        try:
            name = type_name(self.memory, self.python.layout, address) if address % 8 == 0 else ""
        except Unreadable:
            return ""
        return name if name.replace(".", "").isidentifier() else ""

    def _in(self, mutex: int) -> Known[int] | Unknown:
        """Return the one thread inside a critical section of this mutex."""
        try:
            found = self._inside.get(mutex, [])
        except Unreadable as error:
            return unknown(f"who is inside a critical section of it: {error}")
        if len(found) != 1 or found[0].own_tid not in self.tids:
            return unknown(f"{len(found)} threads are inside a critical section of it")
        source = f"/proc/{self.memory.pid}/mem: PyThreadState.critical_section"
        return known(self.tids[found[0].own_tid], source)

    @cached_property
    def _inside(self) -> dict[int, list[PythonThread]]:
        """By mutex: the threads inside a critical section of it."""
        found: dict[int, list[PythonThread]] = {}
        for thread in self.threads:
            for mutex in frozenset(self._sections(thread)):
                found.setdefault(mutex, []).append(thread)
        return found

    def _sections(self, thread: PythonThread) -> Iterator[int]:
        """Yield the mutexes of the critical sections that a thread is inside."""
        if not is_attached(self.memory, self.python, thread):
            return
        at = self.python.offsets["thread_state.native_thread_id"]
        tagged = self.memory.number(thread.state + at + 16)
        for _ in range(MOST_SECTIONS):
            if not tagged or tagged & SUSPENDED:
                return
            section = tagged & ~TAGS
            for word in (8, 16) if tagged & HAS_TWO else (8,):
                yield self.memory.number(section + word)
            tagged = self.memory.number(section)
        raise Unreadable("a list of critical sections has no end")
