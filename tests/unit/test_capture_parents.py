"""Which signal a ``timeout`` above a process will send."""

from __future__ import annotations

import pytest

from deadlock_matrix.capture.parents import signal_of_timeout


@pytest.mark.parametrize(
    ("command", "signal"),
    [
        ("timeout 9 tool", "SIGTERM"),
        ("timeout -s INT 9 tool", "SIGINT"),
        ("timeout -sINT 9 tool", "SIGINT"),
        ("timeout --preserve-status --signal=SIGINT 9 tool", "SIGINT"),
        ("timeout --signal int 9 tool", "SIGINT"),
        ("timeout -k 5 -s 2 9 tool", "SIGINT"),
        ("timeout -v -k 5 9 tool -s INT", "SIGTERM"),
        ("timeout -s", "SIG"),
    ],
)
def test_signal(command: str, signal: str) -> None:
    assert signal_of_timeout(command.split()) == signal
