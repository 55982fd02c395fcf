"""Notice when a thread of a process tree falls asleep on a lock, whatever the others do.

The watchdog glances only at the main thread. A deadlock beside a main thread that goes on, or in a
child, shows differently: a thread that ran before has not run for a while, and sleeps in a futex
call without a time limit. So do threads of an idle pool, which is why this only requests a close
look.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

EVERY_S = 0.25
"""Between two glances; a thread that has not run from one to the next counts as still."""

LARGEST_SHARE = 0.01
"""Share of a processor for these glances: a tree of thousands of threads gets fewer looks."""

Thread = tuple[int, int]
"""Process and thread id."""


class Stillness:
    """Remembers how often each thread had run. Outside Linux no thread ever falls asleep."""

    def __init__(self, roots: Callable[[], tuple[int, ...]]) -> None:
        """Prepare; nothing is read yet.

        Args:
            roots: The processes at the head of the tree.
        """
        self._roots = roots
        self._counts: dict[Thread, bytes] = {}
        self._known: dict[Thread, bytes] = {}  # still on a lock, and reported
        self._next = time.monotonic() + EVERY_S

    def fell_asleep(self) -> bool:
        """Return whether a thread has fallen asleep on a lock since this last said so."""
        if sys.platform != "linux" or time.monotonic() < self._next:
            return False
        spent_s = time.thread_time()  # on a busy machine the wall clock shows too much
        counts = self.run_counts()
        still = counts.items() & self._counts.items()
        self._counts = counts
        new = dict(still - self._known.items())
        asleep = {thread: line for thread, line in new.items() if _on_a_lock(thread)}
        self._known = {thread: line for thread, line in self._known.items() if thread in counts}
        self._known |= new
        spent_s = time.thread_time() - spent_s
        self._next = time.monotonic() + max(EVERY_S, spent_s / LARGEST_SHARE)
        return bool(asleep)

    def run_counts(self) -> dict[Thread, bytes]:
        """Return how often each thread has run; an equal count later means that it has not run."""
        from deadlock_matrix.capture.run_counts import run_counts
        from deadlock_matrix.capture.tree import children_of, members, process_table

        found: dict[Thread, bytes] = {}
        waiting = [*self._roots()]
        seen = set(waiting)
        while waiting:
            pid = waiting.pop()
            try:
                counts = run_counts(pid)
            except OSError:
                continue  # another user's, or it is ending
            for tid, line in counts.items():
                found[pid, tid] = line
                children = children_of(pid, tid)
                if children is None:  # the table of the whole machine has them as well
                    children = [*members([pid], process_table())]
                waiting += [child for child in children if child not in seen]
                seen.update(children)
        return found


def _on_a_lock(thread: Thread) -> bool:
    from deadlock_matrix.capture.run_counts import waits_on_a_futex

    return waits_on_a_futex(*thread)
