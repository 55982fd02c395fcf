"""A report as a file: written whole, read with one clear error, put together from a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from deadlock_matrix import __version__
from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.cell import Role
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import SCHEMA_VERSION, Report
from deadlock_matrix.report.files import read_bounded, write_atomically
from deadlock_matrix.report.journal import JOURNAL_FOLDER, read_journals
from deadlock_matrix.report.plan import PLAN_FILE, read_plan
from deadlock_matrix.report.summary import summarise

REPORT_FILE = "report.json"
MAX_REPORT_BYTES = 1 << 30

Migration = Callable[[dict[str, Any]], dict[str, Any]]

# Schema version -> the step from it to the next one. Steps work on plain JSON, because the types
# only know the newest version.
MIGRATIONS: dict[int, Migration] = {}


class _WrittenBy(msgspec.Struct):
    version: str = "unknown"


class _Head(msgspec.Struct):
    schema_version: int
    tool: _WrittenBy = msgspec.field(default_factory=_WrittenBy)


def write_report(report: Report, folder: Path) -> Path:
    """Write ``report.json`` into ``folder``, atomically; the same report gives the same bytes.

    Returns:
        The path of the file.

    Raises:
        ReportError: The folder or the file cannot be written.
    """
    path = folder / REPORT_FILE
    data = msgspec.json.format(msgspec.json.encode(report, order="deterministic"), indent=1)
    write_atomically(path, data + b"\n")
    return path


def read_report(path: Path, limit: int = MAX_REPORT_BYTES) -> Report:
    """Read a report, or the report in a run's folder; older schema versions are migrated.

    Raises:
        ReportError: Missing, too large, truncated, not a report, or from a newer version.
    """
    if path.is_dir():
        path = _in_folder(path)
    return decode_report(read_bounded(path, limit), str(path))


def decode_report(
    data: bytes, origin: str, migrations: Mapping[int, Migration] = MIGRATIONS
) -> Report:
    """Decode a report of any known schema version; ``origin`` names it in errors.

    Raises:
        ReportError: As for `read_report`.
    """
    try:
        head = msgspec.json.decode(data, type=_Head)
        _refuse_foreign_version(head, origin, migrations)
        if head.schema_version == SCHEMA_VERSION:
            return msgspec.json.decode(data, type=Report)
        document = msgspec.json.decode(data)
        for version in range(head.schema_version, SCHEMA_VERSION):
            document = migrations[version](document)
        return msgspec.convert(document, Report)
    except msgspec.ValidationError as error:
        raise ReportError(f"{origin} is not a report of deadlock-matrix: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReportError(f"{origin}: {_broken(data, error)}") from error
    except RecursionError as error:
        raise ReportError(f"{origin} is nested deeper than any report") from error


def assemble(folder: Path, duration_s: float | None = None) -> Report:
    """Put the report of a run together from its plan and its journals.

    Works at any time: for a run that is over, one that was killed, and one that still runs.

    Args:
        folder: The run's folder.
        duration_s: How long the run took; by default, from its plan to its last journal entry.

    Raises:
        ReportError: There is no plan, or plan or journals cannot be read.
    """
    plan = read_plan(folder)
    contents = read_journals(folder)
    cells = [result for result in contents.results if result.cell.role is Role.MATRIX]
    controls = [result for result in contents.results if result.cell.role is not Role.MATRIX]
    planned_cells, planned_controls = plan.planned_cells(), plan.planned_controls()
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=plan.tool,
        host=plan.host,
        run=plan.run,
        started=plan.started,
        duration_s=_duration_s(folder) if duration_s is None else duration_s,
        arguments=plan.arguments,
        interpreters=tuple(sorted(plan.interpreters, key=lambda facts: facts.name)),
        cells=_sorted(cells),
        controls=_sorted(controls),
        planned=len(planned_cells),
        summary=summarise(cells, controls, planned_cells, planned_controls),
        notes=contents.damaged,
    )


def _sorted(results: Iterable[CellResult]) -> tuple[CellResult, ...]:
    return tuple(sorted(results, key=lambda result: result.cell.id))


def _duration_s(folder: Path) -> float:
    begun = (folder / PLAN_FILE).stat().st_mtime
    ends = [path.stat().st_mtime for path in (folder / JOURNAL_FOLDER).glob("*.jsonl")]
    return max([0.0, *(end - begun for end in ends)])


def _in_folder(folder: Path) -> Path:
    path = folder / REPORT_FILE
    if not path.exists() and (folder / PLAN_FILE).exists():
        raise ReportError(
            f"{folder} has no {REPORT_FILE}: the run was killed or is still running; "
            "put its report together from the journals first"
        )
    return path


def _refuse_foreign_version(head: _Head, origin: str, migrations: Mapping[int, Migration]) -> None:
    if head.schema_version > SCHEMA_VERSION:
        raise ReportError(
            f"{origin} has schema version {head.schema_version}, and this is deadlock-matrix "
            f"{__version__}, which reads up to {SCHEMA_VERSION}: deadlock-matrix "
            f"{head.tool.version} or later is needed"
        )
    known = range(min(migrations, default=SCHEMA_VERSION), SCHEMA_VERSION + 1)
    if head.schema_version not in known:
        raise ReportError(f"{origin} has schema version {head.schema_version}: there is no such")


def _broken(data: bytes, error: Exception) -> str:
    if not data.strip():
        return "the file is empty"
    if "truncated" in str(error):
        return f"the file is truncated, it ends after {len(data)} bytes in the middle of a value"
    return f"not JSON: {error}"
