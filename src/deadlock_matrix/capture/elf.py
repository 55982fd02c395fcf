"""What the files mapped into a process say about themselves: exported symbols, versions, kind.

All of it is read from the process's memory, into which the loader has mapped what it needs itself:
headers, dynamic section, symbol and version tables. No file is opened, so it does not matter
whether the observer could open it: the file may be in a container, may have been removed or
replaced by an upgrade, or may be on a file server that does not answer.

Source: the ELF-64 specification and the GNU extensions that glibc's loader reads
(``DT_GNU_HASH``, ``DT_VERDEF``). Both supported architectures are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from deadlock_matrix.capture.elf_file import ElfFile, Loaded
from deadlock_matrix.capture.kept import Kept
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.model.thread_facts import Mapping

PAGE = 4096
CACHED_FILES = 1024
DELETED = " (deleted)"

# All symbols that are ever looked up; a file is read once for all of them.
SYMBOLS = (
    "_PyRuntime",
    "_Py_NoneStruct",
    "Py_Version",
    "syscall",
    "__libc_start_main",
    "pthread_mutex_lock",
)

_PT_LOAD, _PT_DYNAMIC, _PT_NOTE = 1, 2, 4
_DT_NEEDED, _DT_HASH, _DT_STRTAB, _DT_SYMTAB = 1, 4, 5, 6
_DT_GNU_HASH, _DT_VERDEF, _DT_VERDEFNUM = 0x6FFF_FEF5, 0x6FFF_FFFC, 0x6FFF_FFFD
_SYMBOL = struct.Struct("<IBBHQQ")
_MACHINES = {62: "x86_64", 183: "aarch64"}
_NOTES_LIMIT = 1 << 12
_TABLE_LIMIT = 1 << 16  # program headers and dynamic section: a few kilobytes at most
_CHAIN_LIMIT = 1 << 12  # symbols in one hash bucket: a handful
_VERSIONS_LIMIT = 1 << 10


class Unusable(Exception):
    """A mapping that is not a 64-bit ELF file, or cannot be read. The message says why."""


def loaded(memory: Memory, mapping: Mapping) -> Loaded:
    """Return the file that a mapping belongs to, and where its first segment begins.

    If a file is mapped twice (``dlmopen``), the copy at or below the mapping counts.

    Raises:
        Unusable: It is not a file, or its headers are not mapped or not understood.
        OSError: The mappings cannot be read.
    """
    found = memory.loaded.get(mapping.start)
    if found is None:
        found = memory.loaded[mapping.start] = _load(memory, mapping)
    return found


# By path, device and inode, and the headers: a file that has taken another's inode differs from it
# in its program headers, or at least in the build id among its notes.
_cache: Kept[tuple[str, tuple[int, int] | None, bytes], ElfFile] = Kept(CACHED_FILES)


def _load(memory: Memory, mapping: Mapping) -> Loaded:
    if not mapping.path.startswith("/"):
        raise Unusable(f"{mapping.path or 'anonymous memory'} is not a file")
    begin = memory.maps.begin_of(mapping)
    if begin is None:
        raise Unusable(f"{mapping.path}: its first segment is not mapped")
    if begin in memory.loaded:  # asked for by another of its mappings
        return memory.loaded[begin]
    try:
        image = _Image(memory, begin)
        key = (mapping.path, memory.maps.device_and_inode(mapping.path), image.headers())
        file = _cache.get(key)
        if file is None:
            file = _parse(image)
            _cache.keep(key, file)
    except (Unreadable, struct.error) as error:
        raise Unusable(f"{mapping.path}: {error}") from None
    found = memory.loaded[begin] = Loaded(path=mapping.path, file=file, bias=image.bias)
    return found


def _parse(image: _Image) -> ElfFile:
    tags = image.dynamic_section()
    return ElfFile(
        machine=image.machine,
        first_address=image.first_address,
        symbols=_exported(image, tags),
        versions=tuple(_versions(image, tags)),
        needs=tuple(image.name(tags, offset) for offset in tags.get(_DT_NEEDED, ())),
        dynamic=bool(tags),
    )


class _Image:
    """The segments of one file, in memory."""

    def __init__(self, memory: Memory, begin: int) -> None:
        self.memory = memory
        self.begin = begin
        self._head = memory.read(begin, 64)
        if self._head[:5] != b"\x7fELF\x02":
            raise Unreadable("not a 64-bit ELF file")
        number = struct.unpack_from("<H", self._head, 18)[0]
        self.machine = _MACHINES.get(number, f"ELF machine {number}")
        offset = struct.unpack_from("<Q", self._head, 32)[0]
        size, count = struct.unpack_from("<HH", self._head, 54)
        if size < 56 or not 0 < size * count <= _TABLE_LIMIT:
            raise Unreadable("its program headers are not understood")
        self._raw = memory.read(begin + offset, size * count)
        # (type, offset, address, size in the file)
        self.segments = [
            (kind, at, address, in_file)
            for kind, _, at, address, _, in_file, _, _ in (
                struct.unpack_from("<IIQQQQQQ", self._raw, index * size) for index in range(count)
            )
        ]
        loads = [(at, address) for kind, at, address, _ in self.segments if kind == _PT_LOAD]
        if not loads:
            raise Unreadable("it has no loadable segment")
        self.first_address = loads[0][1] // PAGE * PAGE
        self.bias = begin - self.first_address

    def headers(self) -> bytes:
        """Return what distinguishes this file from others: its headers and its notes, with the
        build id.
        """
        parts = [self._head, self._raw]
        left = _NOTES_LIMIT
        for kind, _, address, size in self.segments:
            if kind == _PT_NOTE and size <= left:
                left -= size
                parts.append(self.memory.read(self.bias + address, size))
        return b"".join(parts)

    def dynamic_section(self) -> dict[int, list[int]]:
        """Return values by tag; empty for a static program."""
        tags: dict[int, list[int]] = {}
        for kind, _, address, size in self.segments:
            if kind != _PT_DYNAMIC or size > _TABLE_LIMIT:
                continue
            raw = self.memory.read(self.bias + address, size // 16 * 16)
            for tag, value in struct.iter_unpack("<QQ", raw):
                if tag == 0:
                    break
                tags.setdefault(tag, []).append(value)
        return tags

    def address(self, tags: dict[int, list[int]], tag: int) -> int | None:
        """Return where a table lies. glibc's loader relocates these addresses in place, musl's does
        not.
        """
        if tag not in tags:
            return None
        value = tags[tag][0]
        return value if value >= self.begin else value + self.bias

    def name(self, tags: dict[int, list[int]], offset: int) -> str:
        """Return a name from the string table."""
        table = self.address(tags, _DT_STRTAB)
        if table is None:
            raise Unreadable("it has no string table")
        return self.memory.text(table + offset, limit=512)


# --- exported symbols and versions --------------------------------------------------------------


def _exported(image: _Image, tags: dict[int, list[int]]) -> dict[str, tuple[int, int]]:
    """Look names up by hash, as the loader does: a large library has a hundred thousand."""
    found: dict[str, tuple[int, int]] = {}
    symbols = image.address(tags, _DT_SYMTAB)
    gnu, plain = image.address(tags, _DT_GNU_HASH), image.address(tags, _DT_HASH)
    if symbols is None:
        return found
    for name in SYMBOLS:
        if gnu is not None:
            candidates = _by_gnu_hash(image.memory, gnu, name)
        elif plain is not None:
            candidates = _by_hash(image.memory, plain, name)
        else:
            break
        for index in candidates:
            raw = image.memory.read(symbols + index * _SYMBOL.size, _SYMBOL.size)
            text, _, _, section, value, size = _SYMBOL.unpack(raw)
            if section and value and image.name(tags, text) == name:
                found[name] = (value, size)
                break
    return found


def _by_gnu_hash(memory: Memory, table: int, name: str) -> Iterator[int]:
    wanted = 5381
    for byte in name.encode("ascii"):
        wanted = (wanted * 33 + byte) & 0xFFFF_FFFF
    buckets, first, bloom, _ = struct.unpack("<IIII", memory.read(table, 16))
    if not buckets:
        return
    at = table + 16 + 8 * bloom
    index = memory.number(at + 4 * (wanted % buckets), 4)
    chain = at + 4 * buckets
    for _ in range(_CHAIN_LIMIT if index >= first else 0):
        there = memory.number(chain + 4 * (index - first), 4)
        if there | 1 == wanted | 1:
            yield index
        if there & 1:
            return
        index += 1


def _by_hash(memory: Memory, table: int, name: str) -> Iterator[int]:
    wanted = 0
    for byte in name.encode("ascii"):
        wanted = (wanted << 4) + byte
        high = wanted & 0xF000_0000
        wanted = (wanted ^ (high >> 24)) & ~high & 0xFFFF_FFFF
    buckets, _ = struct.unpack("<II", memory.read(table, 8))
    if not buckets:
        return
    index = memory.number(table + 8 + 4 * (wanted % buckets), 4)
    for _ in range(_CHAIN_LIMIT):
        if not index:
            return
        yield index
        index = memory.number(table + 8 + 4 * (buckets + index), 4)


def _versions(image: _Image, tags: dict[int, list[int]]) -> Iterator[str]:
    at = image.address(tags, _DT_VERDEF)
    count = min(tags.get(_DT_VERDEFNUM, [0])[0], _VERSIONS_LIMIT)
    if at is None:
        return
    for _ in range(count):
        _, _, _, names, _, aux, following = struct.unpack("<HHHHIII", image.memory.read(at, 20))
        if names:
            yield image.name(tags, image.memory.number(at + aux, 4))
        if not following:
            return
        at += following
