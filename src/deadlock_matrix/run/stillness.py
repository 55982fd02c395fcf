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
from dataclasses import dataclass

EVERY_S = 0.25
"""Between two glances; a thread that has not run from one to the next counts as still."""

LARGEST_SHARE = 0.01
"""Share of a processor for these glances: a tree of thousands of threads gets fewer looks."""

Thread = tuple[int, int]
"""Process and thread id."""

Progress = tuple[tuple[int, int, bytes], ...] | None
"""Compare two: if they are equal and not None, nobody has run in between."""


@dataclass(frozen=True, kw_only=True)
class _Process:
    """What was read of a process: of each thread its count, and the children it has started.

    ``ran`` is how long all but the main thread had run just before, see
    `run_counts.ran_beside_main`.
    """

    ran: int | None
    counts: dict[int, bytes]
    children: dict[int, tuple[int, ...]]


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
        self._processes: dict[int, _Process] = {}
        self._main = 0
        self._next = time.monotonic() + EVERY_S

    def fell_asleep(self) -> bool:
        """Return whether a thread has fallen asleep on a lock since this last said so."""
        if sys.platform != "linux" or time.monotonic() < self._next:
            return False
        spent_s = time.thread_time()  # on a busy machine the wall clock shows too much
        counts = self._glance()
        still = counts.items() & self._counts.items()
        self._counts = counts
        new = dict(still - self._known.items())
        asleep = {thread: line for thread, line in new.items() if _on_a_lock(thread)}
        self._known = {thread: line for thread, line in self._known.items() if thread in counts}
        self._known |= new
        spent_s = time.thread_time() - spent_s
        self._next = time.monotonic() + max(EVERY_S, spent_s / LARGEST_SHARE)
        return bool(asleep)

    def progress(self, *, of_main: bool) -> Progress:
        """Return how far all had got when `fell_asleep` last looked.

        Args:
            of_main: Whether what the main thread does counts.
        """
        found: list[tuple[int, int, bytes]] = []
        for pid, process in self._processes.items():
            if process.ran is None:
                return None
            of_leader = of_main or pid != self._main
            found.append((pid, process.ran, process.counts.get(pid, b"") if of_leader else b""))
        return tuple(found) or None

    def run_counts(self) -> dict[Thread, bytes]:
        """Return how often each thread has run; an equal count later means that it has not run."""
        return _counts_in(self._read({}))

    def _glance(self) -> dict[Thread, bytes]:
        """Return the same, but read only the main thread where no other has run."""
        self._processes = self._read(self._processes)
        return _counts_in(self._processes)

    def _read(self, before: dict[int, _Process]) -> dict[int, _Process]:
        found: dict[int, _Process] = {}
        waiting = [*self._roots()]
        self._main = waiting[0]
        seen = set(waiting)
        while waiting:
            pid = waiting.pop()
            try:
                process = found[pid] = _read_process(pid, before.get(pid))
            except OSError:
                continue  # another user's, or it is ending
            for children in process.children.values():
                waiting += [child for child in children if child not in seen]
                seen.update(children)
        return found


def _counts_in(processes: dict[int, _Process]) -> dict[Thread, bytes]:
    return {
        (pid, tid): line for pid, each in processes.items() for tid, line in each.counts.items()
    }


def _read_process(pid: int, before: _Process | None) -> _Process:
    """Read a process, or only its main thread if no other has run since ``before``."""
    from deadlock_matrix.capture.run_counts import ran_beside_main, run_counts

    found = ran_beside_main(pid)  # first: whoever runs after this is seen the next time
    ran, line = found if found is not None else (None, b"")
    if before is None or ran is None or before.ran != ran:
        counts = run_counts(pid)
        children = {tid: _children(pid, tid) for tid in counts}
        return _Process(ran=ran, counts=counts, children=children)
    return _Process(
        ran=ran,
        counts=before.counts | {pid: line},
        children=before.children | {pid: _children(pid, pid)},
    )


def _children(pid: int, tid: int) -> tuple[int, ...]:
    from deadlock_matrix.capture.tree import children_of, members, process_table

    children = children_of(pid, tid)
    if children is None:  # the table of the whole machine has those of all threads
        children = [*members([pid], process_table())] if tid == pid else []
    return tuple(children)


def _on_a_lock(thread: Thread) -> bool:
    from deadlock_matrix.capture.run_counts import waits_on_a_futex

    return waits_on_a_futex(*thread)
