"""Inside a pytest process: write down which test begins and how each phase ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deadlock_matrix.pytest_plugin.guard import journal
from deadlock_matrix.pytest_plugin.guard.journal import PHASES, START

FOLDER_KEY = "deadlock_matrix_guard"

IN_GROUPS = frozenset({"loadfile", "loadscope", "loadgroup"})
"""Values of ``--dist`` with which xdist hands out whole groups of tests."""


class Recorder:
    """Writes the journal of this process.

    In xdist's controller tests start elsewhere, and their reports arrive mixed: there every report
    is written whole, and the workers' journals say what runs.
    """

    def __init__(self, folder: Path, config: pytest.Config, writer: journal.Writer) -> None:
        self._config = config
        self._folder = folder
        self._write = writer.write
        self._passed = writer.passed
        self._location: object = None  # of the test that began last

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Record what is being imported."""
        self._write(journal.COLLECTING, collector.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record what could not be collected as a result, too."""
        if not report.passed:
            self._write(journal.COLLECT_REPORT, self._serialise(report))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Record how many tests there are."""
        self._write(journal.COLLECTED, len(session.items))
        self._write(journal.RUNNING)

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Record that a test begins."""
        self._location = location
        self._write(START, nodeid, location)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record that a phase of a test has ended."""
        if (
            report.outcome != "passed"
            or report.sections
            or report.user_properties
            or type(report) is not pytest.TestReport  # a subtest's, say
        ):
            self._write(journal.REPORT, self._serialise(report), report.when)
        elif report.location is not self._location or report.when not in PHASES:
            # Another test's, as all are in a controller. The ids would say the same, but pytest 9
            # makes a report's id anew for every caller.
            times = (report.duration, report.start, report.stop)
            self._write(journal.PASSED, report.when, times, report.nodeid, report.location)
        else:
            self._passed(report)

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

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist where to write."""
        node.workerinput[FOLDER_KEY] = str(self._folder)
        in_groups = self._config.getoption("dist", "") in IN_GROUPS
        self._write(journal.DISTRIBUTING, in_groups, not node.gateway.spec.popen)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Record, from a worker, how many tests there are."""
        self._write(journal.COLLECTED, len(ids))

    def _serialise(self, report: pytest.TestReport | pytest.CollectReport) -> str:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
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
