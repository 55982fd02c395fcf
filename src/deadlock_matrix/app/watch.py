"""Start one command, watch it, and end it or let it go on: for Python and for the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from deadlock_matrix.run.process import Order
from deadlock_matrix.run.supervisors import open_supervisor

if TYPE_CHECKING:  # slow to import: the supervisor's helper starts meanwhile
    from deadlock_matrix.capture.collector import Collector
    from deadlock_matrix.model.evidence import Evidence
    from deadlock_matrix.model.verdict import Judgement
    from deadlock_matrix.run.watchdog import Watched

__all__ = ["Onlooker", "watch_command"]


class Onlooker(Protocol):
    """Is told what happens to the command, and decides how it goes on."""

    def started(self, pid: int) -> None:
        """Note that the command runs."""

    def wants_end(self) -> bool:
        """Return whether to end the watch now; asked again and again."""

    def found_stuck(self, collector: Collector, evidence: Evidence, judgement: Judgement) -> None:
        """Note that threads are stuck while the command goes on; once for the same threads."""

    def ended(self, collector: Collector, watched: Watched) -> None:
        """Note that the watch is over, with the processes still as they were found."""

    def lets_go_on(self, watched: Watched) -> bool:
        """Return whether what is left of the tree lives on without us; otherwise it is ended."""


def watch_command(
    order: Order, onlooker: Onlooker | None = None, *, timeout_s: float | None, likely: bool
) -> Watched:
    """Run a command under the watchdog. Without an onlooker nothing of it is left at the end.

    Args:
        order: What to start.
        onlooker: Is told what happens.
        timeout_s: Seconds after which the watch ends; ``None`` for no limit.
        likely: Whether a likely deadlock of the whole process ends it, too.

    Raises:
        StartError: It cannot be started.
        RunError: The harness itself failed.
    """
    supervisor = open_supervisor()
    try:
        from deadlock_matrix.capture.collector import open_collector
        from deadlock_matrix.run.watchdog import Watchdog

        pid = supervisor.start(order)
        if onlooker is not None:
            onlooker.started(pid)
        collector = open_collector()

        def tell(evidence: Evidence, judgement: Judgement) -> None:
            assert onlooker is not None
            onlooker.found_stuck(collector, evidence, judgement)

        stop: Callable[[], bool] = onlooker.wants_end if onlooker is not None else lambda: False
        try:
            watched = Watchdog(
                supervisor,
                collector,
                pid,
                timeout_s,
                stop=stop,
                tell=tell if onlooker is not None else None,
                end_likely=likely,
            ).watch()
            if onlooker is not None:
                onlooker.ended(collector, watched)
        finally:
            collector.close()
        if onlooker is not None and onlooker.lets_go_on(watched):
            supervisor.release()
        else:
            supervisor.end()
        return watched
    finally:
        supervisor.close()
