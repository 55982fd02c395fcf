"""A report on a terminal of 80 columns, with colour or without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from deadlock_matrix.diagnosis import rates
from deadlock_matrix.diagnosis.grouping import grouped
from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.study.study import (
    Study,
    compared_by,
    listings_of,
    tested_claims,
)
from deadlock_matrix.diagnosis.text import count, one_line
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.render import answer, claims, view
from deadlock_matrix.render.causes import known_causes
from deadlock_matrix.render.cures import cure_lines
from deadlock_matrix.render.drawing import draw, inset, section
from deadlock_matrix.render.headline import STYLES, headline
from deadlock_matrix.render.last_words import last_words
from deadlock_matrix.render.loading import loading
from deadlock_matrix.render.study_tables import listing_sections, table_sections
from deadlock_matrix.render.tables import VERDICT_STYLES, timing_tables, verdict_tables

_SHOWN = 10


def text(
    report: Report,
    width: int = 80,
    colour: bool = False,
    causes: Sequence[Cause] = (),
    studies: Sequence[Study] = (),
) -> str:
    """Return the report as text.

    Args:
        report: The report.
        width: Columns it may have.
        colour: Whether to use ANSI sequences.
        causes: Known causes, to be looked for in what hung or failed.
        studies: Studies whose tables and findings are shown, too.
    """
    return draw(renderable(report, width, causes, studies), width, colour)


def renderable(
    report: Report,
    width: int = 80,
    causes: Sequence[Cause] = (),
    studies: Sequence[Study] = (),
) -> RenderableType:
    """Return the report in a form rich can print: how it came out, the answer, then the details."""
    first, *rest = headline(report)
    parts: list[RenderableType] = [Text(first, style=STYLES[report.outcome]), *map(Text, rest)]
    if not report.controlled:  # nothing that follows proves anything
        parts += section("Controls", _controls(report))
    parts += section(answer.TITLE, _answer(report, studies))
    parts += table_sections(view.tables_by_title(report, studies))
    parts += section(view.PROBLEMS, _problems(report.cells))
    parts += section(rates.TITLE, map(one_line, rates.rate_lines(report.cells)))
    parts += section(view.CAUSES, known_causes(report, causes))
    parts += section("Cures, and what cures nothing", cure_lines(report.cells))
    parts += section(view.UNAVAILABLE, answer.unavailable(report))
    parts += _interpreters(report, width, studies)
    parts += section("What the entries load", loading(report.cells))
    parts += listing_sections(listings_of(report, studies))
    parts += section(view.CLAIMS, claims.claim_lines(tested_claims(report, studies)))
    if report.controlled:
        parts += section("Controls", _controls(report))
    parts += section(view.NOTES, _notes(report))
    return Group(*parts)


def _answer(report: Report, studies: Sequence[Study]) -> Iterator[RenderableType]:
    for each in answer.told(report, studies):
        yield Text(each.sentence)
        yield from (Padding(Text(line), (0, 0, 0, 4)) for line in each.lines)


def interpreter_text(
    name: str,
    facts: InterpreterFacts | None,
    results: Sequence[CellResult],
    width: int = 80,
    colour: bool = False,
    studies: Sequence[Study] = (),
) -> str:
    """Return what was found on one interpreter, as text, while the others are still to come."""
    shown = view.interpreter(name, facts, results, studies)
    return draw(Group(*_interpreter(shown, width, studies)), width, colour)


def _interpreters(report: Report, width: int, studies: Sequence[Study]) -> Iterator[RenderableType]:
    for each in view.interpreters(report, studies):
        yield ""
        yield from _interpreter(each, width, studies)


def _interpreter(
    shown: view.InterpreterView, width: int, studies: Sequence[Study]
) -> Iterator[RenderableType]:
    yield Text(": ".join(filter(None, (shown.name, shown.described))), style="bold")
    yield from (inset(Text(line)) for line in shown.findings)
    tables = (
        *verdict_tables(shown.results, width - 2),
        *timing_tables(shown.results, width - 2, compared_by(studies)),
    )
    for number, table in enumerate(tables):
        if number:
            yield ""
        yield inset(table)


def _problems(results: Sequence[CellResult]) -> Iterator[RenderableType]:
    found = view.problems(results)
    for each in found[:_SHOWN]:
        yield from map(_verdict_line, each.results[:_SHOWN])
        if len(each.results) > _SHOWN:
            yield Text(f"and {len(each.results) - _SHOWN} more like these")
        told = (*each.told, *last_words(each.results[0]))
        yield from (Padding(Text(line), (0, 0, 0, 4)) for line in told)
    if len(found) > _SHOWN:
        rest = sum(len(each.results) for each in found[_SHOWN:])
        yield Text(f"and {count(rest, 'cell')} more, in the report")


def _controls(report: Report) -> Iterator[RenderableType]:
    if report.controlled and len(report.controls) > _SHOWN:
        kinds = grouped(report.controls, lambda result: result.cell.layout.name)
        for name, group in kinds.items():
            told = f"{one_line(name)} ({group[0].cell.role.value})"
            yield Text(f"{len(group)} right  {group[0].verdict.value}  {told}")
        return
    for each in view.controls(report):
        cell = each.result.cell
        word, style = ("FAILED   ", "bold red") if each.wrong else ("right    ", "green")
        line = Text(word, style=style)
        line.append(f"{each.result.verdict.value}  ", style="default")
        told = one_line(f"{cell.interpreter.name}: {cell.layout.name} ({cell.role.value})")
        line.append(told, style="default")
        yield line
        if each.wrong:
            yield Padding(Text(each.wrong), (0, 0, 0, 9))
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
