"""Finished cells, one a line, on disk before the next one starts.

Each worker process has its own file, so no line is ever interleaved with another, and whatever is
killed, in whatever way, every finished cell can be read afterwards. Evidence is written beside the
journals first, then the line that refers to it, so whoever reads a line finds its evidence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import msgspec

from deadlock_matrix.closing import Closing
from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.report.decoding import DAMAGE, collector_off, explain
from deadlock_matrix.report.files import open_bounded
from deadlock_matrix.report.json_text import encode
from deadlock_matrix.report.sharing import SharingDecoder
from deadlock_matrix.report.side_files import SideFiles
from deadlock_matrix.report.stretches import stretches

JOURNAL_FOLDER = "journal"
MAX_JOURNAL_BYTES = 1 << 34
BLOCK_BYTES = 1 << 18
"""How many bytes to decode at once."""


_LINE_END = re.compile(rb"\n")
_decode_result = msgspec.json.Decoder(CellResult).decode


class Journal(Closing):
    """Appends results to ``journal/<worker>.jsonl`` in a run's folder. Close it, or use ``with``.

    Raises:
        ReportError: The file cannot be made or written, or a result is not what its type says, so
            that nobody could read it.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        self.path = folder / JOURNAL_FOLDER / f"{worker}.jsonl"
        self._side_files = SideFiles(folder)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._number = os.open(self.path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise ReportError(f"{self.path} cannot be opened: {error.strerror}") from error
        self._mend()

    def append(self, result: CellResult) -> None:
        """Write one line with one system call, and wait until it is on disk."""
        self._write(self._line(result))

    def extend(self, results: Iterable[CellResult]) -> None:
        """Write results that are in another run's journal too: one wait for the disk is enough."""
        self._write(b"".join(map(self._line, results)))

    def close(self) -> None:
        """Close the file; may be called again."""
        if self._number >= 0:
            os.close(self._number)
            self._number = -1

    def _line(self, result: CellResult) -> bytes:
        # Constructors check nothing, so what is written is read back; evidence separately.
        try:
            line = encode(self._side_files.put(result))
            _decode_result(line)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            raise ReportError(f"the result of {result.cell.id} is ill-formed: {error}") from error
        return line + b"\n"

    def _write(self, line: bytes) -> None:
        before = os.fstat(self._number).st_size
        try:
            written = os.write(self._number, line)
            while written < len(line):  # a full disk, or a signal in the middle of a long line
                written += os.write(self._number, line[written:])
            os.fsync(self._number)
        except OSError as error:
            with suppress(OSError):  # half a line would spoil the one after it
                os.ftruncate(self._number, before)
            raise ReportError(f"{self.path} cannot be written: {error.strerror}") from error

    def _mend(self) -> None:
        """End a line in the middle of which an earlier process of the same name was killed."""
        size = os.fstat(self._number).st_size
        if size == 0:
            return
        with self.path.open("rb") as file:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                self._write(b"\n")


class Unwritten(msgspec.Struct, frozen=True, kw_only=True):
    """A result that could not be written, without its evidence, and the reason."""

    result: CellResult
    reason: str


def unwritten(result: CellResult, error: ReportError) -> Unwritten:
    """Keep what is left of a result after `Journal.append` failed: small enough to pass on."""
    cause = error.__cause__
    reason = cause.strerror if isinstance(cause, OSError) else None
    reason = reason or "it is not what its type says"
    seen = result.observation
    if isinstance(seen, Known) and isinstance(seen.value.evidence, Known):
        aside = unknown(f"it could not be written: {reason}")
        observation = msgspec.structs.replace(seen.value, evidence=aside)
        result = msgspec.structs.replace(result, observation=known(observation, seen.source))
    return Unwritten(result=result, reason=reason)


class JournalContents(msgspec.Struct, frozen=True, kw_only=True):
    """Results in the order they were written, and one sentence for each damaged line."""

    results: tuple[CellResult, ...]
    damaged: tuple[str, ...]


def read_journal(path: Path) -> JournalContents:
    """Read one worker's file. A damaged line is reported and costs no other line.

    Raises:
        ReportError: The file cannot be read at all.
    """
    return _read(path, SharingDecoder(CellResult))


def _read(path: Path, decoder: SharingDecoder[CellResult]) -> JournalContents:
    results: list[CellResult] = []
    damaged: list[str] = []
    number = 0
    with open_bounded(path, MAX_JOURNAL_BYTES) as file, collector_off():
        for stretch in stretches(file, _last_line_end, BLOCK_BYTES, MAX_JOURNAL_BYTES):
            found = _one_a_line(stretch[1:], decoder)
            if found is not None:
                results += found
                number += len(found)
                continue
            for line in BytesIO(stretch[1:]):
                number += 1
                if line == b"\n":
                    continue
                try:
                    results.append(decoder.decode(line))
                except DAMAGE as error:
                    damaged.append(_damage(path, number, line, error))
    return JournalContents(results=tuple(results), damaged=tuple(damaged))


def _last_line_end(buffer: bytearray, begin: int, end: int) -> int:
    return buffer.rfind(b"\n", begin, end) + 1


def _one_a_line(data: memoryview, decoder: SharingDecoder[CellResult]) -> list[CellResult] | None:
    """Decode the results in some lines at once; return ``None`` if there is not one in each."""
    with suppress(*DAMAGE):
        found = decoder.decode_lines(data)
        if len(found) == sum(1 for _ in _LINE_END.finditer(data)):
            return found
    return None


def _damage(path: Path, number: int, line: bytes, error: Exception) -> str:
    cut = "" if line.endswith(b"\n") else " (the process was ended while it wrote it)"
    said = explain(_whole_error(line, error), line, "result")
    return f"{path.name}: line {number} is not a result{cut}: it {said}"


def _whole_error(line: bytes, error: Exception) -> Exception:
    """Return what is wrong with a line, at the place counted in the whole line."""
    try:
        msgspec.json.decode(line, type=CellResult)
    except DAMAGE as again:
        return again
    return error


def read_journals(folder: Path) -> JournalContents:
    """Read all journals of the run in ``folder``, by name of the worker."""
    decoder = SharingDecoder(CellResult)
    parts = [_read(path, decoder) for path in sorted((folder / JOURNAL_FOLDER).glob("*.jsonl"))]
    return JournalContents(
        results=tuple(result for part in parts for result in part.results),
        damaged=tuple(sentence for part in parts for sentence in part.damaged),
    )
