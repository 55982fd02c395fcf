"""Compare two reports."""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.comparison import (
    Change,
    ChangeKind,
    Comparison,
    InterpreterPair,
    Limits,
    Side,
)
from deadlock_matrix.model.report import Report
from deadlock_matrix.report.compare.imports import compare_imports
from deadlock_matrix.report.compare.interpreters import compare_interpreter
from deadlock_matrix.report.compare.pairing import (
    Point,
    pair_cells,
    pair_interpreters,
    verdicts_of,
)
from deadlock_matrix.report.compare.times import compare_times, times_of
from deadlock_matrix.report.compare.verdicts import compare_definitions, compare_verdicts, told

_ORDER = {kind: at for at, kind in enumerate(ChangeKind)}


def compare(before: Report, after: Report, limits: Limits | None = None) -> Comparison:
    """Return what is different in ``after``: behaviour, times, cells, interpreters, validity.

    Raises:
        ReportError: The two have different schema versions, so their facts do not compare.
    """
    if before.schema_version != after.schema_version:
        raise ReportError(
            f"the reports have schema versions {before.schema_version} and {after.schema_version}, "
            "which cannot be compared: read both with the same deadlock-matrix"
        )
    limits = limits or Limits()
    pairs = pair_interpreters(before, after)
    points = pair_cells(before, after, pairs)
    changes = [
        *_validity(before, after),
        *(change for pair in pairs for change in compare_interpreter(pair)),
        *(change for point in points for change in _compare_point(point, limits)),
    ]
    touched = {change.cell for change in changes}
    times = [found for point in points if (found := times_of(point)).comparable]
    return Comparison(
        before=_side(before),
        after=_side(after),
        interpreters=tuple(
            InterpreterPair(
                before=pair.before.name if pair.before else "",
                after=pair.after.name if pair.after else "",
                verdicts_before=verdicts_of(before, pair.before),
                verdicts_after=verdicts_of(after, pair.after),
            )
            for pair in pairs
        ),
        changes=tuple(sorted(changes, key=_key)),
        cells=tuple(point.id for point in points if told(point.after)),
        unchanged=sum(point.id not in touched for point in points),
        timed=len(times),
        too_few=sum(found.too_few(limits) for found in times),
        limits=limits,
    )


def _compare_point(point: Point, limits: Limits) -> Iterator[Change]:
    yield from compare_definitions(point)
    yield from compare_verdicts(point, limits)
    yield from compare_imports(point)
    yield from compare_times(point, limits)


def _validity(before: Report, after: Report) -> Iterator[Change]:
    for report, which in ((before, "old"), (after, "new")):
        if not report.controlled:
            yield Change(
                kind=ChangeKind.INVALID,
                cell="",
                before=_controls(before),
                after=_controls(after),
                sentence=f"the {which} report is invalid, so the comparison proves nothing: "
                f"{_fault(report)}",
            )


def _controls(report: Report) -> str:
    return "controls right" if report.controlled else "controls wrong"


def _fault(report: Report) -> str:
    summary = report.summary
    failed, missing = summary.controls_failed, summary.controls_missing
    if failed:
        return f"control {failed[0]} failed" + _more(len(failed))
    if missing:
        return f"control {missing[0]} was not run" + _more(len(missing))
    return "no control was run"


def _more(number: int) -> str:
    return f", and {number - 1} more" if number > 1 else ""


def _side(report: Report) -> Side:
    return Side(
        run=report.run,
        started=report.started,
        runs=tuple(part.run for part in report.merged) or (report.run,),
        hosts=report.hosts,
        tool=report.tool,
        outcome=report.outcome,
        cells=len(report.cells),
    )


def _key(change: Change) -> tuple[int, str, str]:
    return _ORDER[change.kind], change.sentence, change.cell
