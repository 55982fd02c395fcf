"""What a pytest process does, in a file that outlives it: written inside, read outside.

A record is a length of four bytes and a tuple in ``marshal``'s format: writer and reader are the
same interpreter. Each record is one ``write`` to a file opened for appending, so a killed writer
leaves whole records, and it costs a microsecond or two: there are four for every test.
"""

from __future__ import annotations

import contextlib
import marshal
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

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
FINISHING = "finishing"  # (exit status,)             all tests are done, reports are being written
ENDING = "ending"  # ()                               pytest is done, the interpreter ends

Record = tuple[Any, ...]
"""A kind, and what belongs to it; see the constants."""

_LENGTH = 4


class Writer:
    """Appends records of this process. A child that a test forks has the file open too, and is
    not this process: what it calls is not written."""

    def __init__(self, folder: Path) -> None:
        self._pid = os.getpid()
        path = folder / f"{self._pid}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, *record: Any) -> None:
        """Write one record."""
        if os.getpid() != self._pid:
            return
        data = marshal.dumps(record)
        # A test may have closed a descriptor that it did not open, or filled the disk.
        with contextlib.suppress(OSError):
            os.write(self._file, len(data).to_bytes(_LENGTH, "little") + data)


class Reader:
    """Reads the records of one process as they come."""

    def __init__(self, path: Path) -> None:
        self.pid = int(path.name.removesuffix(SUFFIX))
        self._file = path.open("rb")
        self._rest = b""

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def read(self) -> Iterator[Record]:
        """What has come since the last call."""
        data = self._rest + self._file.read()
        at = 0
        while len(data) >= at + _LENGTH:
            end = at + _LENGTH + int.from_bytes(data[at : at + _LENGTH], "little")
            if len(data) < end:
                break
            yield marshal.loads(data[at + _LENGTH : end])
            at = end
        self._rest = data[at:]


def read_all(path: Path) -> list[Record]:
    """All records of a journal; none if there is no such file."""
    if not path.exists():
        return []
    reader = Reader(path)
    try:
        return list(reader.read())
    finally:
        reader.close()


class Position(NamedTuple):
    """Where a pytest process is: ``test`` is empty outside of tests."""

    test: str
    location: tuple[str, int | None, str]
    doing: str  # "in the call of", "collecting", ...: reads well before the name of the test

    @property
    def is_busy(self) -> bool:
        """Whether it has something to do; a worker between two tests waits for the next."""
        return self.doing.startswith(("in the", "collecting", "loading"))

    def __str__(self) -> str:
        return f"{self.doing} {self.test}".strip()


BEGINNING = Position("", ("", None, ""), "loading plugins and conftest files")
_NEXT_PHASE = {"setup": "in the call of", "call": "in the teardown of", "teardown": "after"}


def follow(position: Position, record: Record) -> Position:
    """Where a process is after ``record``."""
    kind = record[0]
    if kind == START:
        return Position(record[1], tuple(record[2]), "in the setup of")
    if kind == PASSED:
        return position._replace(doing=_NEXT_PHASE[record[1]])
    if kind == REPORT:
        return position._replace(doing=_NEXT_PHASE.get(record[2], position.doing))
    if kind == COLLECTING:
        return Position("", (record[1], None, record[1]), f"collecting {record[1] or 'tests'}")
    if kind == RUNNING:
        return Position("", ("", None, ""), "between collection and the first test")
    if kind == FINISHING:
        return position._replace(doing="at the end of the session, after", test=position.test)
    if kind == ENDING:
        return Position("", ("", None, ""), "at exit, after pytest had finished")
    return position
