"""Has anything in a process tree done any work since the last look?

This is for a time limit, not for a proof. The main thread sleeps all the time when it is asked. A
process below it that ran for a moment counts as work: the main thread may be waiting for it. A
thread beside it counts if it used the processor for more than a hundredth of the time: heartbeats,
monitors and threads that wait for the GIL use less. Many of those together use more, so while one
thread sleeps with the GIL, the time of each counts alone.

Whoever waits for a processor has something to do: on a busy machine a worker that has just been
started may get none for a second. A thread of the root is seen like that by chance, too, as one
that wakes now and then: it counts if the look before saw it so.
"""

from __future__ import annotations

import os
import time

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.model.thread_facts import Switches

SHARE_AT_WORK = 0.01

Ticks = dict[int, int]
"""Processor time of each thread of the root, as the kernel counts it."""


class Movement:
    """Remembers the last look."""

    def __init__(self) -> None:
        self._ticks: Ticks = {}  # when something had last worked
        self._ticks_alone: Ticks = {}  # when a single thread had
        self._asleep: dict[int, tuple[Switches, float]] = {}  # run count, and since when
        self._others: dict[tuple[int, int], int] = {}
        self._ready: set[int] = set()
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self.note_work()

    def note_work(self) -> None:
        """Note that something works now."""
        self._last_s = self._last_alone_s = time.monotonic()
        self._ticks, self._ticks_alone = {}, {}  # the next look tells

    def note(self, snapshot: Snapshot, gil_holder: int | None = None) -> float:
        """Compare with the last look.

        Args:
            snapshot: The tree now.
            gil_holder: The thread of the root that has the GIL, if that is known.

        Returns:
            For how many seconds nothing had worked when the snapshot was begun: what happened since
            then, while others were read and judged, nobody has seen.
        """
        ticks: Ticks = {}
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
        moved = others != self._others or _has_somebody_ready(snapshot)
        ready = _ready_threads(snapshot)
        computes = bool(ready & self._ready)
        self._ticks = self._ticks or ticks
        self._ticks_alone = self._ticks_alone or ticks
        used = sum(self._used(ticks, self._ticks))
        if moved or computes or used > self._enough(snapshot, self._last_s):
            self._last_s, self._ticks = snapshot.begun_s, ticks
        alone = max(self._used(ticks, self._ticks_alone), default=0.0)
        if moved or alone > self._enough(snapshot, self._last_alone_s):
            self._last_alone_s, self._ticks_alone = snapshot.begun_s, ticks
        self._others = others
        self._asleep, self._ready = asleep, ready
        last_s = self._last_s
        if gil_holder in asleep:
            last_s = min(last_s, max(self._last_alone_s, asleep[gil_holder][1]))
        return max(snapshot.begun_s - last_s, 0.0)

    def _used(self, ticks: Ticks, before: Ticks) -> list[float]:
        return [(at - before.get(tid, 0)) * self._tick_s for tid, at in ticks.items()]

    def _enough(self, snapshot: Snapshot, since_s: float) -> float:
        """Return how many seconds of a processor are work.

        Since the last work, and not since the last look: on a busy machine, a thread that computes
        may get less than two ticks of the kernel's clock from one look to the next.
        """
        return max(SHARE_AT_WORK * (snapshot.begun_s - since_s), self._tick_s)


def _has_somebody_ready(snapshot: Snapshot) -> bool:
    """Return whether a thread of a process below the root runs, or waits for a processor."""
    return any(
        thread.state == "R"
        for process in snapshot.processes
        if process.pid != snapshot.root
        for thread in process.threads
    )


def _ready_threads(snapshot: Snapshot) -> set[int]:
    """Return the threads of the root that run, or wait for a processor."""
    return {
        thread.tid
        for process in snapshot.processes
        if process.pid == snapshot.root
        for thread in process.threads
        if thread.state == "R"
    }
