"""For how long the same threads have been found stuck.

A main thread that waits for the GIL wakes every few milliseconds, so it never sleeps for as long as
a time limit. The threads that keep the GIL from it do.
"""

from __future__ import annotations

import time

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.model.thread_facts import Switches
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.run.movement import Movement

RunCounts = dict[tuple[int, int], Switches]
"""For each thread, by process and thread id."""


class Lasting:
    """Remembers which of the stuck threads slept at the last look."""

    def __init__(self) -> None:
        self._movement = Movement()
        self._asleep: RunCounts = {}
        self._since_s = 0.0

    def note(self, evidence: Evidence, judgement: Judgement) -> float:
        """Compare with the last look.

        Returns:
            For how many seconds the main thread has been stuck together with threads that have not
            run since, while nothing else has worked; 0 if it is not stuck.
        """
        still_s = self._movement.note(evidence.after)
        asleep = _asleep_among_the_stuck(evidence, judgement)
        if not asleep.items() & self._asleep.items():
            self._since_s = evidence.before.begun_s
        self._asleep = asleep
        return min(still_s, time.monotonic() - self._since_s) if asleep else 0.0


def _asleep_among_the_stuck(evidence: Evidence, judgement: Judgement) -> RunCounts:
    """Return the run counts of threads stuck with the main one that did not wake meanwhile."""
    root = evidence.after.root
    stuck = {(each.pid, each.tid) for each in judgement.threads if each.stuck or each.likely}
    if (root, root) not in stuck:
        return {}
    before, after = _run_counts(evidence.before), _run_counts(evidence.after)
    return {thread: runs for thread, runs in before.items() & after.items() if thread in stuck}


def _run_counts(snapshot: Snapshot) -> RunCounts:
    return {
        (process.pid, thread.tid): thread.switches.value
        for process in snapshot.processes
        for thread in process.threads
        if isinstance(thread.switches, Known)
    }
