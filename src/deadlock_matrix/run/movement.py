"""Has anything in a process tree done any work since the last look?

This is for a time limit, not for a proof. The main thread sleeps all the time when it is asked. A
process below it that ran for a moment counts as work: the main thread may be waiting for it. A
thread beside it counts if it used the processor for more than a hundredth of the time: heartbeats,
monitors and threads that wait for the GIL use less.
"""

from __future__ import annotations

import os
import time

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.process_facts import Snapshot

SHARE_AT_WORK = 0.01


class Movement:
    """Remembers the last look."""

    def __init__(self) -> None:
        self._began_s = 0.0
        self._ticks = 0
        self._others: dict[tuple[int, int], int] = {}
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self.last_s = time.monotonic()

    def note(self, snapshot: Snapshot) -> float:
        """Compare with the last look.

        Returns:
            For how many seconds nothing has worked.
        """
        ticks = 0
        others: dict[tuple[int, int], int] = {}
        for process in snapshot.processes:
            for thread in process.threads:
                if process.pid == snapshot.root:
                    ticks += thread.cpu_ticks
                elif isinstance(thread.switches, Known):
                    switches = thread.switches.value
                    others[process.pid, thread.tid] = switches.voluntary + switches.involuntary
        used_s = (ticks - self._ticks) * self._tick_s
        passed_s = snapshot.begun_s - self._began_s
        if others != self._others or used_s > max(SHARE_AT_WORK * passed_s, self._tick_s):
            self.last_s = snapshot.begun_s
        self._began_s, self._ticks, self._others = snapshot.begun_s, ticks, others
        return time.monotonic() - self.last_s
