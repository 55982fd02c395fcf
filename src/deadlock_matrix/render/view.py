"""What all renderings of a report show alike: its interpreters, problems, controls and changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec

from deadlock_matrix.diagnosis.grouping import by_severity, grouped, interpreter_of
from deadlock_matrix.diagnosis.study.study import Study, findings_of, packages_of, tables_of
from deadlock_matrix.diagnosis.study.tables import Table
from deadlock_matrix.diagnosis.text import count, listed, one_line
from deadlock_matrix.model.comparison import Change, ChangeKind, Comparison, GateResult, Side
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.answer import never_ran
from deadlock_matrix.render.failure import reasons
from deadlock_matrix.render.headline import WORDS

PROBLEMS = "Not ok"
CAUSES = "Known causes"
UNAVAILABLE = "Not available"
CLAIMS = "Claims, and what was measured"
NOTES = "About this run"

_NUMBERS = re.compile(r"0x[0-9a-f]+|\b\d+\b")


class InterpreterView(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter on which cells ran; ``described`` is empty if nobody looked what it is."""

    name: str
    described: str
    findings: tuple[str, ...]
    results: tuple[CellResult, ...]


def interpreters(report: Report, studies: Sequence[Study]) -> Iterator[InterpreterView]:
    """Yield those on which any cell ran; a line of ``answer.unavailable`` names the others."""
    facts = {each.name: each for each in report.interpreters}
    missing = never_ran(report)
    for name, results in grouped(report.cells, interpreter_of).items():
        if name not in missing:
            yield interpreter(name, facts.get(name), results, studies)


def interpreter(
    name: str,
    facts: InterpreterFacts | None,
    results: Sequence[CellResult],
    studies: Sequence[Study],
) -> InterpreterView:
    """Return one interpreter with its results."""
    return InterpreterView(
        name=name,
        described=described(facts, studies) if facts is not None else "",
        findings=findings(facts, studies) if facts is not None else (),
        results=tuple(results),
    )


def described(facts: InterpreterFacts, studies: Sequence[Study]) -> str:
    """Return ``cpython 3.11.7, python.org, free-threaded, package 1.2``, or why it is unknown."""
    if not isinstance(facts.fingerprint, Known):
        return one_line(f"not identified, {facts.fingerprint.reason}")
    found = facts.fingerprint.value
    parts = [f"{found.implementation} {found.version}", found.distribution]
    parts += ["free-threaded"] * found.free_threaded
    parts += packages_of(found, studies)
    return one_line(", ".join(filter(None, parts)))


def findings(facts: InterpreterFacts, studies: Sequence[Study]) -> tuple[str, ...]:
    """Return what studies find worth knowing about an interpreter."""
    found = facts.fingerprint.or_else(None)
    return tuple(one_line(each.sentence) for each in findings_of(found, studies)) if found else ()


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Results with the same message but for ids and addresses; ``told`` is that of the first."""

    verdict: Verdict
    as_expected: bool
    told: tuple[str, ...]
    results: tuple[CellResult, ...]


def problems(results: Iterable[CellResult]) -> list[Problem]:
    """Return what did not come out ok, worst first; ``answer.unavailable`` has what did not run."""
    unshown = (Verdict.OK, Verdict.UNAVAILABLE)
    groups: dict[tuple[Verdict, bool, tuple[str, ...]], list[CellResult]] = {}
    shown = (each for each in results if each.verdict not in unshown or not each.as_expected)
    for each in by_severity(shown):
        alike = tuple(_NUMBERS.sub("#", line) for line in _told(each))
        groups.setdefault((each.verdict, each.as_expected, alike), []).append(each)
    return [
        Problem(
            verdict=verdict,
            as_expected=as_expected,
            told=_told(group[0]),
            results=tuple(group),
        )
        for (verdict, as_expected, _), group in groups.items()
    ]


def _told(result: CellResult) -> tuple[str, ...]:
    return (one_line(result.why), *reasons(result))


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """A control with its result; ``wrong`` is empty, or says what it should have been, and why."""

    result: CellResult
    wrong: str


def controls(report: Report) -> list[Control]:
    """Return the controls that were run; the summary names those that were not."""
    failed = frozenset(report.summary.controls_failed)
    return [
        Control(result=each, wrong=_wrong(each) if each.cell.id in failed else "")
        for each in report.controls
    ]


def _wrong(result: CellResult) -> str:
    expected = listed([verdict.value for verdict in result.cell.expect], "or")
    return f"must be {expected}: {one_line(result.why)}"


def tables_by_title(report: Report, studies: Sequence[Study]) -> Iterator[tuple[str, list[Table]]]:
    """Yield the tables of studies, those with the same title together."""
    for title, alike in groupby(tables_of(report, studies), lambda table: table.title):
        yield title, list(alike)


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """The same change in several cells, and whether it fails the gate, or the gate expects it."""

    kind: ChangeKind
    sentence: str
    fails: bool
    expected: bool
    changes: tuple[Change, ...]


def changed(comparison: Comparison, gate: GateResult | None = None) -> list[Changed]:
    """Return the changes, worst first."""
    failed = frozenset(gate.failed) if gate is not None else frozenset[Change]()
    allowed = frozenset(each.change for each in gate.allowed) if gate is not None else frozenset()
    groups: dict[tuple[ChangeKind, str, bool, bool], list[Change]] = {}
    for each in comparison.changes:
        key = each.kind, each.sentence, each in failed, each in allowed
        groups.setdefault(key, []).append(each)
    return [
        Changed(
            kind=kind, sentence=one_line(sentence), fails=fails, expected=expected,
            changes=tuple(group),
        )
        for (kind, sentence, fails, expected), group in groups.items()
    ]  # fmt: skip


def how_much_changed(comparison: Comparison) -> str:
    """Return ``3 cells changed, 40 not``."""
    cells = len({change.cell for change in comparison.changes if "/" in change.cell})
    return f"{count(cells, 'cell')} changed, {comparison.unchanged} not"


def described_side(of: Side) -> str:
    """Return ``RUN of 2 runs, 40 results, as expected``."""
    runs = f" of {count(len(of.runs), 'run')}" if len(of.runs) > 1 else ""
    return one_line(f"{of.run}{runs}, {count(of.cells, 'result')}, {WORDS[of.outcome]}")


def verdicts(numbers: dict[str, int]) -> str:
    """Return ``ok 12, hang 1``; empty if nothing was run."""
    return ", ".join(f"{verdict} {number}" for verdict, number in numbers.items())
