"""How often a process is looked at."""

from __future__ import annotations

import msgspec


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """How often to look, in seconds. None of them decides a verdict, only when there is one."""

    glance_s: float = 0.025
    settle_s: float = 0.02  # asleep in one place for this long: worth a snapshot
    confirm_s: float = 0.02  # a proof must still hold this much later
    first_pause_s: float = 0.06  # after a look that proved nothing; doubled each time
    longest_pause_s: float = 2.0
    pause_told_s: float = 5.0  # the longest, if the same was already found and reported
    busy_pause_s: float = 4.0  # before a look at threads beside a main thread that goes on
    longest_busy_pause_s: float = 16.0
    asleep_pause_s: float = 0.5  # between two looks at threads that have fallen asleep
    still_pause_s: float = 60.0  # before a look at threads that have not run since the last one

    def times(self, factor: float) -> Rates:
        """Return the same, ``factor`` times as often."""
        return Rates(
            glance_s=self.glance_s / factor,
            settle_s=self.settle_s / factor,
            confirm_s=self.confirm_s / factor,
            first_pause_s=self.first_pause_s / factor,
            longest_pause_s=self.longest_pause_s / factor,
            pause_told_s=self.pause_told_s / factor,
            busy_pause_s=self.busy_pause_s / factor,
            longest_busy_pause_s=self.longest_busy_pause_s / factor,
            asleep_pause_s=self.asleep_pause_s / factor,
            still_pause_s=self.still_pause_s / factor,
        )
