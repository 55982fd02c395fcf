"""Signals have names."""

from __future__ import annotations

import signal
import sys

import pytest

from deadlock_matrix.model.signals import signal_name


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "SIGHUP"), (15, "SIGTERM"), (31, "SIGSYS"), (32, "SIGCANCEL"), (34, "SIGRTMIN"),
     (36, "SIGRTMIN+2"), (64, "SIGRTMIN+30"), (65, "signal 65"), (0, "signal 0")],
)  # fmt: skip
def test_name(number: int, name: str) -> None:
    assert signal_name(number) == name


@pytest.mark.skipif(sys.platform != "linux", reason="other systems number them differently")
def test_agrees_with_the_system() -> None:
    same = {"SIGCLD": "SIGCHLD", "SIGPOLL": "SIGIO", "SIGIOT": "SIGABRT", "SIGRTMAX": "SIGRTMIN+30"}
    for each in signal.Signals:
        assert signal_name(each.value) == same.get(each.name, each.name)
