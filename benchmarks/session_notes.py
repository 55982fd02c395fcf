"""A pytest plugin for benchmarks: ``-p session_notes``.

It writes down when each test begins, in the file ONSET_FILE, and how much processor time the
session's own process has used from its start on (what comes before happens ahead of a fork, or is
the same anyway), in the file USED_FILE, each where that variable is set.

Where TURNS_FILE is set, it takes the plugins of ``--prove-hangs`` out for every other hundred
tests, and writes down how much processor time a test took with them and without. That is the same
machine at the same time, which no pair of sessions can say.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_BEGAN = pytest.StashKey[float]()


class Onsets:
    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Only the process that executes the test calls this."""
        file = os.open(os.environ["ONSET_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, json.dumps([item.name, time.monotonic()]).encode() + b"\n")
        os.close(file)
        yield


class Inert:
    """A plugin without hooks."""


class Turns:
    """Of each hundred tests the first ten do not count, as to register a plugin costs something.
    A plugin that does nothing takes the place of each that is out, so that it costs the same."""

    TESTS, WARM_UP = 100, 10

    def __init__(self, config: pytest.Config) -> None:
        self._manager = config.pluginmanager
        self._ours = [
            (name, plugin)
            for name, plugin in self._manager.list_name_plugin()
            if name.startswith("deadlock_matrix_") and plugin is not None
        ]
        self._number = 0
        self._watched = True
        self._began_s = 0.0
        self._seconds: dict[bool, list[float]] = {True: [], False: []}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> None:
        place = self._number % self.TESTS
        if not place:
            if self._number:
                used = time.process_time() - self._began_s
                self._seconds[self._watched].append(used / (self.TESTS - self.WARM_UP))
            self._watched = not self._watched
            for name, plugin in self._ours:
                self._manager.unregister(name=name)
                self._manager.register(plugin if self._watched else Inert(), name)
        elif place == self.WARM_UP:
            self._began_s = time.process_time()
        self._number += 1

    def pytest_unconfigure(self) -> None:
        Path(os.environ["TURNS_FILE"]).write_text(
            json.dumps([self._seconds[False], self._seconds[True]])
        )


def pytest_configure(config: pytest.Config) -> None:
    if "ONSET_FILE" in os.environ:
        config.pluginmanager.register(Onsets())


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if "TURNS_FILE" in os.environ:
        session.config.pluginmanager.register(Turns(session.config))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[_BEGAN] = time.process_time()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if "USED_FILE" in os.environ and not hasattr(config, "workerinput"):
        used = time.process_time() - config.stash[_BEGAN]
        Path(os.environ["USED_FILE"]).write_text(str(used))
