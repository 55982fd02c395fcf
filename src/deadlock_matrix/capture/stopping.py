"""Processes that a reader of native stacks stops, and may leave stopped."""

from __future__ import annotations

import os
import signal
import time

from deadlock_matrix.capture.proc_files import read_small
from deadlock_matrix.capture.proc_text import parse_stat


def is_stopped(pid: int) -> bool:
    """Return whether somebody has stopped it, by a signal or as a debugger."""
    try:
        return parse_stat(read_small(f"/proc/{pid}/stat")).state in "Tt"
    except (OSError, ValueError):
        return False


def let_go(pid: int) -> None:
    """Continue a process that a helper left stopped.

    pystack stops a thread by PTRACE_ATTACH, which sends SIGSTOP. A helper killed before that stop
    was reported leaves the signal behind, and the process stays stopped.
    """
    for _ in range(20):
        if is_stopped(pid):
            try:
                os.kill(pid, signal.SIGCONT)
            except OSError:
                return
        time.sleep(0.01)
