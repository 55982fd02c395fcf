"""Attention for one of several processes: frequent glances, and a close look if it sleeps in place.

The caller owns the loop and decides what follows. `watchdog.Watchdog` does the same for one command
that it ends itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.capture.glance import Glance
from deadlock_matrix.capture.run_counts import only_sleeps
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.run.examination import examine_twice
from deadlock_matrix.run.rates import Rates

JUST_S = 1.0
"""For that long, a thread has just fallen asleep."""


class Attention:
    """Watches the main thread of one process; close it at the end."""

    def __init__(
        self,
        collector: Collector,
        pid: int,
        roots: Callable[[], tuple[int, ...]],
        rates: Rates | None = None,
    ) -> None:
        """Begin.

        Args:
            collector: Reads the facts; it is shared.
            pid: The process.
            roots: That process first, then others whose descendants belong to its tree.
            rates: How often to look.

        Raises:
            CaptureError: There is no such process.
        """
        self._collector = collector
        self._roots = roots
        self._rates = rates or Rates()
        self._glancer = collector.glancer(pid)
        self._place: tuple[str, str] | None = None
        self._only_sleeps = False  # for a time, and waits for nothing else
        self._switches = -1
        self._since = time.monotonic()
        self._asleep_since = self._since
        self._pause = self._rates.first_pause_s
        self._next_look = self._since

    @property
    def has_just_fallen_asleep(self) -> bool:
        """Whether it is worth glancing often: a close look is due soon, if it stays asleep."""
        settled_s = time.monotonic() - self._since
        return self._place is not None and not self._only_sleeps and settled_s < JUST_S

    def close(self) -> None:
        """Release the process's files; may be called twice."""
        self._glancer.close()

    def glance(self) -> float:
        """Look at the main thread for a dozen microseconds.

        Returns:
            For how many seconds it has slept without waking once; 0 if it is awake. A thread that
            wakes only to sleep in the same place again may be at work; it is looked at closely
            all the same.

        Raises:
            CaptureError: The process has ended.
        """
        now = time.monotonic()
        glance = self._glancer.look()
        place = _place_of(glance)
        switches = glance.voluntary + glance.involuntary
        if place is None or switches != self._switches:
            self._switches = switches
            self._asleep_since = now
        if place is None or place != self._place:
            self._place = place
            self._only_sleeps = only_sleeps(glance.syscall.split())
            self._since = now
            self._pause = self._rates.first_pause_s
            self._next_look = now + self._rates.settle_s
        return now - self._asleep_since if place is not None else 0.0

    def look(
        self, *, now: bool = False, awaited: bool = False
    ) -> tuple[Evidence, Judgement] | None:
        """Look closely, if it is time to, or if told to look now; None if it was not time.

        While its main thread only sleeps for a time, that thread is not stuck, whoever else is.

        Args:
            now: Look at once.
            awaited: Whether somebody outside waits for its main thread.

        Raises:
            CaptureError: The process has ended or cannot be read.
        """
        due = self._place is not None and not self._only_sleeps
        if not now and not (due and time.monotonic() >= self._next_look):
            return None
        began = time.monotonic()
        found = examine_twice(
            self._collector,
            self._roots,
            self._rates.confirm_s,
            always_stacks=now,
            awaited=self._roots()[:1] if awaited else (),
        )
        # A large process costs more to look at, so it is looked at less often.
        cost = time.monotonic() - began
        self._next_look = time.monotonic() + max(self._pause, 10 * cost)
        self._pause = min(self._pause * 2, self._rates.longest_pause_s)
        return found


def is_alive(pid: int, collector: Collector) -> bool:
    """Return whether a process can be looked at at all."""
    try:
        collector.check(pid)
    except CaptureError:
        return False
    return True


def _place_of(glance: Glance) -> tuple[str, str] | None:
    """Return where a thread sleeps: the number of the system call and its first argument.

    Both are empty where the call cannot be read.
    """
    call = glance.syscall.split(None, 2)
    if glance.state == "S" and (len(call) >= 2 or not call):
        return (call[0], call[1]) if call else ("", "")
    return ("ended", "") if glance.state in "ZX" else None
