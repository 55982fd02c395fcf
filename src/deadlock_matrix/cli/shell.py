"""The shell around this command: missing streams, a missing home, and how to end."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress

from deadlock_matrix.errors import Unavailable

COLLECTED_AFTER = 50_000


class Terminated(KeyboardInterrupt):
    """A signal other than Ctrl-C's asked us to end. It unwinds the command as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def collect_garbage_rarely() -> None:
    """Let the collector of cycles run once in fifty thousand new objects instead of seven hundred.

    What is read of a process with thousands of threads are a million objects and no cycle; to walk
    through them again and again took a fifth of the time of `inspect`.
    """
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER, 50, 50)


def open_missing_streams() -> None:
    """Give output a place to go if a stream was closed: Python has ``None`` there."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for good; pathlib is slow to import
            setattr(sys, name, nowhere)


def discard_output() -> None:
    """Discard what is still to be written: the interpreter tries once more when it ends.

    Some versions of Python keep what could not be written, fail again, and end with 120.
    """
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def end_tidily() -> None:
    """Make a closed terminal or a cancelled job end what was begun, as Ctrl-C does.

    Children are ended and scratch folders removed. An ignored signal stays ignored (``nohup``).
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)


def _terminate(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would leave something behind
    raise Terminated(number)


def end_by(number: int) -> None:
    """End by this very signal, so that the caller sees what happened."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def check_home() -> None:
    """Find out whether there is a home folder, before anything is done.

    Raises:
        Unavailable: No variable names it, and the system does not know the user.
    """
    from pathlib import Path

    try:
        Path.home()
    except RuntimeError:
        raise Unavailable(
            "this user's home folder is not known: set HOME to a folder that can be written to"
        ) from None
