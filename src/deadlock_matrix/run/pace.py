"""Limit how much of a processor close looks may take."""

from __future__ import annotations

import time
from collections.abc import Callable

SHARE = 0.01
SAVED_S = 0.2


class Pace:
    """Seconds to spend: they come in slowly, are saved up to a limit, and may be overdrawn once.

    A small process is looked at as soon as it is quiet. After a look at five hundred threads, which
    takes longer than what is saved, there is no further look until that has been earned.
    """

    def __init__(
        self,
        share: float = SHARE,
        saved_s: float = SAVED_S,
        spent_s: Callable[[], float] = lambda: time.monotonic(),
    ) -> None:
        """Start with all that may be saved.

        Args:
            share: Seconds that come in each second.
            saved_s: The most that can be saved.
            spent_s: The clock by which looking is paid for. On a busy machine a look takes ten
                times as long as it works; if the wall clock counted, there would be no other for
                seconds.
        """
        self._share = share
        self._most = saved_s
        self._left = saved_s
        self._at = time.monotonic()
        self._spent_s = spent_s
        self._began = 0.0

    def may_look(self) -> bool:
        """Return whether anything is left."""
        now = time.monotonic()
        self._left = min(self._most, self._left + self._share * (now - self._at))
        self._at = now
        return self._left > 0

    def __enter__(self) -> None:
        self._began = self._spent_s()

    def __exit__(self, *raised: object) -> None:
        """Count what the block used as spent."""
        self._left -= max(0.0, self._spent_s() - self._began)  # a helper may be a new one
