"""What a pytest process does, in a file that outlives it: written inside, read outside.

The file is mapped into the writer's memory. So a record costs no system call, it stays when its
writer is killed, and no descriptor is open that a test could close. A record is its length, a
checksum, and a tuple in ``marshal``'s format: writer and reader are the same interpreter. The
length is written last, and the checksum is there for processors that let others see it first. Zeros
follow the last record.

Most records say that a test begins or that one of its phases passed. They consist only of numbers:
instead of the length, one that no record has; then the number of a test that was listed before, and
its complement; or a phase's three times, and their sum as a checksum. (A change that does not alter
the sum is less than a microsecond.) Between two records, tests throw what writes them out of the
processor's caches, so each module that takes part costs a microsecond: these need only ``struct``.
"""

from __future__ import annotations

import marshal
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

SUFFIX = ".journal"

LOADING = "loading"  # ()                             plugins and conftest files are being imported
COLLECTING = "collecting"  # (nodeid,)                this module, class or folder is collected
RUNNING = "running"  # ()                             collection is over
TESTS = "tests"  # (nodeids, locations)               tests that may be named by their number
START = "start"  # (nodeid, location)                 a test begins, with its setup
PASSED = "passed"  # (when, (duration, start, stop))  a phase of that test passed, nothing to tell;
#                    with nodeid and location behind it where another test began last
REPORT = "report"  # (json, when)                     any other report, as pytest serialises it
COLLECT_REPORT = "collect-report"  # (json,)          a collector that failed or was skipped
COLLECTED = "collected"  # (number,)                  tests selected
DISTRIBUTING = "distributing"  # (in groups, remote)  xdist hands tests to workers; how, and where
PROMPTING = "prompting"  # ()                         pdb waits for a person
GOING_ON = "going-on"  # ()                           that person lets the test go on
FINISHING = "finishing"  # (exit status,)             all tests are done, reports are being written
ENDING = "ending"  # ()                               pytest is done, the interpreter ends

PHASES = ("setup", "call", "teardown")

Record = tuple[Any, ...]
"""A kind, and what belongs to it; see the constants."""

_HEAD = struct.Struct("<II")
_PASSED = struct.Struct("<Idddd")
_PASSED_SIZE = _PASSED.size
_pack_passed: Callable[..., None] = _PASSED.pack_into
_NUMBERED = struct.Struct("<III")
_NUMBERED_SIZE = _NUMBERED.size
_pack_numbered: Callable[..., None] = _NUMBERED.pack_into
_MOST = 0xFFFFFFFF
_NO_LENGTH = {phase: 0xFFFFFF00 + number for number, phase in enumerate(PHASES)}
_LENGTHS = _NO_LENGTH[PHASES[0]]  # are below
_NO_LENGTH_NUMBERED = _LENGTHS + len(PHASES)

_CHUNK = 1 << 18
"""The file grows by this many bytes. They are written, as a hole would end the process with SIGBUS
if the disk is full.
"""

_READ_AT_ONCE = 1 << 14


def file_name(pid: int | str, worker: str = "") -> str:
    """Return the name of a process's journal; xdist's workers are found by theirs (``gw0``)."""
    return f"{pid}.{worker}{SUFFIX}" if worker else f"{pid}{SUFFIX}"


def pid_of(name: str) -> int:
    """Return whose journal that is."""
    return int(name.partition(".")[0])


class Phase(Protocol):
    """What is needed of pytest's report on a phase."""

    when: Any
    duration: float
    start: float
    stop: float


class Writer:
    """Appends records of this process.

    A child that a test forks has the memory too, but is not this process: what it calls is not
    written.
    """

    def __init__(self, folder: Path, worker: str = "") -> None:
        self._path = folder / file_name(os.getpid(), worker)
        self._path.touch(mode=0o600)
        self._map: mmap.mmap | None = None
        self._begin = self._end = 0  # of the mapped part, in the file
        self._at = 0  # in the mapped part
        self._room = -1  # up to here there is room for a short record, and for zeros behind it
        self._mine = True
        os.register_at_fork(after_in_child=self.let_go)

    def let_go(self) -> None:
        """Write nothing any more."""
        self._mine = False
        self._map = None
        self._room = -1

    def write(self, *record: Any) -> bool:
        """Write one record, and return True; what the disk has no room for is lost."""
        data = marshal.dumps(record)
        size = _HEAD.size + len(data)
        if self._at + size > self._room and not self._grow(size):
            return False
        assert self._map is not None
        begin = self._at + _HEAD.size
        end = self._at + size
        self._map[begin:end] = data
        _HEAD.pack_into(self._map, self._at, len(data), zlib.crc32(data))
        self._at = end
        return True

    def begun(self, number: int) -> None:
        """Write that a test in the list of `TESTS` begins."""
        at = self._at
        if at > self._room:
            if not self._grow(0):
                return
            at = self._at
        _pack_numbered(self._map, at, _NO_LENGTH_NUMBERED, number, _MOST - number)
        self._at = at + _NUMBERED_SIZE

    def passed(self, report: Phase) -> None:
        """Write ``(PASSED, when, (duration, start, stop))``."""
        at = self._at
        if at > self._room:
            if not self._grow(0):
                return
            at = self._at
        duration = report.duration
        start = report.start
        stop = report.stop
        total = duration + start + stop
        if not total > 0.0:  # such a sum would not differ from the zeros that follow
            self.write(PASSED, report.when, (duration, start, stop))
            return
        _pack_passed(self._map, at, _NO_LENGTH[report.when], duration, start, stop, total)
        self._at = at + _PASSED_SIZE

    def _grow(self, size: int) -> bool:
        """Map what follows the last record, with room for so long a record, once on disk."""
        if not self._mine:
            return False
        at = self._begin + self._at
        begin = at // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        end = at + size + _CHUNK
        try:
            with self._path.open("r+b") as file:
                file.seek(max(self._end, at))
                file.write(bytes(end - file.tell()))
                file.flush()
                mapped = mmap.mmap(file.fileno(), end - begin, offset=begin)
        except OSError:
            return False
        if self._map is not None:
            self._map.close()
        self._map, self._begin, self._end, self._at = mapped, begin, end, at - begin
        self._room = end - begin - _HEAD.size - _PASSED_SIZE
        return True


class Reader:
    """Reads the records of one process as they come."""

    def __init__(self, path: Path) -> None:
        self.pid = pid_of(path.name)
        self._file = path.open("rb", buffering=0)
        self._at = 0
        self._tests: list[Record] = []  # a `START` for each that was listed

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    @property
    def bytes_read(self) -> int:
        """The size of all records that have been read."""
        return self._at

    def read(self) -> Iterator[Record]:
        """Yield what has come since the last call."""
        size = _READ_AT_ONCE
        while True:
            self._file.seek(self._at)
            data = self._file.read(size)
            at = 0
            record, end = self._record_at(data, at)
            while record is not None:
                yield record
                at = end
                record, end = self._record_at(data, at)
            self._at += at
            if len(data) < size:
                return  # the file is no longer than this
            if not at:
                if end <= size:
                    return  # nothing new, or not complete yet
                size = end

    def _record_at(self, data: bytes, at: int) -> tuple[Record | None, int]:
        """Return a record, if it is complete, and where it ends, as far as that is known."""
        begin = at + _HEAD.size
        if begin > len(data):
            return None, begin
        length, check = _HEAD.unpack_from(data, at)
        if length >= _LENGTHS:
            short = _NUMBERED if length == _NO_LENGTH_NUMBERED else _PASSED
            end = at + short.size
            return (self._short(data, at, length) if end <= len(data) else None), end
        end = begin + length
        written = data[begin:end]
        if not length or zlib.crc32(written) != check:
            return None, end
        record: Record = marshal.loads(written)
        if record[0] == TESTS:
            self._tests = [(START, *test) for test in zip(*record[1:], strict=True)]
        return record, end

    def _short(self, data: bytes, at: int, code: int) -> Record | None:
        if code == _NO_LENGTH_NUMBERED:
            _, number, check = _NUMBERED.unpack_from(data, at)
            return self._tests[number] if number + check == _MOST else None
        _, duration, start, stop, total = _PASSED.unpack_from(data, at)
        if not total or duration + start + stop != total:
            return None
        return PASSED, PHASES[code - _LENGTHS], (duration, start, stop)


def read_all(path: Path) -> list[Record]:
    """Return all records of a journal; none if there is no such file."""
    if not path.exists():
        return []
    reader = Reader(path)
    try:
        return list(reader.read())
    finally:
        reader.close()
