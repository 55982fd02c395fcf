"""Has anything in a process tree done any work since the last look?

This is for a time limit, not for a proof. The main thread sleeps all the time when it is asked. A
process below it that ran for a moment counts as work: the main thread may be waiting for it. A
thread beside it counts if it used the processor for more than a hundredth of the time: heartbeats,
monitors and threads that wait for the GIL use less. Many of those together use more, so while one
thread sleeps with the GIL, the time of each counts alone.
"""

from __future__ import annotations

import os
import time

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.model.thread_facts import Switches

SHARE_AT_WORK = 0.01


class Movement:
    """Remembers the last look."""

    def __init__(self) -> None:
        self._began_s = 0.0
        self._ticks: dict[int, int] = {}
        self._asleep: dict[int, tuple[Switches, float]] = {}  # run count, and since when
        self._others: dict[tuple[int, int], int] = {}
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self.note_work()

    def note_work(self) -> None:
        """Note that something works now."""
        self._last_s = self._last_alone_s = time.monotonic()

    def note(self, snapshot: Snapshot, gil_holder: int | None = None) -> float:
        """Compare with the last look.

        Args:
            snapshot: The tree now.
            gil_holder: The thread of the root that has the GIL, if that is known.

        Returns:
            For how many seconds nothing has worked.
        """
        ticks: dict[int, int] = {}
        asleep: dict[int, tuple[Switches, float]] = {}
        others: dict[tuple[int, int], int] = {}
        for process in snapshot.processes:
            for thread in process.threads:
                if process.pid == snapshot.root:
                    ticks[thread.tid] = thread.cpu_ticks
                    if isinstance(thread.switches, Known):
                        counted, since_s = self._asleep.get(thread.tid, (None, 0.0))
                        if counted != thread.switches.value:
                            since_s = snapshot.begun_s
                        asleep[thread.tid] = thread.switches.value, since_s
                elif isinstance(thread.switches, Known):
                    switches = thread.switches.value
                    others[process.pid, thread.tid] = switches.voluntary + switches.involuntary
        used = [(at - self._ticks.get(tid, 0)) * self._tick_s for tid, at in ticks.items()]
        enough_s = max(SHARE_AT_WORK * (snapshot.begun_s - self._began_s), self._tick_s)
        if others != self._others or sum(used) > enough_s:
            self._last_s = snapshot.begun_s
        if others != self._others or max(used, default=0.0) > enough_s:
            self._last_alone_s = snapshot.begun_s
        self._began_s, self._ticks, self._others = snapshot.begun_s, ticks, others
        self._asleep = asleep
        last_s = self._last_s
        if gil_holder in asleep:
            last_s = min(last_s, max(self._last_alone_s, asleep[gil_holder][1]))
        return time.monotonic() - last_s
