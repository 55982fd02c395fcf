"""The memory of a process: its mappings, and bounded reads of its contents.

Source: ``/proc/PID/maps`` and ``/proc/PID/mem``, which can be read without stopping the target. So
the contents are stable only as long as the threads that could write there are asleep. Both need the
right to attach (`permission` says what is missing if that fails).
"""

from __future__ import annotations

import errno
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from typing import TypeVar

from deadlock_matrix.capture.elf_file import Loaded
from deadlock_matrix.capture.foreign import Stuck, reading
from deadlock_matrix.capture.kept import Kept
from deadlock_matrix.capture.proc_files import numbers_in, read_small, read_whole
from deadlock_matrix.capture.proc_text import text_of
from deadlock_matrix.closing import Closing
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import Library
from deadlock_matrix.model.thread_facts import Mapping, Word

T = TypeVar("T")

WORD_BEFORE = 64
WORD_AFTER = 128
JOINSTATE_BEHIND_ID = 0x358
"""In glibc's 64-bit ``struct pthread``, from 2.43 on: from ``tid`` to ``joinstate``."""
ID_AND_ROBUST_LIST = 40
READ_LIMIT = 1 << 24
KEPT_MAPS = 6 << 20
"""Bytes of texts that are kept: a process that hangs shows the same one again and again. A small
Python program has eight kilobytes of it, a large one two hundred; what is made of it takes a few
times as much."""

_LINE = re.compile(
    rb"[0-9a-f]{1,16}-[0-9a-f]{1,16} [rwxsp-]{4} [0-9a-f]{1,16} "
    rb"[0-9a-f]{1,6}:[0-9a-f]{1,6} [0-9]{1,20}(?: |$)"
)


class Unreadable(Exception):
    """An address is not mapped or not readable, or a read returned too little."""


class Maps:
    """``/proc/PID/maps``, of which a line is parsed only when it is asked for.

    The kernel writes it in pieces of a page without stopping the target; mappings made or removed
    meanwhile may be missing.
    """

    def __init__(self, raw: bytes) -> None:
        """Check every line.

        Raises:
            OSError: One is not as the kernel writes it; perhaps it is cut off.
        """
        # Not splitlines: a path may contain a carriage return, which the kernel does not escape.
        self._lines = [line for line in raw.split(b"\n") if line]
        if not all(map(_LINE.match, self._lines)):
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
        self._starts = [int(line[: line.index(b"-")], 16) for line in self._lines]
        self._by_path: dict[str, list[int]] | None = None
        self._mappings: dict[int, Mapping] = {}  # those asked for, by their lines
        self._of_files: dict[str, list[Mapping]] = {}
        self._begins: dict[str, list[int]] = {}
        self._libraries: tuple[Library, ...] | None = None
        self.names_of_calls: dict[str, tuple[str, ...]] | None = None  # see `named_calls`

    def find(self, address: int) -> Mapping | None:
        """Return the mapping that holds an address."""
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        mapping = self._mapping(index)
        return mapping if address < mapping.end else None

    def _mapping(self, index: int) -> Mapping:
        mapping = self._mappings.get(index)
        if mapping is None:
            mapping = self._mappings[index] = _parse(self._lines[index])
        return mapping

    def of_file(self, path: str) -> list[Mapping]:
        """Return all mappings of a file, by ascending address, with anonymous ones that continue
        them.

        The pages of ``.bss`` behind a writable segment are such a continuation: they have no path.
        """
        found = self._of_files.get(path)
        if found is None:
            found = self._of_files[path] = self._find_mappings(path)
        return found

    def _find_mappings(self, path: str) -> list[Mapping]:
        found: list[Mapping] = []
        for index in self._lines_of(path):
            found.append(self._mapping(index))
            for behind in range(index + 1, len(self._lines)):
                following = self._mapping(behind)
                if following.path or following.start != found[-1].end:
                    break
                found.append(following)
        return found

    def begin_of(self, mapping: Mapping) -> int | None:
        """Return where the first segment lies of the file that a mapping belongs to."""
        begins = self._begins.get(mapping.path)
        if begins is None:
            begins = self._begins[mapping.path] = [
                each.start for each in self.of_file(mapping.path) if each.path and not each.offset
            ]
        at = bisect_right(begins, mapping.start)
        return begins[at - 1] if at else None

    def _lines_of(self, path: str) -> list[int]:
        """Return which lines map a file. Its path there is text in which a byte may be escaped."""
        if self._by_path is None:
            self._by_path = {}
            for index, line in enumerate(self._lines):
                fields = line.split(None, 5)
                if len(fields) == 6 and fields[5].startswith(b"/"):
                    self._by_path.setdefault(path_of(fields[5]), []).append(index)
        return self._by_path.get(path, [])

    def libraries(self) -> tuple[Library, ...]:
        """Return files with executable pages, each at its lowest address, in order of address."""
        if self._libraries is None:
            self._libraries = tuple(self._find_libraries())
        return self._libraries

    def _find_libraries(self) -> Iterator[Library]:
        lowest: dict[bytes, int] = {}
        executable: set[bytes] = set()
        for line, start in zip(self._lines, self._starts, strict=True):
            fields = line.split(None, 5)
            if len(fields) < 6 or not fields[5].startswith(b"/"):
                continue
            lowest.setdefault(fields[5], start)
            if b"x" in fields[1]:
                executable.add(fields[5])
        for raw, start in lowest.items():
            if raw in executable:
                yield Library(path=path_of(raw), start=start)

    def special(self) -> tuple[str, ...]:
        """Return names of mapped kernel objects, such as ``anon_inode:[io_uring]``, each once."""
        names = {
            fields[5]
            for line in self._lines
            if b"anon_inode:" in line and len(fields := line.split(None, 5)) == 6
        }
        return tuple(sorted(map(text_of, names)))

    def shared_files(self) -> tuple[str, ...]:
        """Return the files that are mapped so that others see what is written, each once."""
        names = {
            fields[5]
            for line in self._lines
            if len(fields := line.split(None, 5)) == 6
            and fields[1].startswith(b"rw")
            and fields[1].endswith(b"s")
            and fields[5].startswith(b"/")
        }
        return tuple(sorted(map(path_of, names)))

    def device_and_inode(self, path: str) -> tuple[int, int] | None:
        """Return the device number and inode of a mapped file, to tell it from another of the same
        name.
        """
        for index in self._lines_of(path):
            fields = self._lines[index].split(None, 5)
            major, minor = fields[3].split(b":")
            return os.makedev(int(major, 16), int(minor, 16)), int(fields[4])
        return None


_kept_maps: Kept[bytes, Maps] = Kept(KEPT_MAPS, len)


def _maps(raw: bytes) -> Maps:
    maps = _kept_maps.get(raw)
    if maps is None:
        maps = Maps(raw)
        _kept_maps.keep(raw, maps)
    return maps


def path_of(raw: bytes) -> str:
    r"""Return a path from ``maps``, in which the kernel writes a line end as ``\012``."""
    return text_of(raw.replace(b"\\012", b"\n"))


def _parse(line: bytes) -> Mapping:
    fields = line.split(None, 5)
    start, end = fields[0].split(b"-")
    return Mapping(
        start=int(start, 16),
        end=int(end, 16),
        permissions=fields[1].decode("ascii"),
        offset=int(fields[2], 16),
        path=path_of(fields[5]) if len(fields) > 5 else "",
    )


class Memory(Closing):
    """One process's memory, for the length of one snapshot. Opens nothing until asked."""

    def __init__(self, pid: int, directory: int) -> None:
        self.pid = pid
        self._directory = directory  # of /proc/PID; belongs to the caller
        self._thread = ""  # ``task/TID/`` of a thread that still has the memory
        self._file: int | None = None
        self._maps: Maps | None = None
        self._reading = reading(f"the memory of process {pid}")
        self.loaded: dict[int, Loaded] = {}  # by start of mapping: what `elf.loaded` has found
        self.type_names: dict[int, str] = {}  # by the type's address

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def directory(self) -> int:
        """The descriptor of ``/proc/PID``."""
        return self._directory

    @property
    def maps(self) -> Maps:
        """The mappings, read once.

        Raises:
            OSError: They cannot be read.
        """
        if self._maps is None:
            with reading(f"the mappings of process {self.pid}"):
                self._maps = _maps(self._read_maps())
        return self._maps

    def _read_maps(self) -> bytes:
        """Read those of the process, or of one of its threads: a leader that has ended has no
        memory.
        """
        found = read_whole("maps", self._directory)
        for tid in self._thread_ids() if not found else ():
            with suppress(OSError):
                found = read_whole(f"task/{tid}/maps", self._directory)
            if found:
                self._thread = f"task/{tid}/"
                break
        return found

    def _thread_ids(self) -> list[int]:
        tasks = os.open("task", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            return numbers_in(tasks)
        finally:
            os.close(tasks)

    def read(self, address: int, size: int) -> bytes:
        """Read exactly ``size`` bytes.

        Raises:
            Unreadable: Not all of them can be read.
        """
        if not 0 <= size <= READ_LIMIT or not 0 <= address < 1 << 63:
            raise Unreadable(f"{size} bytes at {address:#x}")
        try:
            if self._file is None:
                self._file = self._open()
            with self._reading:
                data = os.pread(self._file, size, address)
        except Stuck as error:
            raise Unreadable(error.strerror) from None
        except OSError as error:
            raise Unreadable(
                f"{size} bytes at {address:#x}: {os.strerror(error.errno or 0)}"
            ) from None
        if len(data) != size:
            raise Unreadable(f"{size} bytes at {address:#x}: only {len(data)}")
        return data

    def _open(self) -> int:
        if read_small("statm", self._directory).startswith(b"0 "):
            _ = self.maps  # they tell which thread has the memory
        return os.open(self._thread + "mem", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)

    def number(self, address: int, size: int = 8, signed: bool = False) -> int:
        """Read a little-endian number (both supported architectures are little-endian).

        Raises:
            Unreadable: It cannot be read.
        """
        return int.from_bytes(self.read(address, size), "little", signed=signed)

    def text(self, address: int, limit: int = 128) -> str:
        """Read a C string.

        Raises:
            Unreadable: It cannot be read, or does not end within ``limit`` bytes.
        """
        # Up to the end of the page first: the next one may not be mapped.
        near = min(limit, 4096 - address % 4096)
        data = self.read(address, near)
        if b"\0" not in data and near < limit:
            data += self.read(address + near, limit - near)
        if b"\0" not in data:
            raise Unreadable(f"no text at {address:#x}")
        return text_of(data[: data.index(b"\0")])

    def once(self, what: Hashable, work: Callable[[], T]) -> T:
        """Return what ``work`` makes of this memory as it is now; see `PagedMemory.once`.

        Args:
            what: names the work and the addresses that it begins at.
            work: reads nothing but this memory.
        """
        return work()

    def spend(self, steps: int) -> None:
        """Count work on what was read; see `PagedMemory.spend`."""

    def word(self, address: int, *, of_thread: bool = False) -> Known[Word] | Unknown:
        """Read what lies around a futex, within its mapping.

        Args:
            address: The futex.
            of_thread: Whether it may be the ``joinstate`` of a thread: then read that thread's id,
                too.
        """
        try:
            mapping = self.maps.find(address)
            if mapping is None:
                return unknown(f"{address:#x} is not in a mapping")
            start = max(mapping.start, address - WORD_BEFORE)
            end = min(mapping.end, address + WORD_AFTER)
            data = self.read(start, end - start)
            at = address - JOINSTATE_BEHIND_ID
            thread = b""
            if of_thread and at >= mapping.start:
                thread = self.read(at, ID_AND_ROBUST_LIST)
        except Unreadable as error:
            return unknown(f"memory not readable: {error}")
        except OSError as error:
            return unknown(f"/proc/{self.pid}/maps: {os.strerror(error.errno or 0)}")
        word = Word(
            address=address,
            mapping=mapping,
            around_start=start,
            around=data.hex(),
            thread=thread.hex(),
        )
        return known(word, f"/proc/{self.pid}/mem")
