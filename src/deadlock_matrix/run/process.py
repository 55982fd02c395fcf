"""What it takes to run a process tree under guard; one interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from deadlock_matrix.closing import Closing
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.observation import Exited, Leftovers, Signalled


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A process to start. ``environment`` is all of its variables.

    ``command[0]`` is a path, or a name to look for in the environment's PATH.

    ``streams`` are descriptors for standard input, output and error, ``further`` those that it gets
    under the numbers that they have here; all stay open here. ``new_session`` detaches it from our
    terminal, so that a Ctrl-C there does not reach it. ``may_outlive`` says that it might be asked
    to live on without us (`Supervisor.release`).
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    streams: tuple[int, int, int]
    further: tuple[int, ...] = ()
    new_session: bool = True
    may_outlive: bool = False


class Supervisor(Closing, Protocol):
    """Runs one process tree at a time and can end all of it."""

    def start(self, order: Order) -> int:
        """Start the process, and return its id.

        Raises:
            NotFound: There is no such program.
            StartError: It could not be started for another reason, given in the message.
        """

    def wait(self, timeout_s: float) -> Exited | Signalled | None:
        """Wait at most ``timeout_s`` for the main process; None while it runs."""

    def tree_roots(self) -> tuple[int, ...]:
        """Return the main process, and others that we inherited when their parents ended."""

    def alarms(
        self, pids: Sequence[int], within_s: float
    ) -> dict[int, Known[tuple[float, ...]] | Unknown]:
        """Return seconds until each process's alarms, by asking the processes themselves.

        Ends after ``within_s`` seconds, with what is known by then. This interrupts their sleep for
        a moment: only for a tree that is about to be ended.
        """

    def end(self) -> Leftovers:
        """End whatever is left of the tree, including the main process, in bounded time."""

    def release(self) -> None:
        """Let the tree live on without us."""

    def close(self) -> None:
        """End the tree and stop supervising; may be called twice."""
