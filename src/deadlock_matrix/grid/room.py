"""How many cells the present workers can take now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass
class _Worker:
    labels: frozenset[str]
    free: int


class Room:
    """Counts out the places of all workers, whichever interpreters they share.

    A worker with two interpreters has its jobs once, not once for each. A few more cells than there
    are places wait at the scheduler, so that a worker that is done, or joins, has something to do.
    """

    def __init__(self, workers: Iterable[tuple[frozenset[str], int]]) -> None:
        """Start with nothing handed out.

        Args:
            workers: The labels of each worker's interpreters, and how many cells it runs at once.
        """
        self._workers = [_Worker(labels, jobs) for labels, jobs in workers]
        self._spare = max(1, sum(each.free for each in self._workers) // 4)

    def take(self, label: str) -> bool:
        """Return whether one more cell of this interpreter has room; if so, count it.

        The worker with the fewest interpreters gets it: the others can still take something else.
        """
        able = [each for each in self._workers if label in each.labels]
        free = [each for each in able if each.free > 0]
        if free:
            min(free, key=lambda each: (len(each.labels), -each.free)).free -= 1
            return True
        if able and self._spare > 0:
            self._spare -= 1
            return True
        return False
