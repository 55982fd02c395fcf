"""A merged report, taken apart into the runs from which it was put together."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.fact import Known, known
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import SCHEMA_VERSION, Part, Report


def take_apart(report: Report) -> tuple[Report, ...]:
    """Return the runs in a report, each with its own names and numbers; one run stays as it is.

    Merging them again gives the same report, so merging merged reports is merging their runs.

    Raises:
        ReportError: What the merged report says about its runs does not fit its cells.
    """
    if report.merged:
        _check(report)
    return tuple(_restore(report, part) for part in report.merged) or (report,)


def rename(facts: InterpreterFacts, name: str) -> InterpreterFacts:
    """Return the same facts of an interpreter under another name."""
    found = facts.fingerprint
    if isinstance(found, Known):
        value = msgspec.structs.replace(found.value, name=name)
        found = known(value, found.source)
    return msgspec.structs.replace(facts, name=name, fingerprint=found)


def renumber(result: CellResult, interpreter: str, repeat: int) -> CellResult:
    """Return the same result under another interpreter's name and repeat number."""
    cell = result.cell
    if (cell.interpreter.name, cell.repeat) == (interpreter, repeat):
        return result
    renamed = msgspec.structs.replace(cell.interpreter, name=interpreter)
    cell = msgspec.structs.replace(cell, interpreter=renamed, repeat=repeat)
    return msgspec.structs.replace(result, cell=cell)


def in_order(results: Iterable[CellResult]) -> tuple[CellResult, ...]:
    """Return results sorted by id, the order of a report."""
    return tuple(sorted(results, key=lambda result: result.cell.id))


def _check(report: Report) -> None:
    """Check that each result belongs to one run, which knows its interpreter."""
    runs: dict[str, Part] = {}
    for part in report.merged:
        for id_ in part.repeats:
            if runs.setdefault(id_, part) is not part:
                raise ReportError(f"{report.run} is damaged: {id_} is said to be of two runs")
    for result in (*report.cells, *report.controls):
        part_of = runs.get(result.cell.id)
        names = part_of.interpreters.values() if part_of is not None else ()
        if result.cell.interpreter.name not in names:
            raise ReportError(
                f"{report.run} is damaged: it does not say which run {result.cell.id} is of"
            )


def _restore(report: Report, part: Part) -> Report:
    names = {there: here for here, there in part.interpreters.items()}

    def own(results: Iterable[CellResult]) -> tuple[CellResult, ...]:
        return in_order(
            renumber(result, names[result.cell.interpreter.name], part.repeats[result.cell.id])
            for result in results
            if result.cell.id in part.repeats
        )

    return Report(
        schema_version=SCHEMA_VERSION,
        tool=part.tool,
        host=part.host,
        run=part.run,
        started=part.started,
        duration_s=part.duration_s,
        arguments=part.arguments,
        interpreters=tuple(
            sorted(
                (
                    rename(each, names[each.name])
                    for each in report.interpreters
                    if each.name in names
                ),
                key=lambda facts: facts.name,
            )
        ),
        cells=own(report.cells),
        controls=own(report.controls),
        planned=part.planned,
        summary=part.summary,
        notes=part.notes,
        shard=part.shard,
        machines=part.machines,
    )
