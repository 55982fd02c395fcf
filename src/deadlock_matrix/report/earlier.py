"""What of an earlier run still holds, so that it need not be run again."""

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
    """Which results are not taken from an earlier run although they still hold."""

    NOT_OK = "not-ok"
    HUNG = "hung"
    UNEXPECTED = "unexpected"

    def wants(self, result: CellResult) -> bool:
        """Whether the cell is to be run again."""
        match self:
            case Rerun.NOT_OK:
                return result.verdict is not Verdict.OK
            case Rerun.HUNG:
                return result.verdict in _HUNG
            case Rerun.UNEXPECTED:
                return not result.as_expected


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run, or a report of several; ``plan`` is there if it can be gone on with."""

    report: Report
    folder: Path
    plan: Plan | None


def read_earlier(path: Path) -> Earlier:
    """Read a report, or a run's folder, even of a killed run; evidence stays where it lies.

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
    """Results of an earlier run that are those of the new plan's cells too.

    ``changed`` says of the other results with the id of a planned cell why they do not hold.
    """

    results: tuple[CellResult, ...]
    changed: dict[str, tuple[str, ...]]


def holding(
    earlier: Report, cells: Iterable[Cell], now: Callable[[Cell], Circumstances]
) -> Holding:
    """What of ``earlier`` holds for ``cells``, which are redacted as in a report.

    In a report of several runs the newest result that holds is taken. A result is that of the cell
    as it is defined now, so that it is judged by what is expected now.
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
    """The results' cells that need not be run: of a control only if nothing else is to be run.

    A control speaks for the cells that are run beside it, so an interpreter of which a cell is
    missing has all its controls run again; and one that came out wrong is run again in any case.
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
    """Check that a run can be gone on with.

    Raises:
        ReportError: Something that decides how a finished cell comes out is no longer as it was.
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
                f"run {earlier.report.run} cannot be gone on with, since {', '.join(told)} of "
                f"{id_} changed: --only-changed starts a new run that takes over what still holds"
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
