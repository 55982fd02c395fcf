"""Objects written in C on which a thread sleeps without any Python frame of their own.

- ``SimpleQueue``: its first field is a ``PyThread_type_lock`` up to 3.12, and from 3.13 on a byte
  on which readers park (``Modules/_queuemodule.c``).
- ``SemLock`` of ``multiprocessing``: its first field is the address of a ``sem_t``, whose first
  word is the futex (``Modules/_multiprocessing/semaphore.c``; glibc's ``struct new_sem``).
- Buffered files: a lock, followed by the ident of the thread that has it (``buffered`` in
  ``Modules/_io/bufferedio.c``). The futex shows where the two lie.

Up to 3.14 a lock's address is that of its futex (a semaphore). For a ``PyMutex``, or a byte on
which threads park, the word before the futex holds its address (``struct wait_entry`` in
``Python/parking_lot.c``).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from deadlock_matrix.capture.frame_variables import TAG, FrameAddress
from deadlock_matrix.capture.lock_objects import MOST_SLOTS, LockObjects
from deadlock_matrix.capture.memory import Unreadable
from deadlock_matrix.capture.python_values import text_of_value

_BUFFERED = ("_io.BufferedReader", "_io.BufferedWriter", "_io.BufferedRandom")
_BUFFERED_WORDS = 24
_TEXT = "_io.TextIOWrapper"
_TEXT_BUFFER_AT = 16  # behind ok, detached (two ints) and the size of a chunk
_FILE_LAYERS = 3
_RECURSIVE = 0  # RECURSIVE_MUTEX in semaphore.c
_KIND_AT = 24  # behind the header: handle, last_tid, count, maxvalue, kind


class NativeAwaited(msgspec.Struct, frozen=True, kw_only=True):
    """What a thread waits for; ``owner`` is Python's ident of the thread that has it, or 0."""

    kind: str
    action: str
    address: int
    owner: int = 0


def native_awaited(objects: LockObjects, frame: FrameAddress, word: int) -> NativeAwaited | None:
    """Return the object, among a frame's words, on whose futex the thread sleeps.

    Raises:
        Unreadable: The frame cannot be read.
    """
    parked_on = _parked_on(objects, word)
    for address in candidates(objects, frame):
        kind = objects.type(address)
        if not kind or not objects.is_alive(address):
            continue
        header = address + objects.python.layout.header
        try:
            if kind == "_queue.SimpleQueue":
                if objects.memory.number(header) == word or header == parked_on:
                    return NativeAwaited(kind="SimpleQueue", action="get", address=address)
            elif kind == "_multiprocessing.SemLock":
                if objects.memory.number(header) == word:
                    return _sem_lock(objects, address)
            elif kind in _BUFFERED:
                found = _buffered(objects, address, word, parked_on)
                if found is not None:
                    return found
        except Unreadable:
            continue
    return None


def candidates(objects: LockObjects, frame: FrameAddress) -> Iterator[int]:
    """Yield a frame's objects, last first, and what bound methods, text files and cells hold."""
    code = objects.code(frame)
    count = min(code.variables + code.stack_size, MOST_SLOTS)
    seen: set[int] = set()
    for each in reversed(objects.words(frame.slots, count)):
        address = each & ~TAG
        if not address or address in seen:
            continue
        seen.add(address)
        yield address
        kind = objects.type(address)
        if kind == "builtin_function_or_method":
            yield objects.self_of(address)
        elif kind == _TEXT:  # its first fields: ok, detached, chunk size, buffer
            header = address + objects.python.layout.header
            yield from (word for word in objects.words(header, 4) if word)
        elif kind == "cell":
            yield objects.memory.number(address + objects.python.layout.header)


def _parked_on(objects: LockObjects, word: int) -> int:
    try:
        return objects.memory.number(word - 8)
    except Unreadable:
        return 0


def _sem_lock(objects: LockObjects, address: int) -> NativeAwaited:
    header = address + objects.python.layout.header
    most = objects.memory.number(header + 20, 4, signed=True)
    kind = objects.memory.number(header + _KIND_AT, 4, signed=True)
    name = "RLock" if kind == _RECURSIVE else "Lock" if most == 1 else "Semaphore"
    return NativeAwaited(kind=f"multiprocessing.{name}", action="acquire", address=address)


def _buffered(
    objects: LockObjects, address: int, word: int, parked_on: int
) -> NativeAwaited | None:
    begin = address + objects.python.layout.header
    words = objects.words(begin, _BUFFERED_WORDS)
    for at, value in enumerate(words[:-1]):
        if value == word or (parked_on and parked_on in (value, begin + 8 * at)):
            name = objects.type(address).rpartition(".")[2]
            return NativeAwaited(kind=name, action="lock", address=address, owner=words[at + 1])
    return None


def descriptor_of(objects: LockObjects, address: int) -> int:
    """Return the value of an ``int``, or the descriptor of a file.

    Raises:
        Unreadable: It is neither.
    """
    for _ in range(_FILE_LAYERS):
        kind = objects.type(address)
        header = address + objects.python.layout.header
        if kind == "int":
            tagged = objects.python.version >= (3, 12)
            return int(text_of_value(objects.memory, objects.python.layout, address, tagged))
        if kind == "_io.FileIO":
            return objects.memory.number(header, 4, signed=True)
        if kind in _BUFFERED:
            address = objects.memory.number(header)  # its raw file
        elif kind == _TEXT:
            address = objects.memory.number(header + _TEXT_BUFFER_AT)
        else:
            break
    raise Unreadable(f"no descriptor at {address:#x}")
