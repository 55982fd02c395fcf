r"""Which mapped libraries name one of the few functions that break a rule on which owners rest.

- ``pthread_cancel``: joins, and the interpreter's wait for the GIL, are cancellation points; a
  thread that is cancelled there runs clean-up handlers and releases what it holds.
- ``pthread_setcanceltype``: with asynchronous cancellation the same holds for every wait.
- ``PyEval_AcquireLock``: takes the GIL and makes nobody the current thread (up to CPython 3.12).

The names are looked for as ``name\0`` in each library's own string table in the process's memory
(ELF-64, ``PT_DYNAMIC``, ``DT_STRTAB``, ``DT_STRSZ``; glibc relocates the table's address in place),
where one may be the tail of a longer name, and for small libraries in everything that is mapped
read-only, since names given to ``dlsym`` lie there. A name that is put together at run time is not
seen, nor one in Python's memory (``ctypes``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import msgspec

from deadlock_matrix.capture.elf import Unusable, loaded
from deadlock_matrix.capture.kept import Kept
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import Library
from deadlock_matrix.model.thread_facts import ThreadFacts

CANCEL, CANCEL_AT_ONCE = "pthread_cancel", "pthread_setcanceltype"
OLD_GIL_CALL = "PyEval_AcquireLock"
NAMES = (CANCEL, CANCEL_AT_ONCE, OLD_GIL_CALL)

PT_DYNAMIC = 2
DT_NULL, DT_STRTAB, DT_STRSZ = 0, 5, 10
ET_EXEC = 2
CHUNK = 1 << 20
LARGEST_TABLE = 256 << 20
LARGEST_IN_ALL = 1 << 30  # what is searched of all libraries together
LARGEST_HEADERS = 1 << 16  # program headers, and dynamic section: a few kilobytes at most
MOST_LIBRARIES = 1 << 12
SMALL_LIBRARY = 4 << 20
CACHED_FILES = 4096

FUTEX_PRIVATE = 0x80
ROBUST_WAITERS = 0x8000_0000
OWNED = (2, 3)  # the values that waiters for a mutex and for a rwlock expect to find
SEMAPHORE = 0  # the value that waiters for one expect, and so do those for a lock of Python's

NOT_LOOKED_FOR = unknown("not looked for: no thread seems to wait for an owner")

Libraries = Known[tuple[str, ...]] | Unknown
_cache: Kept[tuple[str, tuple[int, int] | None, int], frozenset[str]] = Kept(CACHED_FILES)


class NamedCalls(msgspec.Struct, frozen=True, kw_only=True):
    """The libraries that name each function, except the C library and Python itself."""

    cancelling: Libraries
    cancelling_at_once: Libraries
    old_gil_calls: Libraries


def named_calls(memory: Memory, threads: Iterable[ThreadFacts]) -> NamedCalls:
    """Look for all names at once, if a thread seems to wait for an owner."""
    if not _somebody_waits_for_an_owner(threads):
        return _all_three(NOT_LOOKED_FOR)
    try:
        maps = memory.maps
        if maps.names_of_calls is None:  # else the same files are mapped at the same places
            maps.names_of_calls = _look_for_all(memory)
        found = maps.names_of_calls
    except (Unreadable, OSError, struct.error) as error:
        return _all_three(unknown(f"which functions its libraries name: {error}"))
    source = f"the names in /proc/{memory.pid}/mem"
    return NamedCalls(
        cancelling=known(found[CANCEL], source),
        cancelling_at_once=known(found[CANCEL_AT_ONCE], source),
        old_gil_calls=known(found[OLD_GIL_CALL], source),
    )


def _look_for_all(memory: Memory) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {name: [] for name in NAMES}
    libraries = memory.maps.libraries()
    if len(libraries) > MOST_LIBRARIES:
        raise Unreadable(f"{len(libraries)} libraries")
    left = LARGEST_IN_ALL
    for library in libraries:
        named, searched = _named_by(memory, library)
        left -= searched
        if left < 0:
            raise Unreadable(f"more than {LARGEST_IN_ALL} bytes of names")
        if named and not _has_them_itself(memory, library):
            for name in named:
                found[name].append(library.path)
    return {name: tuple(paths) for name, paths in found.items()}


def unread(reason: str) -> NamedCalls:
    """Return that none of it is known."""
    return _all_three(unknown(reason))


def _all_three(fact: Unknown) -> NamedCalls:
    return NamedCalls(cancelling=fact, cancelling_at_once=fact, old_gil_calls=fact)


def _somebody_waits_for_an_owner(threads: Iterable[ThreadFacts]) -> bool:
    """Tell whether a futex wait may be for a mutex, rwlock, native join, Python lock or the GIL.

    A wait for the GIL is any with a time limit.
    """
    threads = tuple(threads)
    ids = {thread.own_tid for thread in threads}
    for thread in threads:
        call = thread.call
        if call is None or call.name != "futex":
            continue
        expected = call.arguments[2] & 0xFFFF_FFFF
        if (
            expected in (SEMAPHORE, *OWNED)
            or expected & ROBUST_WAITERS
            or call.arguments[3] != 0
            or (not call.arguments[1] & FUTEX_PRIVATE and expected in ids)
        ):
            return True
    return False


def _has_them_itself(memory: Memory, library: Library) -> bool:
    """Tell whether it is the C library, which has the first two, or Python, which has the third."""
    mapping = memory.maps.find(library.start)
    if mapping is None:
        return False
    try:
        found = loaded(memory, mapping)
    except (Unusable, OSError):
        return False  # then it counts like any other
    file = found.file
    return file.is_glibc or file.is_musl or found.range_of("_PyRuntime") is not None


def _named_by(memory: Memory, library: Library) -> tuple[frozenset[str], int]:
    """Return the names, and how many bytes were searched for them."""
    table = _string_table(memory, library)
    size = table[1] if table else 0
    key = (library.path, memory.maps.device_and_inode(library.path), size)
    found = _cache.get(key)
    if found is not None:
        return found, 0
    parts = [*_small_parts(memory, library), *([table] if table else [])]
    found = _search(memory, parts)
    _cache.keep(key, found)
    return found, sum(length for _, length in parts)


def _small_parts(memory: Memory, library: Library) -> list[tuple[int, int]]:
    """Return what is mapped read-only of a library, if that is not much."""
    parts = [
        (mapping.start, mapping.end - mapping.start)
        for mapping in memory.maps.of_file(library.path)
        if mapping.path and mapping.permissions.startswith("r-")
    ]
    return parts if sum(size for _, size in parts) <= SMALL_LIBRARY else []


def _search(memory: Memory, parts: Iterable[tuple[int, int]]) -> frozenset[str]:
    wanted = {name: name.encode() + b"\0" for name in NAMES}
    longest = max(map(len, wanted.values()))
    found: set[str] = set()
    for start, size in parts:
        tail = b""
        for at in range(start, start + size, CHUNK):
            chunk = tail + memory.read(at, min(CHUNK, start + size - at))
            found.update(name for name, raw in wanted.items() if raw in chunk)
            tail = chunk[-longest:]
    return frozenset(found)


def _start_of(memory: Memory, library: Library) -> int:
    """Return where the file begins: libffi maps a part of its file once more, perhaps below."""
    starts = (
        mapping.start
        for mapping in memory.maps.of_file(library.path)
        if mapping.path and mapping.offset == 0
    )
    return min(starts, default=library.start)


def _string_table(memory: Memory, library: Library) -> tuple[int, int] | None:
    """Return its address and size; None for a static program, which looks nothing up by name."""
    start = _start_of(memory, library)
    header = memory.read(start, 64)
    if header[:5] != b"\x7fELF\x02":
        raise Unreadable(f"no ELF header at the start of {library.path}")
    kind = struct.unpack_from("<H", header, 16)[0]
    offset = struct.unpack_from("<Q", header, 32)[0]
    size, count = struct.unpack_from("<HH", header, 54)
    base = 0 if kind == ET_EXEC else start
    if size * count > LARGEST_HEADERS:
        raise Unreadable(f"the program headers of {library.path} are not understood")
    segments = memory.read(start + offset, size * count)
    for index in range(count):
        type_, _, _, address, _, _, length, _ = struct.unpack_from(
            "<IIQQQQQQ", segments, index * size
        )
        if type_ == PT_DYNAMIC:
            if length > LARGEST_HEADERS:
                raise Unreadable(f"the dynamic section of {library.path} has {length} bytes")
            return _of_dynamic(base, memory.read(base + address, length))
    return None


def _of_dynamic(base: int, dynamic: bytes) -> tuple[int, int] | None:
    values: dict[int, int] = {}
    for tag, value in struct.iter_unpack("<QQ", dynamic[: len(dynamic) // 16 * 16]):
        if tag == DT_NULL:
            break
        values[tag] = value
    if DT_STRTAB not in values or DT_STRSZ not in values:
        return None
    start, size = values[DT_STRTAB], values[DT_STRSZ]
    if size > LARGEST_TABLE:
        raise Unreadable(f"a string table of {size} bytes")
    return (start + base if start < base else start), size
