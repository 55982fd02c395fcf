"""A report on a terminal of 80 columns, with colour or without."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from deadlock_matrix.diagnosis.causes import Cause
from deadlock_matrix.diagnosis.findings import findings
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render import answer, fork_tables
from deadlock_matrix.render.causes import known_causes
from deadlock_matrix.render.claims import claim_lines
from deadlock_matrix.render.drawing import draw, inset, section
from deadlock_matrix.render.failure import reasons
from deadlock_matrix.render.forks import cure_lines, forked_children, threading_layers
from deadlock_matrix.render.grid import by_severity, grouped, interpreter_of
from deadlock_matrix.render.headline import STYLES, headline
from deadlock_matrix.render.last_words import last_words
from deadlock_matrix.render.loading import loading
from deadlock_matrix.render.plain import count, listed, one_line
from deadlock_matrix.render.tables import VERDICT_STYLES, timing_tables, verdict_tables

_SHOWN = 10
_NUMBERS = re.compile(r"0x[0-9a-f]+|\b\d+\b")


def text(
    report: Report, width: int = 80, colour: bool = False, causes: Sequence[Cause] = ()
) -> str:
    """The report as text.

    Args:
        report: What is shown.
        width: Columns it may have.
        colour: With ANSI sequences.
        causes: Known causes, to be looked for in what hung or failed.
    """
    return draw(renderable(report, width, causes), width, colour)


def renderable(report: Report, width: int = 80, causes: Sequence[Cause] = ()) -> RenderableType:
    """The report as something rich can print: how it came out, the answer, then the details."""
    first, *rest = headline(report)
    parts: list[RenderableType] = [Text(first, style=STYLES[report.outcome]), *map(Text, rest)]
    if not report.controlled:  # nothing that follows proves anything
        parts += section("Controls", _controls(report))
    parts += section(answer.TITLE, _answer(report))
    parts += section(fork_tables.TITLE, forked_children(report))
    parts += section("Not ok", _problems(report.cells))
    parts += section("Known causes", known_causes(report, causes))
    parts += section("Cures, and what cures nothing", cure_lines(report.cells))
    parts += section("Not available", answer.unavailable(report))
    parts += _interpreters(report, width)
    parts += section("What the entries load", loading(report.cells))
    parts += section("What numpy computes on", threading_layers(report))
    parts += section("Claims, and what was measured", claim_lines(report))
    if report.controlled:
        parts += section("Controls", _controls(report))
    parts += section("About this run", _notes(report))
    return Group(*parts)


def _answer(report: Report) -> Iterator[RenderableType]:
    for each in answer.told(report):
        yield Text(each.sentence)
        yield from (Padding(Text(line), (0, 0, 0, 4)) for line in each.lines)


def interpreter_text(
    name: str,
    facts: InterpreterFacts | None,
    results: Sequence[CellResult],
    width: int = 80,
    colour: bool = False,
) -> str:
    """What was found on one interpreter, as text, while the others are still to come."""
    return draw(Group(*_interpreter(name, facts, results, width)), width, colour)


def _interpreters(report: Report, width: int) -> Iterator[RenderableType]:
    facts = {item.name: item for item in report.interpreters}
    missing = answer.never_ran(report)
    for name, results in grouped(report.cells, interpreter_of).items():
        if name not in missing:  # else a line under "Not available" says why
            yield ""
            yield from _interpreter(name, facts.get(name), results, width)


def _interpreter(
    name: str, facts: InterpreterFacts | None, results: Sequence[CellResult], width: int
) -> Iterator[RenderableType]:
    yield Text(_identity(name, facts), style="bold")
    yield from map(inset, _findings(facts))
    tables = (*verdict_tables(results, width - 2), *timing_tables(results, width - 2))
    for number, table in enumerate(tables):
        if number:
            yield ""
        yield inset(table)


def _identity(name: str, facts: InterpreterFacts | None) -> str:
    if facts is None:
        return name
    if not isinstance(facts.fingerprint, Known):
        return f"{name}: not identified, {one_line(facts.fingerprint.reason)}"
    found = facts.fingerprint.value
    parts = [f"{found.implementation} {found.version}", found.distribution]
    if found.free_threaded:
        parts.append("free-threaded")
    parts += [
        f"{key} {found.packages[key]}" for key in ("torch", "transformers") if key in found.packages
    ]
    return f"{name}: {one_line(', '.join(part for part in parts if part))}"


def _findings(facts: InterpreterFacts | None) -> Iterator[RenderableType]:
    if facts is not None and isinstance(facts.fingerprint, Known):
        for finding in findings(facts.fingerprint.value):
            yield Text(one_line(finding.sentence))


def _problems(results: Sequence[CellResult]) -> Iterator[RenderableType]:
    unshown = (Verdict.OK, Verdict.UNAVAILABLE)
    problems = [
        result
        for result in by_severity(results)
        if not result.as_expected or result.verdict not in unshown
    ]
    groups: dict[tuple[Verdict, bool, tuple[str, ...]], list[CellResult]] = {}
    for result in problems:
        # Ids and addresses differ from run to run: what is alike but for them is told once.
        alike = tuple(_NUMBERS.sub("#", line) for line in _told(result))
        groups.setdefault((result.verdict, result.as_expected, alike), []).append(result)
    for group in list(groups.values())[:_SHOWN]:
        yield from map(_verdict_line, group[:_SHOWN])
        if len(group) > _SHOWN:
            yield Text(f"and {len(group) - _SHOWN} more like these")
        told = (*_told(group[0]), *last_words(group[0]))
        yield from (Padding(Text(line), (0, 0, 0, 4)) for line in told)
    if len(groups) > _SHOWN:
        rest = sum(map(len, list(groups.values())[_SHOWN:]))
        yield Text(f"and {count(rest, 'cell')} more, in the report")


def _told(result: CellResult) -> tuple[str, ...]:
    return (one_line(result.why), *reasons(result))


def _controls(report: Report) -> Iterator[RenderableType]:
    failed = set(report.summary.controls_failed)
    if report.controlled and len(report.controls) > _SHOWN:
        kinds = grouped(report.controls, lambda result: result.cell.layout.name)
        for name, group in kinds.items():
            told = f"{one_line(name)} ({group[0].cell.role.value})"
            yield Text(f"{len(group)} right  {group[0].verdict.value}  {told}")
        return
    for result in report.controls:
        wrong = result.cell.id in failed
        cell = result.cell
        line = Text("FAILED   " if wrong else "right    ", style="bold red" if wrong else "green")
        line.append(f"{result.verdict.value}  ", style="default")
        told = one_line(f"{cell.interpreter.name}: {cell.layout.name} ({cell.role.value})")
        line.append(told, style="default")
        yield line
        if wrong:
            expected = listed([verdict.value for verdict in result.cell.expect], "or")
            why = f"must be {expected}: {one_line(result.why)}"
            yield Padding(Text(why), (0, 0, 0, 9))
    for name in report.summary.controls_missing:
        yield Text(f"NOT RUN  {one_line(name)}", style="bold red")


def _notes(report: Report) -> Iterator[str]:
    yield from map(one_line, report.notes[:_SHOWN])
    if len(report.notes) > _SHOWN:
        yield f"and {len(report.notes) - _SHOWN} more, in the report"


def _verdict_line(result: CellResult) -> Text:
    line = Text()
    line.append(result.verdict.value, style=VERDICT_STYLES[result.verdict])
    line.append(f"  {one_line(result.cell.id)}")
    if result.as_expected:
        line.append("  (expected)")
    return line
