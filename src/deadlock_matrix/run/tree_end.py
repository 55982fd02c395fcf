"""End one process with all its descendants; the caller is not one of them."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from deadlock_matrix.capture.tree import members, process_table

WITHIN_S = 5.0


def end_tree(root: int) -> tuple[int, ...]:
    """Stop all until a look finds no new process (a stopped one cannot fork); then kill them.

    Returns:
        The processes that still live after five seconds.
    """
    deadline = time.monotonic() + WITHIN_S
    stopped: set[int] = set()
    while time.monotonic() < deadline:
        table = process_table()
        alive = {pid for pid in members([root], table) if table[pid].state not in "ZX"}
        if alive <= stopped:
            break
        for pid in alive - stopped:
            _send(pid, signal.SIGSTOP)
        stopped |= alive
    for pid in stopped:
        _send(pid, signal.SIGKILL)
    while time.monotonic() < deadline:
        table = process_table()
        left = tuple(pid for pid in stopped if pid in table and table[pid].state not in "ZX")
        if not left:
            return ()
        time.sleep(0.002)
    return left


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
