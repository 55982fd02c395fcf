"""Counts, and whether a run proves anything at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from deadlock_matrix.model.fact import Known, Unknown, unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.outcome import RunEnd
from deadlock_matrix.model.report import Summary
from deadlock_matrix.model.verdict import Verdict

NO_END = unknown("no end of the run was recorded: it was killed, or is still running")
_WORST_FIRST = (RunEnd.INTERRUPTED, RunEnd.BROKEN, RunEnd.STOPPED, RunEnd.FINISHED)


def summarise(
    cells: Sequence[CellResult],
    controls: Sequence[CellResult],
    planned_cells: Iterable[str],
    planned_controls: Iterable[str] = (),
    *,
    ended: Known[RunEnd] | Unknown = NO_END,
    unwritten: Mapping[str, str] = MappingProxyType({}),
) -> Summary:
    """Count what came out, against the ids of what was planned; say what ended the run.

    A control fails if its verdict is not the one it must have. One that is unavailable fails too,
    unless its interpreter could run nothing: a matrix that ran without its controls is not
    controlled. For the same reason planned controls without a result are named.
    """
    answering = {
        result.cell.interpreter.name
        for result in cells
        if result.verdict is not Verdict.UNAVAILABLE
    }
    done_controls = {result.cell.id for result in controls}
    expected_controls = set(planned_controls)
    done = {result.cell.id for result in cells} | done_controls
    return Summary(
        cells=len(cells),
        verdicts=_ordered(Counter(result.verdict for result in cells)),
        unexpected=sum(not result.as_expected for result in cells),
        controls=len(controls),
        controls_failed=tuple(
            sorted(result.cell.id for result in controls if _fails(result, answering))
        ),
        controls_missing=tuple(sorted(expected_controls - done_controls)),
        complete=done >= set(planned_cells) | expected_controls,
        ended=ended,
        unwritten=dict(unwritten),
    )


def end_of_all(summaries: Iterable[Summary]) -> Known[RunEnd] | Unknown:
    """Return what ended several runs together: the worst end of any; unknown if one end is."""
    ends = [summary.ended for summary in summaries]
    for worst in _WORST_FIRST[:-1]:
        for end in ends:
            if isinstance(end, Known) and end.value is worst:
                return end
    return next((end for end in ends if isinstance(end, Unknown)), ends[0] if ends else NO_END)


def _fails(control: CellResult, answering: set[str]) -> bool:
    if control.verdict in control.cell.expect:
        return False
    unavailable = control.verdict is Verdict.UNAVAILABLE
    return not unavailable or control.cell.interpreter.name in answering


def _ordered(counts: Counter[Verdict]) -> dict[str, int]:
    return {verdict.value: counts[verdict] for verdict in Verdict if counts[verdict]}
