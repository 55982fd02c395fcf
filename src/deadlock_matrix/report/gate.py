"""Whether a comparison may pass: which changes fail, and which of those are expected."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from fnmatch import fnmatchcase

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.comparison import (
    Allowed,
    Change,
    Comparison,
    ExpectedChange,
    Gate,
    GateResult,
)
from deadlock_matrix.model.report import Report


def check_comparable(before: Report, after: Report) -> None:
    """Check that a gate over these two reports means something.

    Raises:
        ReportError: One of them has no controls.
    """
    for report, which in ((before, "old"), (after, "new")):
        if not report.controls:
            raise ReportError(
                f"a gate needs controls, and the {which} report, run {report.run}, has none: "
                "nothing shows that a deadlock would have been found; record it again with them"
            )


def check_versions(before: int, after: int) -> None:
    """Check that both reports were written with the same schema version.

    An older one can be read and compared, but what was not recorded then is unknown in it, so a
    gate would pass what nobody looked at.

    Raises:
        ReportError: The versions differ.
    """
    if before != after:
        raise ReportError(
            f"a gate needs reports of one schema version, and these have {before} and {after}: "
            "record the old one again with this deadlock-matrix, or compare without --gate"
        )


def judge(comparison: Comparison, gate: Gate, today: date) -> GateResult:
    """Say which changes fail the gate on the day ``today``, and which expectations do nothing."""
    expired = tuple(each for each in gate.expected if each.until < today)
    valid = tuple(each for each in gate.expected if each.until >= today)
    failed: list[Change] = []
    allowed: list[Allowed] = []
    for change in comparison.changes:
        if change.kind in gate.fail_on:
            expected = next((each for each in valid if covers(each, change)), None)
            if expected is None:
                failed.append(change)
            else:
                allowed.append(Allowed(change=change, expected=expected))
    spare = [each for each in valid if not any(covers(each, one) for one in comparison.changes)]
    known = _subjects(comparison)
    return GateResult(
        passed=not failed,
        judged=today,
        fail_on=gate.fail_on,
        failed=tuple(failed),
        allowed=tuple(allowed),
        expired=expired,
        passing=tuple(each for each in spare if _is_about(each, known)),
        idle=tuple(each for each in spare if not _is_about(each, known)),
    )


def covers(expected: ExpectedChange, change: Change) -> bool:
    """Return whether ``change`` is the one that is expected."""
    return expected.kind is change.kind and fnmatchcase(change.cell, expected.cell)


def _is_about(expected: ExpectedChange, subjects: Iterable[str]) -> bool:
    return any(fnmatchcase(subject, expected.cell) for subject in subjects)


def _subjects(comparison: Comparison) -> tuple[str, ...]:
    """Return everything that a change can be about: cells, interpreters, the run."""
    interpreters = (pair.after or pair.before for pair in comparison.interpreters)
    return (*comparison.cells, *interpreters, "")
