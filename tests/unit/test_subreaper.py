"""The end of the helper that guards the probes, where even SIGKILL does not end it."""

from __future__ import annotations

import socket
import subprocess

from deadlock_matrix.run.subreaper import SubreaperSupervisor


class Guard:
    """Stands for a process in uninterruptible sleep, which no test can bring about."""

    def __init__(self) -> None:
        self.limits: list[float | None] = []
        self.killed = False

    def wait(self, timeout: float | None = None) -> int:
        self.limits.append(timeout)
        if timeout is None:
            raise AssertionError("it would wait for ever")
        raise subprocess.TimeoutExpired("guard", timeout)

    def send_signal(self, number: int) -> None:
        pass

    def kill(self) -> None:
        self.killed = True


def test_a_guard_that_outlasts_sigkill_is_not_waited_for_without_a_limit() -> None:
    supervisor = SubreaperSupervisor.__new__(SubreaperSupervisor)
    ours, theirs = socket.socketpair()
    guard = Guard()
    supervisor._channel = ours
    supervisor._guard = guard  # type: ignore[assignment]
    supervisor._guarded_handle = -1
    with theirs:
        supervisor.close()
    assert guard.killed
    assert len(guard.limits) == 3 and None not in guard.limits
