"""Reads of what the target controls, which can therefore keep a reader waiting for ever.

Its memory may lie on a dead file server, and so may its executable; a path from its mappings may
lead to a pipe, a device or a sparse file of a terabyte. No deadline inside this process helps,
because a read that waits for a file server cannot be ended. So each such read is announced before
it begins, in memory shared with the process that waits for the answer (`observer`). The observer
sees which read began last, goes on without this process, and tells the next one what to leave
alone.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
import struct
import time
from collections.abc import Iterable
from typing import NamedTuple

NOTE_SIZE = 4096
PATIENCE_S = 1.0
"""How long one read may take before it counts as stuck."""

BUSY_S = 4.0
"""The same for reads that the target cannot hold up; only a busy machine may slow them down."""

_HEAD = struct.Struct("<QdI")  # reads begun so far; seconds the last may take; length of its name


class Stuck(OSError):
    """A read that did not end last time, and is not tried again."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.ETIME, f"not read again, as it took too long before: {what}")


class NotRegular(OSError):
    """A path that does not lead to a regular file."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.EINVAL, f"{path} is not a regular file")


class Begun(NamedTuple):
    """The read that began last: its number, how long it may take, and its name."""

    number: int
    patience_s: float
    what: str


class Note:
    """A page shared by a reader and the process that waits for it."""

    def __init__(self, descriptor: int) -> None:
        self._page = mmap.mmap(descriptor, NOTE_SIZE)

    def write(self, begun: Begun) -> None:
        """Say what begins. A reader of the page may see half of it, but not for long."""
        what = begun.what.encode("utf-8", "backslashreplace")[: NOTE_SIZE - _HEAD.size]
        self._page[_HEAD.size : _HEAD.size + len(what)] = what
        _HEAD.pack_into(self._page, 0, begun.number, begun.patience_s, len(what))

    def read(self) -> Begun:
        """Return what began last."""
        number, patience_s, length = _HEAD.unpack_from(self._page, 0)
        what = self._page[_HEAD.size : _HEAD.size + min(length, NOTE_SIZE - _HEAD.size)]
        return Begun(number, patience_s, what.decode("utf-8", "replace"))

    def close(self) -> None:
        """Release the page."""
        self._page.close()


class _State:
    """The state of this process; without a note nobody waits, and nothing is announced."""

    def __init__(self) -> None:
        self.note: Note | None = None
        self.avoided: frozenset[str] = frozenset()
        self.begun = Begun(0, PATIENCE_S, "")


_state = _State()


def announce_in(note: Note) -> None:
    """From here on, announce in ``note`` what begins."""
    _state.note = note


def avoid(names: Iterable[str]) -> None:
    """Refuse reads with these names from here on; this replaces any earlier list."""
    _state.avoided = frozenset(names)


def stuck_at(pid: int) -> Stuck | None:
    """Return the error if something of this process is left alone because it got stuck."""
    for what in _state.avoided:
        if what.endswith(f"process {pid}"):
            return Stuck(what)
    return None


class reading:
    """Announce that the block reads something that the target controls."""

    __slots__ = ("_before", "_patience_s", "_what")

    def __init__(self, what: str, patience_s: float = PATIENCE_S) -> None:
        """Prepare; nothing is announced yet.

        Args:
            what: Its name, by which it is avoided once it got stuck. It ends in ``process N``.
            patience_s: How long it may take.
        """
        self._what = what
        self._patience_s = patience_s

    def __enter__(self) -> None:
        if self._what in _state.avoided:
            raise Stuck(self._what)
        self._before = _state.begun
        _begin(self._what, self._patience_s)

    def __exit__(self, *raised: object) -> None:
        _begin(self._before.what, self._before.patience_s)


def beat() -> None:
    """Say that the read makes progress: for the steps of one that may take long as a whole."""
    _begin(_state.begun.what, _state.begun.patience_s)


def _begin(what: str, patience_s: float) -> None:
    _state.begun = Begun(_state.begun.number + 1, patience_s, what)
    if _state.note is not None:
        _state.note.write(_state.begun)


class Watch:
    """Tells a slow read from a stuck one, in the process that waits."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._seen = note.read()
        self._since = time.monotonic()

    def stuck(self) -> Begun | None:
        """Return the read that has taken too long, if there is one."""
        now = self._note.read()
        if now.number != self._seen.number:
            self._seen = now
            self._since = time.monotonic()
        return now if time.monotonic() - self._since > now.patience_s else None


def open_regular(path: str) -> int:
    """Open a file for reading, if it is a regular one.

    Opening a pipe would wait for a writer, and opening a device may do whatever its driver likes.
    So the path is looked up first, and opened only when it is known to lead to a regular file.

    Raises:
        NotRegular: It is something else.
        OSError: As open(2).
    """
    found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise NotRegular(path)
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        return os.open(f"/proc/self/fd/{found}", flags)
    finally:
        os.close(found)
