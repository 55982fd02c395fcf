"""Whether a thread waits on the very lock that its innermost Python line waits for.

A line of ``Thread.join`` says where the thread is in Python; a profiler, a destructor or a debugger
may still hold it up there. The memory tells (64-bit; ``Modules/_threadmodule.c``,
``Python/parking_lot.c``, ``Python/thread_pthread.h``):

- Up to 3.12 a lock object holds, behind its header, the address of a semaphore, and the futex is
  that semaphore. ``_wait_for_tstate_lock`` has the lock object in its local ``lock``.
- For a ``PyMutex`` or ``PyEvent`` (3.13 on) the waiter sleeps on a semaphore on its own stack, in
  ``struct wait_entry {park_arg, addr, sema}``: the word before the futex is the address of what is
  waited for. In a lock object that is the byte behind the header. ``join`` waits for the event in
  ``ThreadHandle {.., ident, os_handle, int has_os_handle, int state, mutex, thread_is_exiting}``,
  where ``ident`` and ``os_handle`` are both ``pthread_self()``; the main thread's has no os_handle.
- ``_shutdown`` waits for the threads that are no daemons: up to 3.12 for the lock in its local
  ``lock``, the same as above; later for their events.
- ``_ModuleLock.acquire`` waits on a lock that is an attribute of ``self``: in its values, wherever
  the version keeps them, so the search goes a few steps from the object.

Reliable while the thread sleeps.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator

import msgspec

from deadlock_matrix.capture.elf import Unusable
from deadlock_matrix.capture.machine import table_architecture
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.proc_files import read_small, reason_of
from deadlock_matrix.capture.proc_text import parse_syscall
from deadlock_matrix.capture.python_objects import ObjectLayout, type_name
from deadlock_matrix.capture.python_runtime import python_layout
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import ThreadStack
from deadlock_matrix.model.thread_facts import SystemCall

IMPORTLIB = "<frozen importlib._bootstrap>"
LOCK_TYPE = "_thread.lock"
WAITS_FOR_THREAD = ("join", "_wait_for_tstate_lock", "_shutdown")
"""Functions of ``threading`` in which a thread waits for another one's end."""

BEFORE, AHEAD = 4, (12, 8, 24, 0)
"""Words read before an object; and of it, of its dictionary or values, and of their values."""

IDENT_BEFORE_EVENT = 25
"""From ``ident`` of a ``ThreadHandle`` to ``thread_is_exiting``."""

_ADDRESS = re.compile(r" at (0x[0-9a-fA-F]+)>")


def with_locks_of_lines(
    memory: Memory, threads: tuple[ThreadStack, ...]
) -> tuple[ThreadStack, ...]:
    """Add which threads wait on their line's own lock, where the line may wait for an owner."""
    idents = frozenset(thread.ident for thread in threads if thread.ident)
    return tuple(
        msgspec.structs.replace(
            thread,
            waits_on_lock_of_line=waits_on_lock_of_line(
                memory, thread.tid, thread.python[-1], idents
            ),
        )
        if thread.python and waits_for_owner(thread.python[-1])
        else thread
        for thread in threads
    )


def waits_for_owner(frame: PythonFrame) -> bool:
    """Return whether the line may be one that waits for a join or an import lock."""
    if frame.function in WAITS_FOR_THREAD:
        return frame.file.endswith("/threading.py")
    return (frame.file, frame.function) == (IMPORTLIB, "acquire")


def waits_on_lock_of_line(
    memory: Memory, tid: int, frame: PythonFrame, idents: Collection[int] = ()
) -> Known[bool] | Unknown:
    """Compare the futex of a thread with the lock of its innermost line.

    Args:
        memory: The process's memory.
        tid: The thread.
        frame: Its innermost frame.
        idents: The idents that Python has for the threads of the process.
    """
    source = f"/proc/{memory.pid}/mem"
    try:
        layout = python_layout(memory)
        raw = read_small(f"task/{tid}/syscall", memory.directory)
        call = parse_syscall(raw, table_architecture(memory.pid))
        if not isinstance(call, SystemCall) or call.name != "futex":
            return unknown("it does not wait on a futex")
        futex = call.arguments[0]
        if frame.function == "join":
            return known(_is_event_of_thread(memory, futex, idents), source)
        if frame.function == "_shutdown" and "lock" not in frame.values:
            return known(_is_event_of_thread(memory, futex, idents), source)
        if frame.function in WAITS_FOR_THREAD:
            lock = _address(frame, "lock")
            return known(lock != 0 and _is_lock(memory, layout, lock, futex), source)
        module_lock = _address(frame, "self")
        return known(module_lock != 0 and _holds(memory, layout, module_lock, futex), source)
    except (Unreadable, Unusable, ValueError) as error:
        return unknown(f"memory not readable: {error}")
    except OSError as error:
        return unknown(reason_of(error, f"/proc/{memory.pid}/task/{tid}/syscall"))


def _address(frame: PythonFrame, name: str) -> int:
    """Return the address of the object that a local of the frame names; 0 if it is not shown."""
    match = _ADDRESS.search(frame.values.get(name, ""))
    return int(match.group(1), 16) if match else 0


def _is_lock(memory: Memory, layout: ObjectLayout, address: int, futex: int) -> bool:
    """Return whether the object is a lock, and the futex the one on which its waiters sleep."""
    inside = address + layout.header
    if futex != memory.number(inside) and inside != memory.number(futex - 8):
        return False
    return type_name(memory, layout, address) == LOCK_TYPE


def _is_event_of_thread(memory: Memory, futex: int, idents: Collection[int]) -> bool:
    """Return whether the futex is that of a wait for the event of a thread that runs.

    Python did not start the main thread, so its handle has only an ident.
    """
    event = memory.number(futex - 8)
    ident, handle, has_handle = struct.unpack("<QQi", memory.read(event - IDENT_BEFORE_EVENT, 20))
    if not has_handle and not handle:
        return ident in idents
    return bool(ident) and ident == handle and has_handle == 1


def _holds(memory: Memory, layout: ObjectLayout, address: int, futex: int) -> bool:
    """Return whether a lock with that futex is an attribute of the object."""
    level = list(_pointers(memory, address - 8 * BEFORE, BEFORE + AHEAD[0]))
    for ahead in AHEAD[1:]:
        for pointer in level:
            try:
                if _is_lock(memory, layout, pointer, futex):
                    return True
            except Unreadable:
                continue
        level = [inner for pointer in level for inner in _pointers(memory, pointer, ahead)]
    return False


def _pointers(memory: Memory, address: int, count: int) -> Iterator[int]:
    """Yield possible addresses of objects among the words at an address."""
    try:
        words = struct.unpack(f"<{count}Q", memory.read(address, 8 * count))
    except Unreadable:
        return
    for word in dict.fromkeys(words):
        pointer = word & ~7  # 3.12 tags the address of the values
        if 1 << 16 <= pointer < 1 << 47:
            yield pointer
