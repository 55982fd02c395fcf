"""For how long the same threads have kept the main one from going on.

A main thread that waits for the GIL wakes every few milliseconds, so it never sleeps for as long as
a time limit. The threads that keep the GIL from it do, whether they are proved stuck or not.
"""

from __future__ import annotations

from collections.abc import Set

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.model.thread_facts import Switches
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.run.movement import Movement

RunCounts = dict[tuple[int, int], Switches]
"""For each thread, by process and thread id."""


def gil_holder(evidence: Evidence) -> int | None:
    """Return which thread of the root has the GIL; None if nobody has, or it is not known."""
    holders = [
        thread.tid
        for facts in evidence.stacks
        if facts.pid == evidence.after.root
        for thread in facts.threads
        if isinstance(thread.holds_gil, Known) and thread.holds_gil.value
    ]
    return holders[0] if len(holders) == 1 else None


class Lasting:
    """Remembers which of those threads slept at the last look."""

    def __init__(self) -> None:
        self._movement = Movement()
        self._asleep: RunCounts = {}
        self._since_s = 0.0

    def note(self, evidence: Evidence, judgement: Judgement) -> float:
        """Compare with the last look.

        Returns:
            For how many seconds nothing has worked, while threads that have not run since kept the
            main thread from going on: those that are stuck together with it, or one that sleeps
            with the GIL. 0 if there are none.
        """
        still_s = self._movement.note(evidence.after, gil_holder(evidence))
        asleep = _asleep_among(_keepers(evidence, judgement), evidence)
        if not asleep.items() & self._asleep.items():
            self._since_s = evidence.before.begun_s
        self._asleep = asleep
        return min(still_s, evidence.after.begun_s - self._since_s) if asleep else 0.0


def _keepers(evidence: Evidence, judgement: Judgement) -> set[tuple[int, int]]:
    """Return the threads that are stuck with the main one, or else another that has its GIL."""
    root = evidence.after.root
    stuck = {(each.pid, each.tid) for each in judgement.threads if each.stuck or each.likely}
    if (root, root) in stuck:
        return stuck
    holder = gil_holder(evidence)
    return set() if holder in (None, root) else {(root, holder)}


def _asleep_among(threads: Set[tuple[int, int]], evidence: Evidence) -> RunCounts:
    """Return the run counts of those that did not wake from one snapshot to the other."""
    before, after = _run_counts(evidence.before), _run_counts(evidence.after)
    return {thread: runs for thread, runs in before.items() & after.items() if thread in threads}


def _run_counts(snapshot: Snapshot) -> RunCounts:
    return {
        (process.pid, thread.tid): thread.switches.value
        for process in snapshot.processes
        for thread in process.threads
        if isinstance(thread.switches, Known)
    }
