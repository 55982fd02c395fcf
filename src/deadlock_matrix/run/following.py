"""Wait until one of several processes hangs."""

from __future__ import annotations

import time

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.scan import Tally
from deadlock_matrix.run.choosing import Chooser, Wanted
from deadlock_matrix.run.scanning import Limits, Scanner

EVERY_S = 0.25
"""Between two glances at processes that were given by their ids."""

EVERY_BY_NAME_S = 1.0
"""The same if all processes of the machine are searched for a name."""

LIMITS = Limits(share=0.02, rest_s=15.0, longest_rest_s=120.0)


def follow(collector: Collector, wanted: Wanted) -> int | None:
    """Wait until some threads of one of the processes are deadlocked, or likely to be.

    Args:
        collector: Reads the facts.
        wanted: Which processes. Later ones with a matching name count too.

    Returns:
        The id of the first that hangs; ``None`` when none is left.

    Raises:
        CaptureError: None has such a name, or none of them may be read.
    """
    scanner = Scanner(collector, Chooser(collector, wanted), LIMITS)
    followed = False
    every_s = EVERY_S if wanted.pids else EVERY_BY_NAME_S
    while True:
        began = time.monotonic()
        found = scanner.round()
        if found.new:
            return found.new[0].finding.pid
        if not found.tally.processes:
            if followed or wanted.pids:
                return None
            raise CaptureError(_none_of(wanted, found.tally))
        followed = True
        time.sleep(max(0.0, began + every_s - time.monotonic()))


def _none_of(wanted: Wanted, tally: Tally) -> str:
    patterns = " or ".join(map(repr, wanted.names))
    if tally.refused:
        return f"no process that matches {patterns} may be read: {'; '.join(tally.refused)}."
    return f"no running Python process has a name that matches {patterns}."
