"""With pytest-xdist: what becomes of a worker that was ended for a hang, and of its test."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deadlock_matrix.pytest_plugin.guard.failure import failure_of
from deadlock_matrix.pytest_plugin.guard.left import MOST_HANGS, hung, left


class Crashes:
    """In the session's controller: a worker that was ended for a hang says why."""

    def __init__(self, folder: Path, config: pytest.Config) -> None:
        self._folder = folder
        self._config = config
        self._hangs = 0

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Keep the session from waiting for ever for a worker's successor.

        xdist's schedulers by file and by scope (3.8) pass on what a crashed worker had, including
        the files that it had finished: the next one waits for the end of work it was never given.
        """
        scheduler: Any = getattr(self._config.pluginmanager.getplugin("dsession"), "sched", None)
        if error and hasattr(scheduler, "_removed2pending"):
            _note_collection(scheduler, node)
        if not error or not hasattr(scheduler, "workqueue"):
            return
        work = scheduler.assigned_work.get(node, {})
        for name in [name for name, unit in work.items() if all(unit.values())]:
            del work[name]
        if "schedule" not in vars(scheduler):
            scheduler.schedule = partial(_schedule, scheduler, scheduler.schedule)

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Put the explanation in the place of ``worker 'gw0' crashed``.

        pytest-rerunfailures would run the test once more; it is not run, so this is its result.
        """
        hang = left(self._folder).get(crashitem)
        if hang is not None:
            report.location = hang.location
            report.longrepr = failure_of(hang.text, hang.location)
            report.when, report.outcome = "call", "failed"
            self._count()

    def _count(self) -> None:
        """Let hangs not count as crashes, after a few of which xdist ends the session.

        Unless the user has said after how many.
        """
        dsession: Any = self._config.pluginmanager.getplugin("dsession")
        self._hangs += 1
        if self._hangs > MOST_HANGS:
            dsession.shouldstop = dsession.shouldstop or f"stopping after {self._hangs} hangs"
        elif self._config.getoption("maxworkerrestart", None) is None:
            dsession._failed_nodes_count -= 1


def _note_collection(scheduler: Any, node: Any) -> None:
    """Let a successor that crashes too have a successor.

    The scheduler of ``--dist each`` (3.8) does not note what a successor has collected, and then
    neither reports its crash nor hands on its tests.
    """
    collections = scheduler.node2collection
    for other, collection in tuple(collections.items()):
        if other.gateway.spec == node.gateway.spec:
            collections.setdefault(node, collection)


def _schedule(scheduler: Any, schedule: Callable[[], None]) -> None:
    """Hand out work until every worker can begin.

    A worker begins a test when it knows the next, or that there is none. The schedulers by file and
    by scope may give a successor a single test: then both wait.
    """
    schedule()
    idle = [
        node
        for node in scheduler.nodes
        if node in scheduler.registered_collections and not node.shutting_down
    ]
    for node in idle:
        while scheduler.workqueue and scheduler._pending_of(scheduler.assigned_work[node]) < 2:
            scheduler._assign_work_unit(node)
        if not scheduler.workqueue and scheduler.assigned_work[node]:
            node.shutdown()


class NoSecondTime:
    """In a worker: a test that hung in another one is not run again.

    Schedulers that hand out whole files (``--dist loadfile``, ``loadscope``) give the rest of a
    crashed worker's file to another one, including the test in which it crashed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hung = hung(folder)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Skip it: its failure has been reported."""
        return True if self._hung[0] and item.nodeid in left(self._folder) else None
