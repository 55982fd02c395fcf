"""What a pytest process does, in a file that outlives it: written inside, read outside.

The file is mapped into the writer's memory. So a record costs no system call, it stays when its
writer is killed, and no descriptor is open that a test could close. A record is its length, a
checksum, and a tuple in ``marshal``'s format: writer and reader are the same interpreter. The
length is written last, and the checksum is there for processors that let others see it first. Zeros
follow the last record.

Most records say that a phase passed, three for every test. Those consist only of numbers: instead
of the length, one that no record has; the phase's three times; and their sum as a checksum. (A
change that does not alter the sum is less than a microsecond.)
"""

from __future__ import annotations

import marshal
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

SUFFIX = ".journal"

LOADING = "loading"  # ()                             plugins and conftest files are being imported
COLLECTING = "collecting"  # (nodeid,)                this module, class or folder is collected
RUNNING = "running"  # ()                             collection is over
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
_NO_LENGTH = {phase: 0xFFFFFF00 + number for number, phase in enumerate(PHASES)}
_LENGTHS = _NO_LENGTH[PHASES[0]]  # are below

_CHUNK = 1 << 18
"""The file grows by this many bytes. They are written, as a hole would end the process with SIGBUS
if the disk is full.
"""

_READ_AT_ONCE = 1 << 14


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

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}{SUFFIX}"
        self._path.touch(mode=0o600)
        self._map: mmap.mmap | None = None
        self._begin = self._end = 0  # of the mapped part, in the file
        self._at = 0  # in the mapped part
        self._room = 0  # records that end before here leave room for the zeros
        self._mine = True
        os.register_at_fork(after_in_child=self.let_go)

    def let_go(self) -> None:
        """Write nothing any more."""
        self._mine = False
        self._map = None
        self._room = 0

    def write(self, *record: Any) -> None:
        """Write one record; what the disk has no room for is lost."""
        data = marshal.dumps(record)
        size = _HEAD.size + len(data)
        if self._at + size > self._room and not self._grow(size):
            return
        assert self._map is not None
        begin = self._at + _HEAD.size
        end = self._at + size
        self._map[begin:end] = data
        _HEAD.pack_into(self._map, self._at, len(data), zlib.crc32(data))
        self._at = end

    def passed(self, report: Phase) -> None:
        """Write ``(PASSED, when, (duration, start, stop))``, in half the time."""
        at = self._at
        if at + _PASSED_SIZE > self._room:
            if not self._grow(_PASSED_SIZE):
                return
            at = self._at
        duration = report.duration
        start = report.start
        stop = report.stop
        total = duration + start + stop
        if not total > 0:  # such a sum would not differ from the zeros that follow
            self.write(PASSED, report.when, (duration, start, stop))
            return
        _pack_passed(self._map, at, _NO_LENGTH[report.when], duration, start, stop, total)
        self._at = at + _PASSED_SIZE

    def _grow(self, size: int) -> bool:
        """Map what follows the last record, with room for this many bytes, once on disk."""
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
        self._room = end - begin - _HEAD.size
        return True


class Reader:
    """Reads the records of one process as they come."""

    def __init__(self, path: Path) -> None:
        self.pid = int(path.name.removesuffix(SUFFIX))
        self._file = path.open("rb", buffering=0)
        self._at = 0

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
            record, end = _record_at(data, at)
            while record is not None:
                yield record
                at = end
                record, end = _record_at(data, at)
            self._at += at
            if len(data) < size:
                return  # the file is no longer than this
            if not at:
                if end <= size:
                    return  # nothing new, or not complete yet
                size = end


def _record_at(data: bytes, at: int) -> tuple[Record | None, int]:
    """Return a record, if it is complete, and where it ends, as far as that is known."""
    begin = at + _HEAD.size
    if begin > len(data):
        return None, begin
    length, check = _HEAD.unpack_from(data, at)
    if length >= _LENGTHS:
        end = at + _PASSED_SIZE
        if end > len(data):
            return None, end
        code, duration, start, stop, total = _PASSED.unpack_from(data, at)
        if not total or duration + start + stop != total:
            return None, end
        return (PASSED, PHASES[code - _LENGTHS], (duration, start, stop)), end
    end = begin + length
    record = data[begin:end]
    if not length or zlib.crc32(record) != check:
        return None, end
    return marshal.loads(record), end


def read_all(path: Path) -> list[Record]:
    """Return all records of a journal; none if there is no such file."""
    if not path.exists():
        return []
    reader = Reader(path)
    try:
        return list(reader.read())
    finally:
        reader.close()


class Position(NamedTuple):
    """Where a pytest process is: ``test`` is empty outside tests."""

    test: str
    location: tuple[str, int | None, str]
    doing: str  # "in the call of", "collecting", ...: reads well before the name of the test

    @property
    def is_busy(self) -> bool:
        """Whether it has something to do; a worker between two tests waits for the next."""
        return self.doing.startswith(("in the", "collecting", "loading")) or self.is_finishing

    @property
    def waits_for_a_person(self) -> bool:
        """Whether it waits at the prompt of a debugger."""
        return self.doing.startswith(AT_A_PROMPT)

    @property
    def is_finishing(self) -> bool:
        """Whether its tests are done, and it writes reports."""
        return self.doing.startswith("at the end")

    def __str__(self) -> str:
        return f"{self.doing} {self.test}".strip()


BEGINNING = Position("", ("", None, ""), "loading plugins and conftest files")
HANDING_OUT = Position("", ("", None, ""), "handing out tests to workers")
AT_A_PROMPT = "at the prompt of a debugger, "
_NEXT_PHASE = {"setup": "in the call of", "call": "in the teardown of", "teardown": "after"}


def follow(position: Position, record: Record) -> Position:
    """Return where a process is after ``record``."""
    kind = record[0]
    if kind == DISTRIBUTING or (position == HANDING_OUT and kind != FINISHING):
        return HANDING_OUT  # tests begin and end elsewhere
    if kind == START:
        return Position(record[1], tuple(record[2]), "in the setup of")
    if kind == PASSED:
        return position._replace(doing=_NEXT_PHASE.get(record[1], position.doing))
    if kind == REPORT:
        return position._replace(doing=_NEXT_PHASE.get(record[2], position.doing))
    if kind == COLLECTING:
        return Position("", (record[1], None, record[1]), f"collecting {record[1] or 'tests'}")
    if kind == RUNNING:
        return Position("", ("", None, ""), "between collection and the first test")
    if kind == PROMPTING and not position.waits_for_a_person:
        return position._replace(doing=AT_A_PROMPT + position.doing)
    if kind == GOING_ON:
        return position._replace(doing=position.doing.removeprefix(AT_A_PROMPT))
    if kind == FINISHING:
        after = ", after" if position.test else ""
        return position._replace(doing=f"at the end of the session{after}")
    if kind == ENDING:
        return Position("", ("", None, ""), "at exit, after pytest had finished")
    return position
