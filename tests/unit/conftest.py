"""Unit tests start no process: one that tries fails, also if it hides the error."""

from __future__ import annotations

import _posixsubprocess
import sys
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

EVENTS = frozenset(
    {
        "subprocess.Popen",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "os.system",
        "pty.spawn",
    }
)
"""Audit events; an audit hook cannot be taken out again, so it asks whether a unit test runs."""


class ProcessStarted(Exception):
    """A unit test has tried to start a process."""


class Guard:
    """Refuses to start processes while it is on, and remembers who tried."""

    error = ProcessStarted

    def __init__(self) -> None:
        self.on = False
        self.tried: list[str] = []

    def refuse(self, event: str) -> None:
        self.tried.append(event)
        raise ProcessStarted(f"{event}: a unit test starts no process")

    def audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.on and event in EVENTS:
            self.refuse(event)


GUARD = Guard()
sys.addaudithook(GUARD.audit)
_fork_exec = _posixsubprocess.fork_exec


def _refuse_or_fork(*arguments: Any) -> int:
    # multiprocessing calls it directly, which no audit event tells.
    if GUARD.on:
        GUARD.refuse("fork_exec")
    return _fork_exec(*arguments)


_posixsubprocess.fork_exec = _refuse_or_fork


def _guarded() -> Generator[None, None, None]:
    GUARD.on, GUARD.tried = True, []
    try:
        yield
    finally:
        GUARD.on = False
    if GUARD.tried:
        raise ProcessStarted(f"{', '.join(GUARD.tried)}: a unit test starts no process")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Fixtures of a unit test are guarded too."""
    return (yield from _guarded())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """The test itself."""
    return (yield from _guarded())


@pytest.fixture
def guard() -> Guard:
    """For tests of the guard itself."""
    return GUARD


# A busy machine may take any time over an example.
settings.register_profile("without-deadline", deadline=None)
settings.load_profile("without-deadline")
