"""A session that runs nothing: gives the results of an ended one to all reporting plugins."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import pytest

from deadlock_matrix.pytest_plugin.guard import journal
from deadlock_matrix.pytest_plugin.guard.failure import failure_of
from deadlock_matrix.pytest_plugin.guard.hang import Hang, Told


def make_quiet(early_config: pytest.Config, args: list[str], parser: pytest.Parser) -> None:
    """Let the session that follows import nothing of the user's, and start no workers.

    Options that a conftest file defines are then unknown, and removed.
    """
    early_config.known_args_namespace.noconftest = True
    namespace, unknown = parser.parse_known_and_unknown_args(
        args, namespace=copy.copy(early_config.option)
    )
    for argument in unknown:
        if argument in args:
            args.remove(argument)
    if hasattr(namespace, "numprocesses"):
        args += ["-n", "0"]
    if hasattr(namespace, "no_header"):  # -p no:terminal
        args.append("--no-header")
    args.append("--maxfail=0")


class Replay:
    """Takes the place of collection and of the run."""

    def __init__(
        self,
        config: pytest.Config,
        journals: list[journal.Reader],
        told: list[Told],
        status: int,
    ) -> None:
        self._config = config
        self._journals = journals
        self._told = list(told)
        self._status = status
        self._test = ""
        self._begun: set[str] = set()
        self._collected = 0
        self._location: tuple[str, int | None, str] = ("", None, "")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        """Collect nothing; the journal says how many tests there were."""
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Report what had been reported, then what hung."""
        outside = sum(not told.hang.position.test for told in self._told)
        with _muted(self._config):
            for each in self._journals:
                for record in each.read():
                    self._report(record)
                self._report_hangs(each.pid)
        session.testscollected = max(self._collected + outside, 1)  # for the percentage of progress
        return True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show what nobody has run."""
        number = self._collected - len(self._begun)
        if number > 0:
            what = "1 test was" if number == 1 else f"{number} tests were"
            terminalreporter.write_line(f"prove-hangs: {what} not run", yellow=True)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Make the exit status say that a hang ended the session."""
        session.exitstatus = self._status

    def _report_hangs(self, pid: int) -> None:
        for told in tuple(self._told):
            # If a worker hung outside a test, the session was ended with it.
            if told.hang.pid == pid or pid == self._journals[-1].pid:
                self._config.hook.pytest_runtest_logreport(report=_failure(told.hang, told.text))
                self._told.remove(told)

    def _report(self, record: journal.Record) -> None:
        """Report what one record says to all plugins."""
        hook = self._config.hook
        kind = record[0]
        if kind == journal.COLLECTED:
            self._collected = max(self._collected, record[1])
        elif kind == journal.START:
            self._test, self._location = record[1], tuple(record[2])
            self._begin(self._test, self._location)
        elif kind == journal.PASSED:
            nodeid, location = record[3:] or (self._test, self._location)
            self._report_phase(_passed(nodeid, tuple(location), record[1], *record[2]))
        elif kind in (journal.REPORT, journal.COLLECT_REPORT):
            report = hook.pytest_report_from_serializable(
                config=self._config, data=_with_tuples(json.loads(record[1]))
            )
            if kind == journal.REPORT:
                self._report_phase(report)
            else:
                hook.pytest_collectreport(report=report)

    def _begin(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self._begun.add(nodeid)
        self._config.hook.pytest_runtest_logstart(nodeid=nodeid, location=location)

    def _report_phase(self, report: pytest.TestReport) -> None:
        if report.nodeid not in self._begun:  # its worker writes no journal
            self._begin(report.nodeid, report.location)
        self._config.hook.pytest_runtest_logreport(report=report)


def _with_tuples(data: dict[str, Any]) -> dict[str, Any]:
    """Return a report as it was before JSON turned its tuples into lists, as pytest requires."""
    for name in ("longrepr", "location"):
        if isinstance(data.get(name), list):
            data[name] = tuple(data[name])
    for name in ("sections", "user_properties"):
        data[name] = [tuple(each) for each in data.get(name, ())]
    return data


def _passed(
    nodeid: str, location: Any, when: Any, duration: float, start: float, stop: float
) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=nodeid,
        location=location,
        keywords={},
        outcome="passed",
        longrepr=None,
        when=when,
        duration=duration,
        start=start,
        stop=stop,
    )


def _failure(hang: Hang, text: str) -> pytest.TestReport:
    where = hang.position
    nodeid = where.test or f"prove-hangs::{where.doing}"
    when = {"in the setup of": "setup", "in the teardown of": "teardown"}.get(where.doing, "call")
    location = where.location if where.test else (nodeid, None, where.doing)
    report = pytest.TestReport(
        nodeid=nodeid,
        location=location,
        keywords={},
        outcome="failed",
        longrepr=failure_of(text, location),
        when=when,  # type: ignore[arg-type]
        duration=hang.asleep_s,
    )
    return report


class _muted:
    """Progress has already been printed: the terminal shows only the summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: Any = config.pluginmanager.getplugin("terminalreporter")
        self._config = config

    def __enter__(self) -> None:
        if self._reporter is not None:
            from _pytest.config import create_terminal_writer

            self._null = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
            self._writer = self._reporter._tw
            self._reporter._tw = create_terminal_writer(self._config, self._null)

    def __exit__(self, *exception: object) -> None:
        if self._reporter is not None:
            self._reporter._tw = self._writer
            self._reporter.currentfspath = None
            self._null.close()
