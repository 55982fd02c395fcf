"""Results of a large report whose observations stay in its file until they are needed.

To merge reports takes only what each result is of, and its verdict. So the observation of a
healthy result, nearly all of its bytes, is replaced by its place in the file, and read again when
the result is written. What is rarely met stays in memory: results with evidence or a judgement,
reports of an older version, and runs that were killed.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.fact import Aside, Known, Unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.report.decoding import DAMAGE
from deadlock_matrix.report.sharing import SharingDecoder

_REASON = "it is still in the file of its report"


class Shelved(Unknown, frozen=True, kw_only=True, gc=False):
    """Where an observation is: the result's first byte in the file, and how many there are."""

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
        self._decoder = SharingDecoder(CellResult)
        weakref.finalize(self, os.close, self._file)

    def put(self, results: Sequence[CellResult], places: Sequence[int]) -> list[CellResult]:
        """Return the same results without what is in the file anyway.

        Args:
            results: Some that stand one after another in the file.
            places: Where each begins, and where the last one ends.
        """
        return [
            replace(
                result,
                observation=Shelved(
                    reason=_REASON, shelf=self, at=places[at], size=places[at + 1] - places[at]
                ),
            )
            if _is_plain(result)
            else result
            for at, result in enumerate(results)
        ]

    def take(self, result: CellResult, shelved: Shelved) -> CellResult:
        """Return a result with its observation.

        Raises:
            ReportError: The file has been changed since, or cannot be read.
        """
        try:
            os.lseek(self._file, shelved.at, os.SEEK_SET)
            raw = os.read(self._file, shelved.size)
            found = self._decoder.decode(raw[: raw.rfind(b"}") + 1])  # a comma may follow it
        except OSError as error:
            raise ReportError(f"{self._name} cannot be read: {error.strerror}") from error
        except DAMAGE:
            found = None
        if found is None or (found.verdict, found.why) != (result.verdict, result.why):
            raise ReportError(f"{self._name} was changed while it was read")
        return replace(result, observation=found.observation)


def complete(result: CellResult) -> CellResult:
    """Return a result with its observation, wherever that is.

    Raises:
        ReportError: It is in a file that has been changed, or cannot be read.
    """
    found = result.observation
    if not isinstance(found, Shelved):
        return result
    taken: CellResult = found.shelf.take(result, found)
    return taken


def _is_plain(result: CellResult) -> bool:
    """Return whether a result has an observation, and nothing that a merge looks at in it."""
    if not isinstance(result.observation, Known) or result.judgement is not None:
        return False
    return not isinstance(result.observation.value.evidence, Known | Aside)
