"""Whether a process still moves when its time is up, judging by a few stacks read before that."""

from __future__ import annotations

import time
from collections.abc import Callable

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.stack_facts import StackFacts
from deadlock_matrix.run.examination import read_stacks

_PROBE = "/deadlock_matrix/probe/probe.py"


class Samples:
    """A few stacks during the second half of the time, to tell slow from hung at the deadline."""

    PARTS = 8

    def __init__(self, collector: Collector, began: float, deadline_s: float | None) -> None:
        """Prepare; nothing is read yet.

        Args:
            collector: Reads the stacks.
            began: When the watch began, CLOCK_MONOTONIC.
            deadline_s: Seconds from then; without a deadline, no samples are taken.
        """
        self._collector = collector
        self._every = None if deadline_s is None else deadline_s / self.PARTS
        self._next = began + (deadline_s or 0.0) / 2
        self._signatures: list[object] = []

    def are_due(self) -> bool:
        """Return whether it is time for the next one."""
        return self._every is not None and time.monotonic() >= self._next

    def take(self, roots: Callable[[], tuple[int, ...]]) -> None:
        """Take a sample."""
        self._next = time.monotonic() + (self._every or 0.0)
        processes = self._collector.snapshot(roots()).processes
        stacks = read_stacks(self._collector.python_stacks, processes)
        signature = _signature(stacks)
        if signature is not None:  # otherwise the deadline cut it short, or it was not readable
            self._signatures.append(signature)

    def moved_since(self, evidence: Evidence) -> Known[bool] | Unknown:
        """Return whether Python lines of the main threads, or of the entry's, changed of late."""
        now = _signature(evidence.stacks)
        recent = self._signatures[-2:]
        if now is None or not recent:
            return unknown("too few stacks were read to tell whether it moved")
        told = "the Python stacks of the main threads and of those in the entry"
        source = f"{told}, {len(recent) + 1} times before the deadline"
        return known(any(signature != now for signature in recent), source)


def _signature(stacks: tuple[StackFacts, ...]) -> object:
    """Return where main threads and the entry's threads are; None if that is unknown.

    A thread that executes an entry has the probe's script in its stack. While it does, the main
    thread only waits for it, in one place.
    """
    signature = []
    for facts in stacks:
        for thread in facts.threads:
            lines = tuple((frame.file, frame.line) for frame in thread.python)
            if thread.tid == facts.pid or any(_is_probe(file) for file, _ in lines):
                signature.append((facts.pid, thread.tid, lines))
    return tuple(sorted(signature)) or None


def _is_probe(file: str) -> bool:
    return file.replace("\\", "/").endswith(_PROBE)
