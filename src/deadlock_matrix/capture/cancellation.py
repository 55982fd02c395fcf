"""Which mapped libraries could cancel a thread: whose string table names ``pthread_cancel``.

``pthread_join`` is a cancellation point. A thread that is cancelled in it runs its clean-up
handlers and lets go of its locks, so the rule that only the joined thread ends a join holds only
where nobody can cancel. Read from each library's own dynamic section in the process's memory
(ELF-64, ``PT_DYNAMIC``, ``DT_STRTAB``, ``DT_STRSZ``); glibc relocates the table's address in place.
A caller that asks ``dlsym`` for the name is not seen; once it has cancelled, the signal is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from deadlock_matrix.capture.elf import Unusable, loaded
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.model.evidence import Library, SystemCall, ThreadFacts
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

NAME = b"\0pthread_cancel\0"
PT_DYNAMIC = 2
DT_NULL, DT_STRTAB, DT_STRSZ = 0, 5, 10
ET_EXEC = 2
CHUNK = 1 << 20
LARGEST_TABLE = 256 << 20
FUTEX_PRIVATE = 0x80

NOBODY_JOINS = unknown("not looked for: no thread seems to wait for the end of another")


def cancelling_libraries(
    memory: Memory, threads: Iterable[ThreadFacts]
) -> Known[tuple[str, ...]] | Unknown:
    """The libraries that name ``pthread_cancel``, the C library aside, which has it.

    Looked for only where a thread seems to join another: the tables of a large program are large.
    """
    if not _somebody_joins(threads):
        return NOBODY_JOINS
    found: list[str] = []
    try:
        for library in memory.maps.libraries():
            if not _is_c_library(memory, library) and _names_it(memory, library):
                found.append(library.path)
    except (Unreadable, OSError, struct.error) as error:
        return unknown(f"which libraries could cancel a thread: {error}")
    return known(tuple(found), f"the dynamic string tables in /proc/{memory.pid}/mem")


def _somebody_joins(threads: Iterable[ThreadFacts]) -> bool:
    threads = tuple(threads)
    ids = {thread.own_tid for thread in threads}
    return any(
        isinstance(thread.activity, Known)
        and isinstance(call := thread.activity.value, SystemCall)
        and call.name == "futex"
        and not call.arguments[1] & FUTEX_PRIVATE
        and call.arguments[2] in ids
        for thread in threads
    )


def _is_c_library(memory: Memory, library: Library) -> bool:
    mapping = memory.maps.find(library.start)
    if mapping is None:
        return False
    try:
        file = loaded(memory, mapping).file
    except (Unusable, OSError):
        return False  # then it is searched like any other
    return file.is_glibc or file.is_musl


def _names_it(memory: Memory, library: Library) -> bool:
    header = memory.read(library.start, 64)
    if header[:5] != b"\x7fELF\x02":
        raise Unreadable(f"no ELF header at the start of {library.path}")
    kind = struct.unpack_from("<H", header, 16)[0]
    offset = struct.unpack_from("<Q", header, 32)[0]
    size, count = struct.unpack_from("<HH", header, 54)
    base = 0 if kind == ET_EXEC else library.start
    segments = memory.read(library.start + offset, size * count)
    for index in range(count):
        type_, _, _, address, _, _, length, _ = struct.unpack_from(
            "<IIQQQQQQ", segments, index * size
        )
        if type_ == PT_DYNAMIC:
            return _table_names_it(memory, base, memory.read(base + address, length))
    return False  # static: nothing in it is looked up by name


def _table_names_it(memory: Memory, base: int, dynamic: bytes) -> bool:
    values: dict[int, int] = {}
    for tag, value in struct.iter_unpack("<QQ", dynamic[: len(dynamic) // 16 * 16]):
        if tag == DT_NULL:
            break
        values[tag] = value
    if DT_STRTAB not in values or DT_STRSZ not in values:
        return False
    start, size = values[DT_STRTAB], values[DT_STRSZ]
    start = start + base if start < base else start
    if size > LARGEST_TABLE:
        raise Unreadable(f"a string table of {size} bytes")
    tail = b""
    for at in range(start, start + size, CHUNK):
        chunk = memory.read(at, min(CHUNK, start + size - at))
        if NAME in tail + chunk:
            return True
        tail = chunk[-len(NAME) :]
    return False
