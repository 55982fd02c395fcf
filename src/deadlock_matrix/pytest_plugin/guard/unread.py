"""For how long nothing has worked in a process that may not be read.

A test may change its user, or forbid everybody to look at its process (PR_SET_DUMPABLE). How often
each thread has run the kernel tells all the same.
"""

from __future__ import annotations

import time

from deadlock_matrix.run.movement import SHARE_AT_WORK
from deadlock_matrix.run.stillness import Stillness, Thread


class Unread:
    """Remembers how often each thread of the process and of those below it had run."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stillness = Stillness(lambda: (pid,))
        self._counts: dict[Thread, bytes] = {}
        self._looked_s = self._since_s = 0.0

    def note(self) -> float:
        """Compare with the last look.

        Returns:
            For how many seconds nothing has worked; 0 where that is not known.
        """
        now_s = time.monotonic()
        counts = self._stillness.run_counts()
        if (self._pid, self._pid) not in counts or self._has_worked(counts, now_s):
            self._since_s = now_s
        self._counts, self._looked_s = counts, now_s
        return now_s - self._since_s

    def _has_worked(self, counts: dict[Thread, bytes], now_s: float) -> bool:
        """Return whether the main thread or a process below ran, or other threads for long."""
        if counts.keys() != self._counts.keys():
            return True
        ran_s = 0.0
        for thread, line in counts.items():
            if line == self._counts[thread]:
                continue
            ran, before = _nanoseconds(line), _nanoseconds(self._counts[thread])
            pid, tid = thread
            if pid != self._pid or tid == pid or ran is None or before is None:
                return True
            ran_s += (ran - before) / 1e9
        return ran_s > SHARE_AT_WORK * (now_s - self._looked_s)


def _nanoseconds(line: bytes) -> int | None:
    """Return how long a thread has run; None where the kernel does not count that."""
    words = line.split()
    return int(words[0]) if len(words) == 3 and words[0].isdigit() else None
