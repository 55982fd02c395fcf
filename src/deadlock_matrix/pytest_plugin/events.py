"""What happens in a run, as lines of JSON for another program, while it happens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deadlock_matrix.model.outcome import RunOutcome
from deadlock_matrix.pytest_plugin.controller import Controller
from deadlock_matrix.pytest_plugin.runner import outcome_of
from deadlock_matrix.report.plan import timestamp


class Events:
    """Appends each event with one write, so that several runs may share a file or a pipe."""

    def __init__(self, controller: Controller, path: Path) -> None:
        """Open the file.

        Raises:
            pytest.UsageError: It cannot be opened.
        """
        self._controller = controller
        self._started: set[str] = set()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
            self._number = os.open(path, flags, 0o600)
        except OSError as error:
            raise pytest.UsageError(f"{path} cannot be opened: {error.strerror}") from error

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Report that the run begins."""
        plan = self._controller.plan
        if plan is not None:
            self._tell(
                "begin",
                run=plan.run,
                folder=str(self._controller.folder),
                cells=len(plan.cells),
                controls=len(plan.controls),
                done=len(self._controller.done),
            )

    def pytest_deadlock_matrix_cell_started(self, cell: str) -> None:
        """Report that a cell starts, if its test is run when it is over."""
        self._tell("start", cell=cell)
        self._started.add(cell)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Report that a cell starts, if its test runs it."""
        cell = self._controller.tests.get(nodeid)
        if cell is not None and cell not in self._started:
            self._tell("start", cell=cell)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Report that a cell has a result, which is on the disk."""
        outcome = outcome_of(report)
        cell = self._controller.tests.get(report.nodeid)
        if outcome is not None and cell is not None:
            self._tell(
                "result",
                cell=cell,
                verdict=outcome.verdict,
                as_expected=outcome.as_expected,
                why=outcome.why,
                duration_s=outcome.duration_s,
            )

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Report that the run has ended, and its report is written."""
        report = self._controller.report
        if report is not None:
            self._tell(
                "end",
                run=report.run,
                outcome=report.outcome.value,
                verdicts=report.summary.verdicts,
                unexpected=report.summary.unexpected,
                valid=report.outcome in (RunOutcome.AS_EXPECTED, RunOutcome.UNEXPECTED),
            )
        os.close(self._number)

    def _tell(self, event: str, **more: Any) -> None:
        line = msgspec.json.encode({"event": event, "at": timestamp(), **more}) + b"\n"
        try:
            os.write(self._number, line)
        except OSError:  # whoever listened is gone; the run goes on
            return
