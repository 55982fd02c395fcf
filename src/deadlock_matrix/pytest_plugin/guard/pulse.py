"""Whether a main thread sleeps, found out without what a close look at its process needs.

Loading that takes a fifth of a second of a processor. A session whose tests only compute never
needs it.
"""

from __future__ import annotations

import os
import sys
import time

from deadlock_matrix.capture.proc_files import open_directory, read_small
from deadlock_matrix.capture.run_counts import run_count
from deadlock_matrix.errors import CaptureError

_ASLEEP = b"SZX"  # or ended, while other threads go on


class Pulse:
    """The main thread of one process; it stays bound to that process."""

    def __init__(self, pid: int) -> None:
        """Begin.

        Raises:
            CaptureError: There is no such process.
        """
        self._pid = pid
        self._counted = b""
        self._since = self._found_since = time.monotonic()
        self.is_asleep = False
        """Whether it was at the last look."""
        self._tasks = -1
        if sys.platform == "linux":
            try:
                self._tasks = open_directory(f"/proc/{pid}/task")
            except OSError as error:
                raise CaptureError(f"process {pid}: {error.strerror}") from None

    def close(self) -> None:
        """Release the process; may be called twice."""
        if self._tasks >= 0:
            os.close(self._tasks)
            self._tasks = -1

    def asleep_s(self) -> tuple[float, float]:
        """Return how long it has slept without waking once, and has been asleep at every glance.

        Both are 0 if it is awake. One that waits for the GIL wakes every 5 ms, and is asleep at
        nearly every glance. On systems other than Linux nobody knows, and it counts as asleep.

        Raises:
            CaptureError: The process has ended.
        """
        if sys.platform != "linux":
            return float("inf"), float("inf")
        try:
            counted = run_count(self._pid, self._tasks)
            stat = read_small(f"{self._pid}/stat", self._tasks)
        except OSError:
            raise CaptureError(f"process {self._pid} has ended") from None
        now = time.monotonic()
        awake = _state(stat) not in _ASLEEP
        self.is_asleep = not awake
        if awake:
            self._found_since = now
        if awake or counted != self._counted:
            self._counted = counted
            self._since = now
        return now - self._since, now - self._found_since

    def has_ended(self) -> bool:
        """Return whether its main thread has; on systems other than Linux nobody knows: True."""
        try:
            return self._tasks < 0 or _state(read_small(f"{self._pid}/stat", self._tasks)) in b"ZX"
        except OSError:
            return True


def _state(stat: bytes) -> int:
    return stat[stat.rindex(b")") + 2]
