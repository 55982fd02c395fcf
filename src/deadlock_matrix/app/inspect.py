"""Look at one process: what each of its threads waits for, and whether that can ever end."""

from __future__ import annotations

import time
from functools import partial

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.run.examination import examine_twice
from deadlock_matrix.run.rates import Rates

ANSWER_WITHIN_S = 6.5
"""For all reading; it leaves time for the judgement, for starting and for ending."""


def examine_process(collector: Collector, pid: int) -> tuple[Evidence, Judgement]:
    """Read a process twice and judge what was read; the process is neither stopped nor changed.

    Raises:
        CaptureError: It cannot be looked at: gone, not ours, or of a kind that is not supported.
    """
    collector.hurry(time.monotonic() + ANSWER_WITHIN_S)
    collector.check(pid)
    return examine_twice(
        collector,
        partial(_only, pid),
        Rates().confirm_s,
        always_stacks=True,
        parents=collector.parents(pid),
    )


def _only(pid: int) -> tuple[int, ...]:
    return (pid,)
