"""A line that says how far the run is, instead of pytest's dots, on a terminal."""

from __future__ import annotations

import time
from collections.abc import Generator

import pytest

from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.pytest_plugin.controller import Controller
from deadlock_matrix.pytest_plugin.runner import outcome_of
from deadlock_matrix.render.progress import Progress, progress_line

_HUNG = frozenset({Verdict.DEADLOCK.value, Verdict.HANG.value, Verdict.SLOW.value})

Status = tuple[str, str, str | tuple[str, dict[str, bool]]]


def wants_progress_line(config: pytest.Config) -> bool:
    """Return whether the output is a terminal, and no other verbosity was requested."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    return (
        reporter is not None
        and reporter.isatty()
        and config.option.verbose == 0
        and config.option.capture != "no"
        and not config.option.collectonly
    )


class ProgressLine:
    """Rewrites one line with pytest's own reporter, which stays silent about cells meanwhile.

    In a session that has other tests too, it leaves everything to pytest.
    """

    def __init__(self, config: pytest.Config, controller: Controller) -> None:
        self._reporter: pytest.TerminalReporter = config.pluginmanager.getplugin("terminalreporter")
        self._controller = controller
        self._running: set[str] = set()
        self._done = 0
        self._hung = 0
        self._began_s: float | None = None
        self._over = False

    def pytest_deadlock_matrix_cell_started(self, nodeid: str) -> None:
        """Count one more as running; its test is run when it is over."""
        self.pytest_runtest_logstart(nodeid)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Count one more as running."""
        if not self._is_on():
            return
        if self._began_s is None:
            self._began_s = time.monotonic()
        self._running.add(nodeid)
        self._draw()

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> Generator[None, Status, Status]:
        """Keep pytest from writing a letter; it counts the result all the same."""
        status = yield
        if self._is_on() and report.nodeid in self._controller.tests:
            return status[0], "", ""
        return status

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what hangs, and report at once what is not as expected."""
        outcome = outcome_of(report)
        if outcome is None or not self._is_on():
            return
        cell = self._controller.tests.get(report.nodeid, report.nodeid)
        self._hung += outcome.verdict in _HUNG and not self._controller.is_control(cell)
        if not outcome.as_expected:
            self._reporter.rewrite(f"{outcome.verdict}  {cell}", erase=True)
            self._reporter.write("\n")

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Count one more as done."""
        if self._is_on():
            self._running.discard(nodeid)
            self._done += 1
            self._draw()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Remove the line; from here on pytest has the terminal to itself."""
        if self._began_s is not None and not self._over:
            self._reporter.rewrite("", erase=True)
            self._reporter.write("\r")
        self._over = True

    def _is_on(self) -> bool:
        on = not self._over and bool(self._controller.tests) and not self._controller.others
        if on and self._reporter.showfspath:
            self._reporter.showfspath = False
        return on

    def _draw(self) -> None:
        began_s = self._began_s or time.monotonic()
        progress = Progress(
            done=self._done,
            running=len(self._running),
            hung=self._hung,
            planned=len(self._controller.tests),
            elapsed_s=time.monotonic() - began_s,
        )
        self._reporter.rewrite(progress_line(progress), erase=True)
        self._reporter.flush()
