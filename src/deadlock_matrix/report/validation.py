"""Whether a report is what it says: its types, its order, its counts, its side files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import msgspec

from deadlock_matrix.model.cell import Role
from deadlock_matrix.model.fact import Aside, Known
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import SCHEMA_VERSION, Report, Summary
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.side_files import SideFiles
from deadlock_matrix.report.store import load
from deadlock_matrix.report.summary import summarise

COUNTED = ("cells", "verdicts", "unexpected", "controls", "controls_failed")
"""The parts of a summary that follow from the results alone."""

JudgeAgain = Callable[[CellResult], Iterable[str]]
"""Takes a result with its evidence and says, a sentence each, what comes out differently now."""


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, and one sentence for each thing that is wrong."""

    path: Path
    schema_version: int  # as written in the file
    cells: int
    controls: int
    judged: int  # results whose evidence was judged again
    faults: tuple[str, ...]

    @property
    def line(self) -> str:
        """Everything in one line."""
        version = f"schema version {self.schema_version}"
        if self.schema_version != SCHEMA_VERSION:
            version += f" (read as {SCHEMA_VERSION})"
        counts = f"{self.cells} cells, {self.controls} controls, {self.judged} judged again"
        wrong = len(self.faults)
        state = f"{wrong} {'fault' if wrong == 1 else 'faults'}" if wrong else "valid"
        return f"{self.path}: {state}: {version}, {counts}"


def validate(path: Path, judge_again: JudgeAgain) -> Validation:
    """Check a report, or the report in a run's folder.

    Args:
        path: The file or the folder.
        judge_again: Judges and concludes one result anew, and says what differs.

    Raises:
        ReportError: It cannot be read at all.
    """
    loaded = load(path)
    report = loaded.report
    faults = [*_order(report), *_roles(report), *_counts(report), *_completeness(report)]
    side_files, judged = SideFiles(loaded.path.parent), 0
    for stored in (*report.cells, *report.controls):
        result = side_files.fetch(stored)
        id_ = result.cell.id
        if not isinstance(result.observation, Known):
            if result.verdict is not Verdict.UNAVAILABLE:
                faults.append(f"{id_} is {result.verdict.value}, but nothing was observed")
            continue
        evidence = result.observation.value.evidence
        if isinstance(evidence, Aside):
            faults.append(f"the evidence of {id_} cannot be read: {evidence.reason}")
            continue
        judged += isinstance(evidence, Known)
        faults += (f"{id_}: {sentence}" for sentence in judge_again(result))
    return Validation(
        path=loaded.path,
        schema_version=loaded.schema_version,
        cells=len(report.cells),
        controls=len(report.controls),
        judged=judged,
        faults=tuple(faults),
    )


def _order(report: Report) -> Iterator[str]:
    for what, results in (("cells", report.cells), ("controls", report.controls)):
        for one, next_one in pairwise(result.cell.id for result in results):
            if next_one < one:
                yield f"the {what} are not sorted by id: {next_one} comes after {one}"
                break
    names = [facts.name for facts in report.interpreters]
    if names != sorted(names):
        yield "the interpreters are not sorted by name"


def _roles(report: Report) -> Iterator[str]:
    for result in report.cells:
        if result.cell.role is not Role.MATRIX:
            yield f"{result.cell.id} is a control, but is listed among the cells"
    for result in report.controls:
        if result.cell.role is Role.MATRIX:
            yield f"{result.cell.id} is a cell, but is listed among the controls"


def _counts(report: Report) -> Iterator[str]:
    counted = summarise(report.cells, report.controls, ())
    for name in COUNTED:
        said, found = getattr(report.summary, name), getattr(counted, name)
        if said != found:
            yield f"the summary has {name} {_shown(said)}, the results have {_shown(found)}"


def _completeness(report: Report) -> Iterator[str]:
    summary: Summary = report.summary
    done = {result.cell.id for result in report.controls}
    for id_ in sorted(done.intersection(summary.controls_missing)):
        yield f"the summary lists the control {id_} as missing, but it has a result"
    cells = len({result.cell.id for result in report.cells})
    complete = cells >= report.planned and not summary.controls_missing
    if summary.complete and not complete:
        yield f"the summary says complete, with {cells} of {report.planned} planned cells"
    if complete and not summary.complete:
        yield f"the summary says interrupted, with {cells} of {report.planned} planned cells"


def _shown(value: object) -> str:
    text = msgspec.json.encode(value, order="sorted").decode()
    return text if len(text) <= 200 else f"{text[:200]}..."
