"""The one door to facts about processes, the same on every system."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from deadlock_matrix.capture.glance import Looker
from deadlock_matrix.model.evidence import Machine, Parent
from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.model.stack_facts import StackFacts

if TYPE_CHECKING:
    from deadlock_matrix.model.scan import Program


class Collector(Protocol):
    """Reads facts about processes from outside. Close it at the end: it may own helpers."""

    def check(self, pid: int) -> None:
        """Check that a process can be looked at.

        Raises:
            CaptureError: It cannot; the message says what to do.
        """
        ...

    def cpu_s(self) -> float:
        """Return how many CPU seconds looking has used so far, in this process and its helper."""

    def warm_up(self) -> None:
        """Start helpers that would otherwise start on first use. Return at once."""
        ...

    def machine(self, pid: int) -> Machine:
        """Return what the numbers in a snapshot of that process depend on.

        Raises:
            CaptureError: It is a kind of process that is not supported.
        """
        ...

    def program(self, pid: int) -> Program:
        """Return what a process runs, if it can be looked at.

        Raises:
            CaptureError: It cannot; the message says what to do.
        """
        ...

    def parents(self, pid: int) -> tuple[Parent, ...]:
        """Return the parent of a process, and those above it that may interrupt it.

        Those that cannot be read are left out.
        """
        ...

    def glancer(self, pid: int) -> Looker:
        """Return something that looks at the main thread of a process, cheaply and often.

        Raises:
            CaptureError: There is no such process.
        """
        ...

    def snapshot(self, roots: Sequence[int]) -> Snapshot:
        """Read a tree: the first root's, and what descends from the others.

        Raises:
            CaptureError: The first root has ended.
        """
        ...

    def python_stacks(
        self, pids: Sequence[int], awaited: Collection[int] = ()
    ) -> tuple[StackFacts, ...]:
        """Read Python frames with the few locals that matter. Does not stop the processes.

        Args:
            pids: The processes.
            awaited: Those of them whose main thread somebody outside waits for, which makes it
                worth asking who could end that thread's wait.
        """
        ...

    def native_stacks(self, pids: Sequence[int]) -> tuple[StackFacts, ...]:
        """Read Python and native frames, for people. Stops each process for a moment."""
        ...

    def source_lines(
        self, pid: int, places: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], str]:
        """Return the source lines that a process's frames name, as far as they can be read."""
        ...

    def hurry(self, until_s: float | None) -> None:
        """Answer nothing after this instant of CLOCK_MONOTONIC; ``None`` sets no limit."""
        ...

    def close(self) -> None:
        """End the helpers. May be called twice."""
        ...


def open_collector() -> Collector:
    """Return the collector of this system: all facts on Linux, states and stacks elsewhere."""
    if sys.platform == "linux":
        from deadlock_matrix.capture.permission import only_ancestors_may_look

        if only_ancestors_may_look():
            from deadlock_matrix.capture.linux import LinuxCollector

            return LinuxCollector()
        from deadlock_matrix.capture.observer import Observer

        return Observer()
    from deadlock_matrix.capture.portable import PortableCollector

    return PortableCollector()
