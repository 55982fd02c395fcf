"""The process that the user started: plans the run, and puts its report together at the end."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
import pytest

from deadlock_matrix.causes import load_causes
from deadlock_matrix.errors import DeadlockMatrixError, ExitStatus
from deadlock_matrix.model.fact import known
from deadlock_matrix.model.outcome import RunEnd, RunOutcome
from deadlock_matrix.model.report import Report
from deadlock_matrix.pytest_plugin.planning import (
    as_pytest_writes,
    cell_id,
    make_plan,
    parameters_of,
    report_folder,
)
from deadlock_matrix.pytest_plugin.resuming import Start, start
from deadlock_matrix.render.terminal import text
from deadlock_matrix.report.journal import JOURNAL_FOLDER, Journal, Unwritten
from deadlock_matrix.report.outcome import EXIT_STATUS
from deadlock_matrix.report.plan import PLAN_FILE, REPORT_FILE, Plan, begin, go_on, write_plan
from deadlock_matrix.report.private import make_redaction, redact_plan
from deadlock_matrix.report.redaction import Redaction
from deadlock_matrix.report.side_files import SideFiles
from deadlock_matrix.report.store import assemble, write_report
from deadlock_matrix.run.janitor import Janitor
from deadlock_matrix.studies import load_studies

if TYPE_CHECKING:
    from deadlock_matrix.grid.announcement import Planned
    from deadlock_matrix.grid.engine import Engine
    from deadlock_matrix.pytest_plugin.dask_run import DaskRun

FOLDER_KEY = "deadlock_matrix_folder"
PLAN_KEY = "deadlock_matrix_plan"
SCRATCH_KEY = "deadlock_matrix_scratch"
DONE_KEY = "deadlock_matrix_done"
PROCESS_KEY = "deadlock_matrix_process"
TAKEN = "taken"
"""The journal of results that another run has found."""
UNWRITTEN_ATTRIBUTE = "deadlock_matrix_unwritten"
"""In a test's report: the result of its cell as JSON, if it could not be written."""

_STATUSES = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
"""What the run's outcome says better; pytest's other statuses say that there was none."""


class Node(Protocol):
    """A pytest-xdist worker, as its controller sees it."""

    workerinput: dict[str, object]


class Controller:
    """Owns the run's folder. Workers get its path, and the plan.

    Attributes:
        plan: What is to be run; ``None`` before the session has started.
        folder: The run's folder; ``None`` if nothing is run.
        scratch: Where probes leave their files until they are read, and nothing is redacted yet:
            outside the run's folder, and removed when the run is over.
        done: Ids of cells and controls that have a result from an earlier run.
        tests: The selected tests that run a cell, by their ids, with the cell's id.
        others: How many selected tests run no cell.
        report: The report, once it exists.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.plan: Plan | None = None
        self.folder: Path | None = None
        self.scratch: Path | None = None
        self.done: frozenset[str] = frozenset()
        self.tests: dict[str, str] = {}
        self.others = 0
        self._began_s = time.monotonic()
        self.report: Report | None = None
        self._janitor: Janitor | None = None
        self._dask: DaskRun | None = None
        self._unwritten: list[Unwritten] = []
        self._interruption: RunEnd | None = None
        self._path: Path | None = None
        self._error: str | None = None

    def is_control(self, cell: str) -> bool:
        """Return whether the id of a cell is that of a control."""
        return self.plan is not None and any(cell == each.id for each in self.plan.controls)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Make the plan, and write it down before anything can be interrupted."""
        self._janitor = Janitor()
        if self.config.getoption("deadlock_matrix_dask") is not None:
            from deadlock_matrix.pytest_plugin.dask_run import DaskRun

            try:
                self._dask = DaskRun(self.config)
            except DeadlockMatrixError as error:
                raise pytest.UsageError(str(error)) from error
        plan = make_plan(self.config, self._dask)
        redaction = self._make_redaction(plan)
        try:
            begun = start(self.config, plan, redaction, self._elsewhere())
            self.plan, self.done = begun.plan, begun.done
            if self.config.option.collectonly:
                return
            redacted = redact_plan(self.plan, redaction)
            if begun.folder is not None:
                self.folder = begun.folder
                go_on(self.folder, redacted)
            else:
                self.folder = report_folder(self.config, self.plan.run)
                begin(self.folder, redacted)
                self._take_over(begun)
        except DeadlockMatrixError as error:
            raise pytest.UsageError(str(error)) from error
        self.scratch = self._janitor.folder

    def _take_over(self, begun: Start) -> None:
        """Write the results that need not be found again, with their evidence."""
        if not begun.taken or self.folder is None or begun.origin is None:
            return
        side_files = SideFiles(self.folder)
        for result in begun.taken:
            side_files.adopt(result, begun.origin)
        with Journal(self.folder, TAKEN) as journal:
            journal.extend(begun.taken)

    def pytest_report_header(self) -> list[str]:
        """Say what is going to be run."""
        if self.plan is None:
            return []
        sizes = f"{len(self.plan.cells)} cells, {len(self.plan.controls)} controls"
        where = [] if self.folder is None else [f"deadlock matrix: run folder {self.folder}"]
        done = (
            [f"deadlock matrix: {len(self.done)} of them already have a result"]
            if self.done
            else []
        )
        return [f"deadlock matrix: {sizes}", *done, *where]

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Node) -> None:
        """Tell a worker the plan, and where the run's folders are."""
        node.workerinput[FOLDER_KEY] = str(self.folder)
        node.workerinput[SCRATCH_KEY] = str(self.scratch)
        node.workerinput[PROCESS_KEY] = os.getpid()
        node.workerinput[PLAN_KEY] = msgspec.json.encode(self.plan).decode()
        node.workerinput[DONE_KEY] = sorted(self.done)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which cells ``-k`` and the like leave, without workers."""
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
        if self._nothing_ran(self.folder):
            _discard(self.folder)
            return
        self._add_machines()
        ended = known(self._end(session), "pytest, at the end of its session")
        taken_s = time.monotonic() - self._began_s
        try:
            report = assemble(self.folder, taken_s, ended=ended, unwritten=self._unwritten)
        except DeadlockMatrixError as error:
            self._error = str(error)
            session.exitstatus = ExitStatus.NOT_WRITTEN
            return
        self.report = self._write(report, self.folder)
        nothing_left = self.done and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
        if session.exitstatus in _STATUSES or nothing_left:
            outcome = self.report.outcome
            if outcome is not RunOutcome.AS_EXPECTED or nothing_left:
                session.exitstatus = EXIT_STATUS[outcome]

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell Ctrl-C from ``-x``, for which pytest-xdist interrupts too, and from pytest.exit."""
        ctrl_c = excinfo.type is KeyboardInterrupt
        self._interruption = RunEnd.INTERRUPTED if ctrl_c else RunEnd.STOPPED

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what could not be written: the report at the end still shows it."""
        if (left := getattr(report, UNWRITTEN_ATTRIBUTE, None)) is not None:
            self._unwritten.append(msgspec.json.decode(left, type=Unwritten))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report and where it is."""
        if self.report is not None:
            writer = self.config.get_terminal_writer()
            terminalreporter.write_sep("=", "deadlock matrix")
            width = min(writer.fullwidth, 120)
            shown = text(
                self.report,
                width,
                colour=writer.hasmarkup,
                causes=load_causes(),
                studies=load_studies(),
            )
            terminalreporter.write_line(shown)
        if self._path is not None:
            terminalreporter.write_line(f"\nreport: {self._path}")
        if self._error is not None:
            terminalreporter.write_line(f"deadlock matrix: no report: {self._error}", red=True)

    def _elsewhere(self) -> dict[str, Planned]:
        return self._dask.by_name() if self._dask is not None else {}

    def open_dask_engine(self) -> Engine:
        """Return what runs the cells on other machines."""
        assert self._dask is not None and self.plan is not None
        return self._dask.engine(self.plan.run)

    def _add_machines(self) -> None:
        """Note the machines that joined after the plan was made."""
        if self._dask is None or self.plan is None or self.folder is None:
            return
        machines, notes = self._dask.ended()
        self.plan = msgspec.structs.replace(
            self.plan,
            machines=self.plan.machines | machines,
            notes=(*self.plan.notes, *notes),
        )
        self._rewrite_plan()

    def pytest_unconfigure(self) -> None:
        """Remove temporary files, even of a session that never began."""
        if self._dask is not None:
            self._dask.close()
        if self._janitor is not None:
            self._janitor.close()

    def _end(self, session: pytest.Session) -> RunEnd:
        if self._interruption is not None:
            return self._interruption
        if session.exitstatus == pytest.ExitCode.INTERNAL_ERROR:
            return RunEnd.BROKEN
        stopped = session.shouldstop or session.shouldfail
        return RunEnd.STOPPED if stopped else RunEnd.FINISHED

    def _write(self, report: Report, folder: Path) -> Report:
        """Write the report; the result says so if it could not be written."""
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
        written = {as_pytest_writes(id_): id_ for id_ in known}  # this is nearly always enough
        for nodeid in nodeids:
            found = written.get(parameters_of(nodeid)) or cell_id(nodeid, known)
            if found is None:
                self.others += 1
            else:
                self.tests[nodeid] = found
        chosen = frozenset(self.tests.values()) | self.done
        selected = tuple(id_ for id_ in known if id_ in chosen)
        self.plan = msgspec.structs.replace(self.plan, selected=selected)
        if self.folder is not None:
            try:
                self._rewrite_plan()
            except DeadlockMatrixError as error:
                pytest.exit(str(error), returncode=ExitStatus.NOT_WRITTEN)

    def _rewrite_plan(self) -> None:
        assert self.plan is not None and self.folder is not None
        write_plan(self.folder, redact_plan(self.plan, self._make_redaction(self.plan)))

    def _make_redaction(self, plan: Plan) -> Redaction:
        include = self.config.getoption("deadlock_matrix_include_host")
        return make_redaction(plan, include_host=include)

    def _nothing_ran(self, folder: Path) -> bool:
        return not self.tests and not (folder / JOURNAL_FOLDER).exists()


def _discard(folder: Path) -> None:
    """Remove the folder of a run about which there is nothing to report."""
    (folder / PLAN_FILE).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the user's own folder, with other files
        folder.rmdir()
