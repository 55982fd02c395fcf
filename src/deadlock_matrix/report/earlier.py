"""Results of an earlier run that still hold, so that they need not be run again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.cell import Cell, Role
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.parts import take_apart
from deadlock_matrix.report.plan import PLAN_FILE, Plan, read_plan
from deadlock_matrix.report.sameness import Circumstances, circumstances_of, differences
from deadlock_matrix.report.store import assemble, load

_HUNG = (Verdict.DEADLOCK, Verdict.HANG, Verdict.SLOW)


class Rerun(StrEnum):
    """Which results to run again although they still hold."""

    NOT_OK = "not-ok"
    HUNG = "hung"
    UNEXPECTED = "unexpected"

    def wants(self, result: CellResult) -> bool:
        """Return whether the cell is to be run again."""
        match self:
            case Rerun.NOT_OK:
                return result.verdict is not Verdict.OK
            case Rerun.HUNG:
                return result.verdict in _HUNG
            case Rerun.UNEXPECTED:
                return not result.as_expected


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run, or a report of several; ``plan`` is there if the run can be resumed."""

    report: Report
    folder: Path
    plan: Plan | None


def read_earlier(path: Path) -> Earlier:
    """Read a report, or a run's folder, even of a killed run; evidence stays where it is.

    Raises:
        ReportError: It is neither, or cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    if (folder / PLAN_FILE).exists():
        return Earlier(
            report=assemble(folder, evidence=False), folder=folder, plan=read_plan(folder)
        )
    loaded = load(path)
    return Earlier(report=loaded.report, folder=loaded.path.parent, plan=None)


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """Results of an earlier run that are also those of the new plan's cells.

    For the other results with a planned cell's id, ``changed`` says why they do not hold.
    """

    results: tuple[CellResult, ...]
    changed: dict[str, tuple[str, ...]]


def holding(
    earlier: Report, cells: Iterable[Cell], now: Callable[[Cell], Circumstances]
) -> Holding:
    """Return which results of ``earlier`` hold for ``cells``, which are redacted as in a report.

    From a report of several runs, take the newest result that holds. A result gets its cell's
    present definition, so that it is judged by what is expected now.
    """
    stored = _by_id(earlier)
    results, changed = [], {}
    for cell in cells:
        why: tuple[str, ...] = ()
        for result, then in stored.get(cell.id, ()):
            why = differences(result, then, cell, now(cell))
            if not why:
                interpreter = result.cell.interpreter  # its path is a fact about that run
                known = msgspec.structs.replace(cell, interpreter=interpreter)
                results.append(msgspec.structs.replace(result, cell=known))
                break
        if why:
            changed[cell.id] = why
    return Holding(results=tuple(results), changed=changed)


def without_needless_controls(results: Sequence[CellResult], cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells of ``results`` to skip; controls only if nothing else is to be run.

    A control speaks for the cells that run beside it, so an interpreter that lacks a cell has all
    its controls run again. A control that came out wrong is run again in any case.
    """
    have = {result.cell.id for result in results}
    busy = {
        cell.interpreter.name for cell in cells if cell.role is Role.MATRIX and cell.id not in have
    }
    return [
        result.cell
        for result in results
        if result.cell.role is Role.MATRIX
        or (result.cell.interpreter.name not in busy and result.as_expected)
    ]


def require_the_same(earlier: Earlier, held: Holding) -> None:
    """Check that a run can be resumed.

    Raises:
        ReportError: Something has changed that decides how a finished cell comes out.
    """
    ran = {
        result.cell.id
        for result in (*earlier.report.cells, *earlier.report.controls)
        if result.seen is not None
    }
    for id_, why in held.changed.items():
        told = [each for each in why if "(unknown)" not in each]
        if id_ in ran and told:
            raise ReportError(
                f"run {earlier.report.run} cannot be resumed, since {', '.join(told)} of {id_} "
                "changed: add --only-changed, which begins a new run that reuses the results that "
                "still hold"
            )


def _by_id(report: Report) -> dict[str, list[tuple[CellResult, Circumstances]]]:
    found: dict[str, list[tuple[CellResult, Circumstances]]] = {}
    for run in sorted(take_apart(report), key=lambda run: run.started, reverse=True):
        facts = {each.name: each for each in run.interpreters}
        for result in (*run.cells, *run.controls):
            origin = result.taken_from or run.run
            then = circumstances_of(
                result, run.tool, run.machines.get(result.machine, run.host), facts
            )
            marked = msgspec.structs.replace(result, taken_from=origin)
            found.setdefault(result.cell.id, []).append((marked, then))
    return found
