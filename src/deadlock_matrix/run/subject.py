"""One process of a scan: what was seen of it in earlier rounds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from deadlock_matrix.capture.run_counts import (
    RunCounts,
    run_counts,
    waits_for_a_while,
    waits_in_epoll,
)
from deadlock_matrix.model.evidence import Machine
from deadlock_matrix.model.scan import Finding
from deadlock_matrix.run.choosing import Chosen

REST_S = 60.0
"""How long a process rests whose threads only sleep for a while."""


@dataclass
class Subject:
    """What is remembered of one process between rounds."""

    chosen: Chosen
    counts: RunCounts | None = None
    still: frozenset[tuple[int, bytes]] = frozenset()
    polls: bool = False  # its main thread waits in epoll, as an event loop does
    examined: frozenset[tuple[int, bytes]] | None = None  # who was still at the last examination
    next_s: float = 0.0
    rest_s: float = 0.0
    told: Finding | None = None
    stuck: dict[tuple[int, int], bytes] = field(default_factory=dict)
    members: frozenset[str] = frozenset()  # the threads of the reported proof
    doubts: int = 0
    machine: Machine | None = None

    @property
    def pid(self) -> int:
        """Its id."""
        return self.chosen.pid

    def glance(self) -> None:
        """Note which threads have not run since the last glance."""
        counts = counts_of(self.pid)
        before = self.counts or {}
        self.still = frozenset(counts.items() & before.items())
        self.counts = counts
        self.polls = waits_in_epoll(self.pid)

    @property
    def is_restless(self) -> bool:
        """Whether threads run while the main one sleeps: they may be waiting for the GIL."""
        return not self.all_are_still and any(tid == self.pid for tid, _ in self.still)

    @property
    def all_are_still(self) -> bool:
        """Whether no thread has run."""
        return len(self.still) == len(self.counts or {})

    def rests(self) -> bool:
        """Return whether every thread that did not run only sleeps for a while: none is stuck.

        Then the process is left alone until a thread has run, or for its time of rest.
        """
        if self.told is not None or self.is_restless or self.polls:
            return False
        if not all(waits_for_a_while(self.pid, tid) for tid, _ in self.still):
            return False
        self.examined = self.still
        self.next_s = time.monotonic() + REST_S
        return True

    def is_due(self, now: float) -> bool:
        """Return whether it is worth an examination."""
        changed = self.examined is None or not self.still <= self.examined
        if self.told is None:
            return bool(self.still or self.polls) and (changed or now >= self.next_s)
        if not self.stuck:  # tasks in a loop that goes on
            return now >= self.next_s
        ran = [self.stuck[key] != line for key, line in lines_of(self.stuck).items()]
        # A thread that waits for the GIL runs all the time, for good.
        return all(ran) or (now >= self.next_s and (changed or any(ran)))


def lines_of(threads: dict[tuple[int, int], bytes]) -> dict[tuple[int, int], bytes]:
    """Return the run counts of these threads now; empty for one that has ended."""
    counts = {pid: counts_of(pid) for pid in {pid for pid, _ in threads}}
    return {(pid, tid): counts[pid].get(tid, b"") for pid, tid in threads}


def counts_of(pid: int) -> RunCounts:
    """Do as `run_counts`; also empty if the process may no longer be read."""
    try:
        return run_counts(pid)
    except OSError:
        return {}
