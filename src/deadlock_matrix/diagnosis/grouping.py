"""Many cells folded into one field of a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

import msgspec

from deadlock_matrix.diagnosis.cures import BASELINE
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict

# Worst first: what a reader must not miss if several verdicts share one field.
SEVERITY: tuple[Verdict, ...] = (
    Verdict.DEADLOCK,
    Verdict.HANG,
    Verdict.CRASH,
    Verdict.ERROR,
    Verdict.SLOW,
    Verdict.INVALID,
    Verdict.UNAVAILABLE,
    Verdict.OK,
)


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """The worst verdict of some cells, how many have it, and how many there are."""

    worst: Verdict
    count: int
    total: int
    unexpected: int

    @property
    def label(self) -> str:
        """``ok 3``, ``deadlock 1/4``; with ``!`` if any of the cells is not as expected."""
        counted = str(self.total) if self.count == self.total else f"{self.count}/{self.total}"
        return f"{self.worst.value} {counted}" + (" !" if self.unexpected else "")


def fold(results: Sequence[CellResult]) -> Field:
    """Fold at least one result into a field."""
    counts = Counter(result.verdict for result in results)
    worst = min(counts, key=SEVERITY.index)
    return Field(
        worst=worst,
        count=counts[worst],
        total=len(results),
        unexpected=sum(not result.as_expected for result in results),
    )


def grouped(
    results: Iterable[CellResult], key: Callable[[CellResult], str]
) -> dict[str, list[CellResult]]:
    """Group results by ``key``: the baseline first, the others in the order of the matrix."""
    groups: dict[str, list[CellResult]] = defaultdict(list)
    for result in results:
        groups[key(result)].append(result)
    order = sorted(groups, key=lambda name: name != BASELINE)
    return {name: groups[name] for name in order}


def interpreter_of(result: CellResult) -> str:
    """Return the interpreter's name."""
    return result.cell.interpreter.name


def profile_of(result: CellResult) -> str:
    """Return the profile's name."""
    return result.cell.profile.name


def layout_of(result: CellResult) -> str:
    """Return the layout's name."""
    return result.cell.layout.name


def entry_of(result: CellResult) -> str:
    """Return the entry's name."""
    return result.cell.entry.name


def by_severity(results: Iterable[CellResult]) -> list[CellResult]:
    """Sort worst first, and unexpected ones before expected ones."""
    return sorted(
        results,
        key=lambda result: (
            result.as_expected,
            SEVERITY.index(result.verdict),
            result.cell.id,
        ),
    )
