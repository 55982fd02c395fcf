"""Reports given by a path: a file, or a run's folder, even of a killed run."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.report import SCHEMA_VERSION, Report
from deadlock_matrix.report.plan import PLAN_FILE, REPORT_FILE
from deadlock_matrix.report.store import assemble, fetch_evidence, load


class Read(NamedTuple):
    """A report, and the schema version with which it was written."""

    report: Report
    schema_version: int


def read_any(path: Path, *, evidence: bool, shelve: bool = False) -> Read:
    """Read the report, or put that of a killed run together.

    Args:
        path: The file or the folder.
        evidence: Whether what the threads of hung processes did is needed, too.
        shelve: Leave in the file what is needed only to write the results again.

    Raises:
        ReportError: There is none, or it cannot be read.
    """
    if path.is_dir() and not (path / REPORT_FILE).exists():
        if not (path / PLAN_FILE).exists():
            raise ReportError(
                f"{path} is not the folder of a run: it has no {REPORT_FILE}{_below(path)}"
            )
        return Read(assemble(path, evidence=evidence), SCHEMA_VERSION)
    loaded = load(path, shelve=shelve)
    report = fetch_evidence(loaded.report, loaded.path.parent) if evidence else loaded.report
    return Read(report, loaded.schema_version)


def _below(folder: Path) -> str:
    """Name the newest run in the folder, which the user most likely means."""
    plans = sorted(folder.glob(f"*/{PLAN_FILE}"), key=lambda plan: plan.parent.name)
    return f"; the newest run in it is {plans[-1].parent}" if plans else ""
