"""The first lines of every rendering: how the run came out, how much was run, and where.

Only one outcome may use the words "valid" and "as expected" and the colour green.
"""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.diagnosis.text import count, one_line, seconds
from deadlock_matrix.model.fact import Unknown
from deadlock_matrix.model.outcome import RunEnd, RunOutcome
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict

WORDS: dict[RunOutcome, str] = {
    RunOutcome.NOT_WRITTEN: "not written",
    RunOutcome.INTERRUPTED: "interrupted",
    RunOutcome.CONTROLS_WRONG: "controls wrong",
    RunOutcome.INCOMPLETE: "incomplete",
    RunOutcome.NOTHING_RAN: "nothing ran",
    RunOutcome.UNEXPECTED: "unexpected",
    RunOutcome.AS_EXPECTED: "valid",
}
"""How the first line begins."""

STYLES: dict[RunOutcome, str] = {
    RunOutcome.NOT_WRITTEN: "bold white on red",
    RunOutcome.INTERRUPTED: "bold yellow",
    RunOutcome.CONTROLS_WRONG: "bold magenta",
    RunOutcome.INCOMPLETE: "bold cyan",
    RunOutcome.NOTHING_RAN: "bold blue",
    RunOutcome.UNEXPECTED: "bold red",
    RunOutcome.AS_EXPECTED: "bold green",
}
"""Colours on a terminal; the page's style sheet has the same ones."""

MARKS: dict[RunOutcome, str] = {
    RunOutcome.NOT_WRITTEN: "💾",
    RunOutcome.INTERRUPTED: "✋",
    RunOutcome.CONTROLS_WRONG: "⛔",
    RunOutcome.INCOMPLETE: "⚠️",
    RunOutcome.NOTHING_RAN: "⚪",
    RunOutcome.UNEXPECTED: "❌",
    RunOutcome.AS_EXPECTED: "✅",
}
"""What Markdown uses instead of colours."""


def headline(report: Report) -> tuple[str, ...]:
    """Return how the run came out, in one line; then its name, how much was done, and where."""
    summary = report.summary
    where = "; ".join(
        f"{host.system} {host.machine}, {count(host.cores, 'core')}" for host in report.hosts
    )
    done = f"{summary.cells} of {count(report.planned, 'cell')} in {seconds(report.duration_s)}"
    return (
        one_line(f"{WORDS[report.outcome]}: {'; '.join(_sentences(report))}"),
        f"run {one_line(report.run)}: {done}",
        f"on {where}, by {report.tool.name} {report.tool.version}",
    )


def _sentences(report: Report) -> Iterator[str]:
    """Yield the reasons for the outcome, and whatever else keeps the run from being a success."""
    outcome = report.outcome
    if outcome is RunOutcome.AS_EXPECTED:
        yield f"all cells as expected, {count(report.summary.controls, 'control')} right"
        yield from _missing(report)
        return
    bad = f"{report.summary.unexpected} of {count(len(report.cells), 'cell')} not as expected"
    if outcome is RunOutcome.UNEXPECTED:
        yield f"{bad}, {count(report.summary.controls, 'control')} right"
        yield from _missing(report)
        return
    yield from _unwritten(report)
    yield from _fragment(report)
    yield from _controls(report)
    if outcome is RunOutcome.NOTHING_RAN:
        yield "no cell could be run" if report.cells else "no cell was to be run"
    elif report.summary.unexpected:
        yield bad


def _unwritten(report: Report) -> Iterator[str]:
    unwritten = report.summary.unwritten
    results = {each.cell.id for each in (*report.cells, *report.controls)}
    lost = [name for name in unwritten if name in results]
    files = [name for name in unwritten if name not in results]
    reasons = ", ".join(dict.fromkeys(unwritten.values()))
    if lost:
        yield f"{len(lost)} of {count(len(results), 'result')} could not be saved ({reasons})"
    if files:
        yield f"{', '.join(files)} could not be saved ({reasons})"


def _fragment(report: Report) -> Iterator[str]:
    """Yield how much there is of an incomplete run, and what ended it."""
    summary = report.summary
    ended = summary.ended.or_else(None)
    if summary.complete and ended in (None, RunEnd.FINISHED):
        return
    if report.cells and summary.cells >= report.planned:
        yield "all cells done"
    else:
        yield f"{summary.cells} of {count(report.planned, 'cell')} done"
    if ended is RunEnd.STOPPED:
        yield "it was stopped early, by an option or a test"
    elif ended is RunEnd.BROKEN:
        yield "the test runner failed"
    elif isinstance(summary.ended, Unknown) and not summary.complete:
        yield summary.ended.reason


def _controls(report: Report) -> Iterator[str]:
    summary = report.summary
    if summary.controls_failed:
        failed = len(summary.controls_failed)
        yield f"{failed} of {count(summary.controls, 'control')} failed"
    if summary.controls_missing:
        yield f"{count(len(summary.controls_missing), 'control')} not run"
    if report.controlled:
        return
    if not report.controls and not summary.controls_missing:
        yield "no control was run"
    if report.outcome is not RunOutcome.NOTHING_RAN:
        yield "the results prove nothing"


def _missing(report: Report) -> Iterator[str]:
    missing = report.summary.verdicts.get(Verdict.UNAVAILABLE.value, 0)
    if missing:
        yield f"{missing} of {count(len(report.cells), 'cell')} could not be run"
