"""Inside a pytest process: write down which test begins and how each phase ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pytest import TestReport

from deadlock_matrix.pytest_plugin.guard import journal
from deadlock_matrix.pytest_plugin.guard.journal import PHASES, START

FOLDER_KEY = "deadlock_matrix_guard"

IN_GROUPS = frozenset({"loadfile", "loadscope", "loadgroup"})
"""Values of ``--dist`` with which xdist hands out whole groups of tests."""

RESULTS = "deadlock_matrix_results"
"""The name of the plugin that records tests and their reports."""


class Recorder:
    """Writes into the journal of this process what it does outside tests."""

    def __init__(self, writer: journal.Writer) -> None:
        self._write = writer.write

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Record what is being imported."""
        self._write(journal.COLLECTING, collector.nodeid)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Record how many tests there are."""
        self._write(journal.COLLECTED, len(session.items))
        self._write(journal.RUNNING)

    def pytest_enter_pdb(self) -> None:
        """Record that a person is asked, who may take any time."""
        self._write(journal.PROMPTING)

    def pytest_leave_pdb(self) -> None:
        """Record that the test goes on."""
        self._write(journal.GOING_ON)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int | pytest.ExitCode) -> None:
        """Record that reports are written from here on, after the teardown of session fixtures."""
        self._write(journal.FINISHING, int(exitstatus))

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Record that from here on, a hang is a hang at exit."""
        self._write(journal.ENDING)


class Results:
    """Writes which test begins, and how each of its phases ends.

    Four calls for every test: they do little, and call little.
    """

    def __init__(self, config: pytest.Config, writer: journal.Writer) -> None:
        self._config = config
        self._write = writer.write
        self._begun = writer.begun
        self._passed = writer.passed
        self._location: object = None  # of the test that began last
        self._number = 0  # of the test that should begin next
        self._listed: list[object] = [None]  # their locations
        self._numbers: dict[int, int] = {}  # by the identity of these

    def list_tests(self, items: Sequence[pytest.Item]) -> None:
        """Write them all down at once: then they need no names when they begin."""
        nodeids, locations = [item.nodeid for item in items], [item.location for item in items]
        numbers = {id(location): number for number, location in enumerate(locations)}
        # A location says which test it is, unless something other than pytest made them.
        if len(numbers) == len(items) and self._write(journal.TESTS, nodeids, locations):
            self._listed, self._numbers = [*locations, None], numbers

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Record that a test begins."""
        self._location = location
        number = self._number
        if location is not self._listed[number]:
            number = self._numbers.get(id(location), -1)
            if number < 0:
                self._write(START, nodeid, location)
                return
        self._number = number + 1
        self._begun(number)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record that a phase of a test has ended."""
        if (
            report.outcome != "passed"
            or report.sections
            or report.user_properties
            or type(report) is not TestReport  # a subtest's, say
            or "wasxfail" in report.__dict__
        ):
            self._write(journal.REPORT, serialise(self._config, report), report.when)
        elif report.location is not self._location or report.when not in PHASES:
            # Another test's. The ids would say the same, but pytest 9 makes a report's id anew for
            # every caller.
            times = (report.duration, report.start, report.stop)
            self._write(journal.PASSED, report.when, times, report.nodeid, report.location)
        else:
            self._passed(report)


class Received:
    """In xdist's controller: records the reports that no worker's journal has.

    Those are made here, for a worker that crashed, or come from a worker that writes no journal, as
    one on another machine.
    """

    def __init__(self, folder: Path, results: Results) -> None:
        self._folder = folder
        self._record = results.pytest_runtest_logreport
        self._recording: set[str] = set()  # workers

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        """Note whether a worker writes a journal."""
        worker = node.workerinput["workerid"]
        if any(self._folder.glob(journal.file_name("*", worker))):
            self._recording.add(worker)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record it, unless its worker has done so before it sent it."""
        if report.__dict__.get("worker_id") not in self._recording:
            self._record(report)


class SessionRecorder(Recorder):
    """The same for the process in which pytest was started, which may have workers."""

    def __init__(
        self, folder: Path, config: pytest.Config, writer: journal.Writer, results: Results
    ) -> None:
        super().__init__(writer)
        self._folder = folder
        self._config = config
        self._results = results

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Record which tests there are, too; a worker does not run all of them."""
        super().pytest_collection_finish(session)
        if not self._config.option.collectonly:
            self._results.list_tests(session.items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record what could not be collected as a result, too."""
        if not report.passed:
            self._write(journal.COLLECT_REPORT, serialise(self._config, report))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist where to write, and leave to it what happens there."""
        node.workerinput[FOLDER_KEY] = str(self._folder)
        in_groups = self._config.getoption("dist", "") in IN_GROUPS
        self._write(journal.DISTRIBUTING, in_groups, not node.gateway.spec.popen)
        manager = self._config.pluginmanager
        if manager.get_plugin(RESULTS) is self._results:
            from deadlock_matrix.pytest_plugin.guard.workers import Crashes

            manager.unregister(self._results)
            manager.register(Received(self._folder, self._results), RESULTS)
            manager.register(Crashes(self._folder, self._config), "deadlock_matrix_workers")

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Record, from a worker, how many tests there are."""
        self._write(journal.COLLECTED, len(ids))


def serialise(config: pytest.Config, report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return a report as pytest gives it to other processes."""
    data = config.hook.pytest_report_to_serializable(config=config, report=report)
    data.pop("node", None)  # xdist's: the connection to the worker
    return json.dumps(data, default=str)


class Remainder:
    """Leaves out the tests that an earlier session of the same run has begun."""

    def __init__(self, config: pytest.Config, done: frozenset[str]) -> None:
        self._config = config
        self._done = done

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Deselect them."""
        left = [item for item in items if item.nodeid in self._done]
        if left:
            items[:] = [item for item in items if item.nodeid not in self._done]
            self._config.hook.pytest_deselected(items=left)
