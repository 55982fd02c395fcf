"""The process that the user started: plans the run, and puts its report together at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from deadlock_matrix.causes import load_causes
from deadlock_matrix.errors import DeadlockMatrixError, ExitStatus
from deadlock_matrix.model.fact import known
from deadlock_matrix.model.outcome import RunEnd, RunOutcome
from deadlock_matrix.model.report import Report
from deadlock_matrix.pytest_plugin.planning import cell_id, make_plan, report_folder
from deadlock_matrix.render.terminal import text
from deadlock_matrix.report.journal import JOURNAL_FOLDER, Unwritten
from deadlock_matrix.report.outcome import EXIT_STATUS
from deadlock_matrix.report.plan import PLAN_FILE, Plan, begin, write_plan
from deadlock_matrix.report.private import make_redaction, redact_plan
from deadlock_matrix.report.redaction import Redaction
from deadlock_matrix.report.store import REPORT_FILE, assemble, write_report

FOLDER_KEY = "deadlock_matrix_folder"
PLAN_KEY = "deadlock_matrix_plan"
SCRATCH_KEY = "deadlock_matrix_scratch"
PROCESS_KEY = "deadlock_matrix_process"
UNWRITTEN_ATTRIBUTE = "deadlock_matrix_unwritten"
"""Of a test's report: the result of its cell as JSON, if it could not be written."""

_STATUSES = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
"""What the outcome of the run says better; pytest's others tell that there was none."""


class Node(Protocol):
    """A pytest-xdist worker, as its controller sees it."""

    workerinput: dict[str, object]


class Controller:
    """Owns the run's folder. Workers get its path, and the plan.

    Attributes:
        plan: What is to be run; ``None`` before the session has started.
        folder: The run's folder; ``None`` if nothing is run.
        scratch: Where probes leave their files until they are read, and nothing is redacted yet:
            outside the run's folder, and gone when the run is over.
        tests: The selected tests that run a cell, by their ids, with the cell's id.
        others: How many selected tests run no cell.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.plan: Plan | None = None
        self.folder: Path | None = None
        self.scratch: Path | None = None
        self.tests: dict[str, str] = {}
        self.others = 0
        self._began_s = time.monotonic()
        self._report: Report | None = None
        self._unwritten: list[Unwritten] = []
        self._interruption: RunEnd | None = None
        self._path: Path | None = None
        self._error: str | None = None

    def is_control(self, cell: str) -> bool:
        """Whether the id of a cell is that of a control."""
        return self.plan is not None and any(cell == each.id for each in self.plan.controls)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Make the plan, and write it down before anything can be interrupted."""
        self.plan = make_plan(self.config)
        if self.config.option.collectonly:
            return
        folder = report_folder(self.config, self.plan.run)
        try:
            begin(folder, redact_plan(self.plan, self._make_redaction(self.plan)))
        except DeadlockMatrixError as error:
            raise pytest.UsageError(str(error)) from error
        self.folder = folder
        self.scratch = Path(tempfile.mkdtemp(prefix="deadlock-matrix-"))

    def pytest_report_header(self) -> list[str]:
        """Say what is going to be run."""
        if self.plan is None:
            return []
        sizes = f"{len(self.plan.cells)} cells, {len(self.plan.controls)} controls"
        where = [] if self.folder is None else [f"deadlock matrix: run folder {self.folder}"]
        return [f"deadlock matrix: {sizes}", *where]

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Node) -> None:
        """Tell a worker the plan, and where the run's folders are."""
        node.workerinput[FOLDER_KEY] = str(self.folder)
        node.workerinput[SCRATCH_KEY] = str(self.scratch)
        node.workerinput[PROCESS_KEY] = os.getpid()
        node.workerinput[PLAN_KEY] = msgspec.json.encode(self.plan).decode()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which cells are left after ``-k`` and its like, without workers."""
        self._select(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Note the same with workers; they all collect alike."""
        if not self.tests:
            self._select(ids)

    @pytest.hookimpl(trylast=True)  # by then, the workers have ended
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report, and end with the status of the run's outcome."""
        if self.folder is None:
            return
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
        if self._nothing_ran(self.folder):
            _discard(self.folder)
            return
        ended = known(self._end(session), "pytest, at the end of its session")
        taken_s = time.monotonic() - self._began_s
        try:
            report = assemble(self.folder, taken_s, ended=ended, unwritten=self._unwritten)
        except DeadlockMatrixError as error:
            self._error = str(error)
            session.exitstatus = ExitStatus.NOT_WRITTEN
            return
        self._report = self._write(report, self.folder)
        outcome = self._report.outcome
        if outcome is not RunOutcome.AS_EXPECTED and session.exitstatus in _STATUSES:
            session.exitstatus = EXIT_STATUS[outcome]

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell Ctrl-C from ``-x``, for which pytest-xdist interrupts too, and from pytest.exit."""
        ctrl_c = excinfo.type is KeyboardInterrupt
        self._interruption = RunEnd.INTERRUPTED if ctrl_c else RunEnd.STOPPED

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what could not be written: the report at the end still tells it."""
        if (left := getattr(report, UNWRITTEN_ATTRIBUTE, None)) is not None:
            self._unwritten.append(msgspec.json.decode(left, type=Unwritten))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report and where it is."""
        if self._report is not None:
            writer = self.config.get_terminal_writer()
            terminalreporter.write_sep("=", "deadlock matrix")
            width = min(writer.fullwidth, 120)
            shown = text(self._report, width, colour=writer.hasmarkup, causes=load_causes())
            terminalreporter.write_line(shown)
        if self._path is not None:
            terminalreporter.write_line(f"\nreport: {self._path}")
        if self._error is not None:
            terminalreporter.write_line(f"deadlock matrix: no report: {self._error}", red=True)

    def _end(self, session: pytest.Session) -> RunEnd:
        if self._interruption is not None:
            return self._interruption
        if session.exitstatus == pytest.ExitCode.INTERNAL_ERROR:
            return RunEnd.BROKEN
        stopped = session.shouldstop or session.shouldfail
        return RunEnd.STOPPED if stopped else RunEnd.FINISHED

    def _write(self, report: Report, folder: Path) -> Report:
        """Write the report; what comes back says so if it could not be."""
        try:
            self._path = write_report(report, folder)
        except DeadlockMatrixError as error:
            self._error = str(error)
            cause = error.__cause__
            why = (cause.strerror if isinstance(cause, OSError) else None) or str(error)
            lost = {**report.summary.unwritten, REPORT_FILE: why}
            summary = msgspec.structs.replace(report.summary, unwritten=lost)
            return msgspec.structs.replace(report, summary=summary)
        return report

    def _select(self, nodeids: Iterable[str]) -> None:
        if self.plan is None:
            return
        known = [cell.id for cell in (*self.plan.controls, *self.plan.cells)]
        for nodeid in nodeids:
            found = cell_id(nodeid, known)
            if found is None:
                self.others += 1
            else:
                self.tests[nodeid] = found
        chosen = frozenset(self.tests.values())
        selected = tuple(id_ for id_ in known if id_ in chosen)
        self.plan = msgspec.structs.replace(self.plan, selected=selected)
        if self.folder is not None:
            try:
                write_plan(self.folder, redact_plan(self.plan, self._make_redaction(self.plan)))
            except DeadlockMatrixError as error:
                pytest.exit(str(error), returncode=ExitStatus.NOT_WRITTEN)

    def _make_redaction(self, plan: Plan) -> Redaction:
        include = self.config.getoption("deadlock_matrix_include_host")
        return make_redaction(plan, include_host=include)

    def _nothing_ran(self, folder: Path) -> bool:
        return not self.tests and not (folder / JOURNAL_FOLDER).exists()


def _discard(folder: Path) -> None:
    """Remove the folder of a run of which there is nothing to report."""
    (folder / PLAN_FILE).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the user's own folder, with other files
        folder.rmdir()
