"""Results of a large report whose text stays in its file until it is copied into another.

To merge reports takes only what each result is of, and its verdict. So the observation of a
healthy result, nearly all of its bytes, is replaced by its place in the file, and copied from there
when the result is written. What is rarely met stays in memory: results with evidence or a
judgement, runs that were killed, and reports that are not written as we write them.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fact import Aside, Known, Unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.report.decoding import DAMAGE
from deadlock_matrix.report.json_text import encode, harmless

_REASON = "it is still in the file of its report"


class Shelved(Unknown, frozen=True, kw_only=True, gc=False):
    """Where an observation is: the first byte after the result's cell in the file, and how many.

    Other fields of the result may follow it there.
    """

    shelf: Any
    at: int
    size: int


class Shelf:
    """One report's file, which stays open as long as there are results that refer to it."""

    def __init__(self, number: int, name: str) -> None:
        """Keep a file open.

        Args:
            number: A descriptor of it, which stays the caller's.
            name: For messages.
        """
        self._file = os.dup(number)
        self._name = name
        self._state = self._look()
        weakref.finalize(self, os.close, self._file)

    def put(
        self, results: Sequence[CellResult], places: Sequence[int], text: memoryview
    ) -> list[CellResult]:
        """Return the same results without what is in the file anyway.

        Args:
            results: Some that stand one after another in the file.
            places: Where each begins, and where the last one ends.
            text: All of them.
        """
        kept = []
        for number, result in enumerate(results):
            begin, end = places[number], places[number + 1]
            if _is_plain(result):
                cell = text_of_cell(result.cell)
                head = cell + _after_cell(result)
                if text[begin - places[0] :][: len(head)] == head:
                    at = begin + len(cell)
                    shelved = Shelved(reason=_REASON, shelf=self, at=at, size=end - at)
                    result = replace(result, observation=shelved)
            kept.append(result)
        return kept

    def take(self, result: CellResult, shelved: Shelved) -> bytes:
        """Return the text of a result from the end of its cell.

        Raises:
            ReportError: The file has been changed since, or cannot be read.
        """
        try:
            os.lseek(self._file, shelved.at, os.SEEK_SET)
            raw = os.read(self._file, shelved.size)
            changed = len(raw) < shelved.size or self._look() != self._state
            text = harmless(raw[: raw.rfind(b"}") + 1])  # a comma may follow it
        except OSError as error:
            raise ReportError(f"{self._name} cannot be read: {error.strerror}") from error
        except DAMAGE:
            changed, text = True, b""
        if changed or not text.startswith(_after_cell(result)):
            raise ReportError(f"{self._name} was changed while it was read")
        return text

    def _look(self) -> tuple[int, int]:
        status = os.fstat(self._file)
        return status.st_size, status.st_mtime_ns


def text_of(result: CellResult) -> bytes:
    """Return a result as it stands in a report, wherever its observation is.

    Raises:
        ReportError: It is in a file that has been changed, or cannot be read.
    """
    found = result.observation
    if isinstance(found, Shelved):
        return text_of_cell(result.cell) + bytes(found.shelf.take(result, found))
    return encode(result, indent=1, order="deterministic").replace(b"\n", b"\n  ")


def text_of_cell(cell: Cell) -> bytes:
    """Return the beginning of a result's text: all of its cell."""
    text = encode(cell, indent=1, order="deterministic").replace(b"\n", b"\n   ")
    return b'{\n   "cell": ' + text


def _after_cell(result: CellResult) -> bytes:
    return b',\n   "verdict": %b,\n   "why": %b,' % (encode(result.verdict), encode(result.why))


def _is_plain(result: CellResult) -> bool:
    """Return whether a result has an observation, and nothing that a merge looks at in it."""
    if not isinstance(result.observation, Known) or result.judgement is not None:
        return False
    return not isinstance(result.observation.value.evidence, Known | Aside)
