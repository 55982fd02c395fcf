"""What the files mapped into a process say of themselves: exported symbols, versions, kind.

Source: the dynamic symbol table and version definitions, which every shared library and every
CPython executable keeps when stripped. pyelftools is imported on first use.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.model.evidence import Mapping

PAGE = 4096
CACHED_FILES = 256
DELETED = " (deleted)"

# Everything that is ever looked up; a file is read once for all of them.
SYMBOLS = (
    "_PyRuntime",
    "_Py_NoneStruct",
    "syscall",
    "__libc_start_main",
    "pthread_mutex_lock",
)


class Unusable(Exception):
    """A file that cannot be read, or is not a 64-bit ELF file. The message says why."""


@dataclass(frozen=True, kw_only=True)
class ElfFile:
    """One file. ``symbols`` maps a name to (address in the file's own numbering, size)."""

    machine: str  # "x86_64", "aarch64" or what pyelftools calls it
    bits: int
    first_offset: int  # of the first loaded segment, rounded down to a page
    first_address: int
    symbols: dict[str, tuple[int, int]]
    versions: tuple[str, ...]  # that it defines: "GLIBC_2.36", ...
    needs: tuple[str, ...]
    dynamic: bool

    @property
    def is_glibc(self) -> bool:
        """Whether it is a part of glibc: nobody else defines versions named ``GLIBC_``.

        libc.so.6, the loader, and up to glibc 2.33 also libpthread.so.0, which held the locks.
        """
        return any(version.startswith("GLIBC_") for version in self.versions)

    @property
    def is_musl(self) -> bool:
        """Whether it is musl: loader, C library and locks in one file that needs no other."""
        exported = {"__libc_start_main", "pthread_mutex_lock"} <= self.symbols.keys()
        return exported and not self.needs and not self.is_glibc and self.dynamic


_cache: OrderedDict[tuple[str, int, int, int, int], ElfFile] = OrderedDict()


def read_elf(path: str) -> ElfFile:
    """Reads one file, or takes it from the cache when it is unchanged.

    Raises:
        Unusable: it is not there, not readable, or not a 64-bit ELF file.
    """
    try:
        with Path(path).open("rb") as stream:
            status = os.fstat(stream.fileno())
            key = (path, status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
            if key not in _cache:
                _cache[key] = _parse(stream)
                if len(_cache) > CACHED_FILES:
                    _cache.popitem(last=False)
            _cache.move_to_end(key)
            return _cache[key]
    except OSError as error:
        raise Unusable(f"{path}: {os.strerror(error.errno or 0)}") from None


_MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}


def import_elftools() -> None:
    """Imports pyelftools, which takes some 40 ms the first time."""
    import elftools.elf.elffile  # noqa: F401


def _parse(stream: IO[bytes]) -> ElfFile:
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError
    from elftools.elf.elffile import ELFFile

    try:
        elf = ELFFile(stream)
        loads = list(elf.iter_segments("PT_LOAD"))
        if not loads:
            raise Unusable("it has no loadable segment")
        machine = elf.header["e_machine"]
        return ElfFile(
            machine=_MACHINES.get(machine, str(machine)),
            bits=elf.elfclass,
            first_offset=loads[0]["p_offset"] // PAGE * PAGE,
            first_address=loads[0]["p_vaddr"] // PAGE * PAGE,
            symbols=_exported(elf),
            versions=tuple(_versions(elf)),
            needs=tuple(_needed(elf)),
            dynamic=any(True for _ in elf.iter_segments("PT_DYNAMIC")),
        )
    except (ELFError, ConstructError, ValueError, KeyError, AssertionError) as error:
        raise Unusable(f"not a readable ELF file: {error}") from None


def _exported(elf: Any) -> dict[str, tuple[int, int]]:
    """Looked up by hash: libtorch has a hundred thousand names."""
    table = elf.get_section_by_name(".gnu.hash") or elf.get_section_by_name(".hash")
    found: dict[str, tuple[int, int]] = {}
    if table is None:
        return found
    for name in SYMBOLS:
        symbol = table.get_symbol(name)
        if symbol is not None and symbol["st_shndx"] != "SHN_UNDEF" and symbol["st_value"]:
            found[name] = (symbol["st_value"], symbol["st_size"])
    return found


def _versions(elf: Any) -> Iterator[str]:
    section = elf.get_section_by_name(".gnu.version_d")
    if section is not None:
        for _, names in section.iter_versions():
            yield from (name.name for name in names)


def _needed(elf: Any) -> Iterator[str]:
    for segment in elf.iter_segments("PT_DYNAMIC"):
        yield from (tag.needed for tag in segment.iter_tags("DT_NEEDED"))


# --- a file as it is mapped into a process ------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A file at its place in memory: add ``bias`` to its own addresses."""

    path: str
    file: ElfFile
    bias: int

    def range_of(self, symbol: str) -> tuple[int, int] | None:
        """First and last-but-one address of an exported symbol, or nothing when it has none."""
        found = self.file.symbols.get(symbol)
        if found is None:
            return None
        return self.bias + found[0], self.bias + found[0] + found[1]


def loaded(memory: Memory, mapping: Mapping) -> Loaded:
    """The file that a mapping belongs to, and where its first segment begins.

    When a file is mapped twice (``dlmopen``) the copy at or below the mapping counts.

    Raises:
        Unusable: the file is not the one that was mapped, or is not readable.
        OSError: the mappings cannot be read.
    """
    found = memory.loaded.get(mapping.start)
    if found is None:
        found = memory.loaded[mapping.start] = _load(memory, mapping)
    return found


def _load(memory: Memory, mapping: Mapping) -> Loaded:
    if not mapping.path.startswith("/"):
        raise Unusable(f"{mapping.path or 'anonymous memory'} is not a file")
    file = read_elf(_readable_path(memory, mapping))
    begin = None
    for other in memory.maps.of_file(mapping.path):
        if other.path and other.offset == file.first_offset and other.start <= mapping.start:
            begin = other.start
    if begin is None:
        raise Unusable(f"{mapping.path}: its first segment is not mapped")
    return Loaded(path=mapping.path, file=file, bias=begin - file.first_address)


def _readable_path(memory: Memory, mapping: Mapping) -> str:
    """A path under which the very file that is mapped can be read.

    It may have been deleted, replaced by an upgrade, or lie in a container. On overlayfs and
    btrfs the device in ``maps`` is not the one stat(2) tells, so an equal inode is enough there.
    ``map_files`` needs more rights than the rest (CAP_CHECKPOINT_RESTORE).
    """
    identity = memory.maps.device_and_inode(mapping.path)
    path = mapping.path
    plain = path.removesuffix(DELETED)
    by_root = f"/proc/{memory.pid}/root{plain}"
    candidates = [] if path.endswith(DELETED) else [plain, by_root]
    similar = ""
    for candidate in candidates:
        try:
            status = Path(candidate).stat()
        except OSError:
            continue
        if (status.st_dev, status.st_ino) == identity:
            return candidate
        if identity is not None and status.st_ino == identity[1]:
            similar = similar or candidate
    by_range = f"/proc/{memory.pid}/map_files/{mapping.start:x}-{mapping.end:x}"
    if os.access(by_range, os.R_OK):
        return by_range
    by_exe = f"/proc/{memory.pid}/exe"
    try:
        if str(Path(by_exe).readlink()) == path:
            return by_exe
    except OSError:
        pass
    if similar:
        return similar
    name = Path(plain).name
    raise Unusable(f"{name} on the disk is not the file that is mapped, or cannot be read")
