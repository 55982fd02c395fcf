"""The standard streams of a probe: a standard input of some kind, output with a limit."""

from __future__ import annotations

import _thread
import os
import time
from collections import deque
from contextlib import suppress

from deadlock_matrix.closing import Closing
from deadlock_matrix.model.cell import Stdin
from deadlock_matrix.model.observation import Output

KEEP_FIRST = 32 * 1024
KEEP_LAST = 32 * 1024
CHUNK = 64 * 1024
SLOW_DOWN_AFTER = 4 * 1024 * 1024
"""A probe that prints without end is read slowly from here on, so that it costs no processor."""


class Drain:
    """Reads a pipe to its end in a thread of the harness, keeping the first and the last bytes.

    The write end is for the probe. A grandchild may hold it open for as long as it likes; `finish`
    does not wait for that.
    """

    def __init__(self) -> None:
        """Open the pipe and start reading."""
        self._read_end, self.write_end = os.pipe()
        self._first = bytearray()
        self._last: deque[bytes] = deque()
        self._last_size = 0
        self._size = 0
        self._reading = _thread.allocate_lock()
        self._reading.acquire()
        # Thread.start would wait until it runs, and another thread may have the GIL for long: the
        # next of thousands of cells would start that much later.
        _thread.start_new_thread(self._read, ())

    def _read(self) -> None:
        with suppress(OSError):
            while chunk := os.read(self._read_end, CHUNK):
                self._keep(chunk)
                if self._size > SLOW_DOWN_AFTER:
                    time.sleep(0.005)
        self._reading.release()

    def _keep(self, chunk: bytes) -> None:
        self._size += len(chunk)
        room = KEEP_FIRST - len(self._first)
        self._first += chunk[:room]
        rest = chunk[room:]
        if rest:
            self._last.append(rest)
            self._last_size += len(rest)
            while self._last_size - len(self._last[0]) >= KEEP_LAST:
                self._last_size -= len(self._last.popleft())

    def close_write_end(self) -> None:
        """Close our write end; call this once the probe has its own copy."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def finish(self) -> Output:
        """Return everything there is by now; call it once the process tree has been ended."""
        self.close_write_end()
        # The tree is gone, so the end of the pipe is near, unless somebody outside has got it.
        at_end = self._reading.acquire(timeout=2.0)
        first, last = bytes(self._first), b"".join(self._last)[-KEEP_LAST:]
        cut = self._size - len(first) - len(last)
        text = first.decode("utf-8", "backslashreplace")
        if cut > 0:
            text += f"\n[... {cut} bytes cut here ...]\n"
        text += last.decode("utf-8", "backslashreplace")
        if at_end:
            os.close(self._read_end)
        return Output(size=self._size, kept=text)


class Input(Closing):
    """A standard input of the kind that a context requires."""

    def __init__(self, kind: Stdin) -> None:
        """Open it."""
        self._kept = -1
        if kind is Stdin.NULL:
            self.read_end = os.open(os.devnull, os.O_RDONLY)
            return
        self.read_end, write_end = os.pipe()
        if kind is Stdin.CLOSED_PIPE:
            os.close(write_end)
        else:
            self._kept = write_end

    def close(self) -> None:
        """Close what is still open."""
        for descriptor in (self.read_end, self._kept):
            if descriptor >= 0:
                os.close(descriptor)
        self.read_end = self._kept = -1
