"""What a run set out to do, written before its first cell starts.

The plan is what makes a killed run readable: together with the journals it holds everything that a
report does. All workers of a run read their cells from it, so they agree on what there is to do and
in which order.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.report import SCHEMA_VERSION, Host, Shard, Tool
from deadlock_matrix.report.decoding import DAMAGE, collector_off, explain, one_line
from deadlock_matrix.report.files import read_bounded, write_atomically
from deadlock_matrix.report.journal import JOURNAL_FOLDER
from deadlock_matrix.report.json_text import encode
from deadlock_matrix.report.sharing import SharingDecoder

PLAN_FILE = "plan.json"
REPORT_FILE = "report.json"
MAX_PLAN_BYTES = 256 << 20


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A run's header. Controls and cells are in the order in which they are to run.

    ``selected`` are the ids of the cells and controls that the runner's selection left; ``None``
    until that is known, which means all of them. ``contents`` are digests of the code under test,
    see `matrix.contents`. ``spent_s`` is how long earlier sessions of a resumed run took.
    """

    schema_version: int = SCHEMA_VERSION
    tool: Tool
    host: Host
    run: str
    started: str  # RFC 3339, UTC
    arguments: tuple[str, ...]
    interpreters: tuple[InterpreterFacts, ...]
    controls: tuple[Cell, ...]
    cells: tuple[Cell, ...]
    selected: tuple[str, ...] | None = None
    contents: dict[str, str] = {}
    spent_s: float = 0.0
    shard: Shard | None = None
    machines: dict[str, Host] = {}
    notes: tuple[str, ...] = ()

    def planned_cells(self) -> tuple[str, ...]:
        """Return ids of the matrix cells that were to be run."""
        return self._chosen(self.cells)

    def planned_controls(self) -> tuple[str, ...]:
        """Return ids of the controls that were to be run."""
        return self._chosen(self.controls)

    def _chosen(self, cells: tuple[Cell, ...]) -> tuple[str, ...]:
        ids = tuple(cell.id for cell in cells)
        if self.selected is None:
            return ids
        selected = frozenset(self.selected)
        return tuple(id_ for id_ in ids if id_ in selected)


def run_id(now: datetime | None = None) -> str:
    """Return a unique name for a run that sorts by time: ``20260131-154500-9f3c``."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def timestamp(now: datetime | None = None) -> str:
    """Return the time in RFC 3339, in UTC, to the second."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def begin(folder: Path, plan: Plan) -> None:
    """Open a run's folder with its plan.

    Raises:
        ReportError: The folder already holds a run, whose journals would mix with this one's.
    """
    if os.path.lexists(folder / PLAN_FILE):
        raise ReportError(f"{folder} already holds a run: name another folder, or remove it")
    write_plan(folder, plan)


def go_on(folder: Path, plan: Plan) -> None:
    """Open a run's folder again, with the plan of what is left and what was there.

    Removes a file that an earlier session did not finish writing because it was killed.
    """
    for name in (PLAN_FILE, REPORT_FILE):
        for draft in folder.glob(f".{name}.*"):
            draft.unlink(missing_ok=True)
    (folder / REPORT_FILE).unlink(missing_ok=True)  # of what was there then; the journals have it
    write_plan(folder, plan)


def session_s(folder: Path) -> float:
    """Return seconds from the beginning of a run's last session to its last journal entry."""
    begun = (folder / PLAN_FILE).stat().st_mtime
    ends = [path.stat().st_mtime for path in (folder / JOURNAL_FOLDER).glob("*.jsonl")]
    return max([0.0, *(end - begun for end in ends)])


def write_plan(folder: Path, plan: Plan) -> None:
    """Write or replace the plan of the run in ``folder``."""
    write_atomically(folder / PLAN_FILE, encode(plan))


def read_plan(folder: Path) -> Plan:
    """Return the plan of the run in ``folder``.

    Raises:
        ReportError: There is none, it is damaged, or another version of the tool wrote it.
    """
    path = folder / PLAN_FILE
    data = read_bounded(path, MAX_PLAN_BYTES)
    try:
        plan = _decode(data)
    except DAMAGE as error:
        said = explain(error, data, "plan")
        raise ReportError(f"{path} is not the plan of a run: it {said}") from error
    if plan.schema_version != SCHEMA_VERSION:
        raise ReportError(
            f"{path} was written by deadlock-matrix {one_line(plan.tool.version, 40)} with schema "
            f"version {plan.schema_version}: use that version to write its report"
        )
    return plan


def _decode(data: bytes) -> Plan:
    with suppress(*DAMAGE), collector_off():
        return SharingDecoder(Plan).decode(data)
    return msgspec.json.decode(data, type=Plan)  # says where it is damaged
