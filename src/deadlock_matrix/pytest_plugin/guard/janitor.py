"""A forked process that waits for the watcher's end, in whatever way, and removes its folder.

A watcher that is killed takes the session with it, so nobody else is left to do that.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

GONE_WITHIN_S = 2.0
"""A session that ends at the same time may still write there."""


class Janitor:
    """Owns the folder; fork it only in the watcher, and close it when nobody writes any more."""

    def __init__(self, folder: Path) -> None:
        reading, self._writing = os.pipe()
        self._folder = folder
        self._pid = os.fork()
        if not self._pid:
            try:
                os.close(self._writing)
                _remove_at_end(reading, folder)
            finally:
                os._exit(0)
        os.close(reading)

    def close(self) -> None:
        """Remove the folder, which takes the janitor longer; it does if somebody still writes."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if not self._folder.exists():
            os.kill(self._pid, signal.SIGKILL)
        os.close(self._writing)
        os.waitpid(self._pid, 0)
        shutil.rmtree(self._folder, ignore_errors=True)  # if somebody has killed the janitor


def _remove_at_end(reading: int, folder: Path) -> None:
    """Wait until nobody can write into the pipe, out of reach of signals to the session."""
    os.setsid()
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    os.read(reading, 1)
    until = time.monotonic() + GONE_WITHIN_S
    while folder.exists() and time.monotonic() < until:
        shutil.rmtree(folder, ignore_errors=True)
