"""macOS and Windows: process trees by psutil.

Its authors have not run this on those systems yet. They have no subreaper, so descendants are
looked for again and again while the tree runs, and remembered with their start times. A process in
its own session that starts and loses its parent between two looks is missed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil

from deadlock_matrix.errors import NotFound, StartError
from deadlock_matrix.model.fact import Known, Unknown, unknown
from deadlock_matrix.model.observation import Exited, Leftovers, Signalled
from deadlock_matrix.run.process import Order, Supervisor

END_WITHIN_S = 10.0


class PortableSupervisor(Supervisor):
    """Runs one process tree at a time as a direct child."""

    def __init__(self) -> None:
        """Prepare; nothing is started yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._seen: dict[int, psutil.Process] = {}

    def start(self, order: Order) -> int:
        """See `Supervisor.start`."""
        stdin, stdout, stderr = order.streams
        flags = 0
        if sys.platform == "win32" and order.new_session:
            flags = subprocess.CREATE_NEW_PROCESS_GROUP
        try:
            self._process = subprocess.Popen(
                order.command,
                env=order.environment,
                cwd=order.folder,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=order.new_session and os.name == "posix",
                creationflags=flags,
            )
        except OSError as error:
            kind = NotFound if isinstance(error, FileNotFoundError) else StartError
            raise kind(f"{order.command[0]} could not be started: {error}") from error
        self._seen = {}
        self._note_descendants()
        return self._process.pid

    def wait(self, timeout_s: float) -> Exited | Signalled | None:
        """See `Supervisor.wait`."""
        if self._process is None:
            return None
        self._note_descendants()
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        if os.name == "posix" and status < 0:
            return Signalled(signal=-status)
        return Exited(status=status)

    def tree_roots(self) -> tuple[int, ...]:
        """See `Supervisor.tree_roots`."""
        assert self._process is not None
        orphans = []
        for pid, process in self._seen.items():
            with contextlib.suppress(psutil.Error):
                if process.is_running() and process.ppid() in (0, 1):
                    orphans.append(pid)
        return (self._process.pid, *sorted(set(orphans) - {self._process.pid}))

    def alarms(
        self, pids: Sequence[int], within_s: float
    ) -> dict[int, Known[tuple[float, ...]] | Unknown]:
        """See `Supervisor.alarms`."""
        return dict.fromkeys(pids, unknown("alarms are asked for on Linux only"))

    def end(self) -> Leftovers:
        """See `Supervisor.end`."""
        deadline = time.monotonic() + END_WITHIN_S
        ended = 0
        while True:
            self._note_descendants()
            alive = [process for process in self._seen.values() if _is_alive(process)]
            if not alive or time.monotonic() > deadline:
                break
            for process in alive:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            gone, _ = psutil.wait_procs(alive, timeout=0.5)
            ended += len(gone)
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(deadline - time.monotonic(), 0.1))
            self._process = None
        return Leftovers(ended=ended, alive=tuple(f"process {process.pid}" for process in alive))

    def release(self) -> None:
        """See `Supervisor.release`."""
        self._process = None
        self._seen = {}

    def close(self) -> None:
        """See `Supervisor.close`."""
        if self._process is not None:
            self.end()

    def _note_descendants(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(psutil.Error):
            main = self._seen.setdefault(self._process.pid, psutil.Process(self._process.pid))
            for parent in (main, *tuple(self._seen.values())):
                with contextlib.suppress(psutil.Error):
                    for child in parent.children(recursive=True):
                        self._seen.setdefault(child.pid, child)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
