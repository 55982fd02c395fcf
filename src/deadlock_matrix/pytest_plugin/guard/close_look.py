"""What a close look at one pytest process says. Loaded when one of them sleeps."""

from __future__ import annotations

import time
from functools import partial

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.pytest_plugin.guard.concern import concerns_the_test
from deadlock_matrix.pytest_plugin.guard.hang import LIKELY, LIMIT, PROVED
from deadlock_matrix.pytest_plugin.guard.lasting import Lasting, gil_holder
from deadlock_matrix.pytest_plugin.guard.position import Position
from deadlock_matrix.run.attention import Attention
from deadlock_matrix.run.movement import Movement

AT_WORK_S = 1.0
"""If something worked this much later than the main thread fell asleep, it probably still does."""

NOW_AGAIN_S, NOW_AGAIN_TIMES = 2.0, 20
"""Between two looks at a process whose main thread has slept for too long, while others work: as
many seconds, and as many times what a look takes.
"""


class CloseLook:
    """Looks at one process, and knows since when nothing in it has worked."""

    def __init__(self, collector: Collector, pid: int) -> None:
        """Begin.

        Raises:
            CaptureError: There is no such process.
        """
        self._attention = Attention(collector, pid, partial(_alone, pid))
        self._movement = Movement()
        self._lasting = Lasting()
        self._stuck_s = 0.0
        self._next_now_s = 0.0

    @property
    def has_just_fallen_asleep(self) -> bool:
        """See `Attention`."""
        return self._attention.has_just_fallen_asleep

    @property
    def is_stuck(self) -> bool:
        """Whether other threads kept its main one from going on; that may wake for the GIL."""
        return self._stuck_s > 0

    def close(self) -> None:
        """Release the process; may be called twice."""
        self._attention.close()

    def note_progress(self) -> None:
        """Note that it has done something now."""
        self._movement.note_work()
        self._lasting = Lasting()
        self._stuck_s = self._next_now_s = 0.0

    def glance(self) -> float:
        """Do as `Attention.glance`."""
        asleep_s = self._attention.glance()
        if not asleep_s:
            self._movement.note_work()
        return asleep_s

    def look(self, *, now: bool, awaited: bool) -> tuple[Evidence, Judgement, float] | None:
        """Look as `Attention.look` does; also return for how many seconds nothing has worked.

        Waking to request the GIL again is not work if the holder sleeps. If something works while
        the main thread sleeps, ``now`` is not obeyed again for a while.

        Raises:
            CaptureError: The process has ended or cannot be read.
        """
        began_s = time.monotonic()
        now = now and began_s >= self._next_now_s
        found = self._attention.look(now=now, awaited=awaited)
        if found is None:
            return None
        evidence, judgement = found
        still_s = self._movement.note(evidence.after, gil_holder(evidence))
        slept_s = self._attention.glance()
        ended_s = time.monotonic()
        if now and still_s + ended_s - evidence.after.begun_s < slept_s - AT_WORK_S:
            self._next_now_s = ended_s + max(NOW_AGAIN_S, NOW_AGAIN_TIMES * (ended_s - began_s))
        self._stuck_s = self._lasting.note(evidence, judgement)
        return evidence, judgement, max(min(slept_s, still_s), self._stuck_s)


def as_frames_say(position: Position, pid: int, evidence: Evidence) -> Position:
    """Return the position with the phase that frames show.

    Plugins that repeat tests or fork for them report the phases of a test at its end.
    """
    if not position.test or position.is_finishing:
        return position
    for facts in sorted(evidence.stacks, key=lambda each: each.pid != pid):
        for thread in facts.stacks.value.threads if isinstance(facts.stacks, Known) else ():
            test = thread.test.value if isinstance(thread.test, Known) else None
            if test is not None and test.test == position.test:
                return position._replace(doing=test.doing)
    return position


def strength(evidence: Evidence, judgement: Judgement) -> str:
    """Return how sure it is that the process hangs: see `Hang`."""
    if judgement.outcome == "deadlock":
        return PROVED
    return LIKELY if concerns_the_test(evidence, judgement) else LIMIT


def why_unread(collector: Collector, pid: int, evidence: Evidence) -> str:
    """Return why the process may not be looked into; empty if its stacks were read, or none are."""
    reasons = [
        facts.stacks.reason
        for facts in evidence.stacks
        if facts.pid == pid and isinstance(facts.stacks, Unknown)
    ]
    if not reasons:
        return ""
    try:
        collector.check(pid)
    except CaptureError as error:
        return str(error)
    return reasons[0]


def _alone(pid: int) -> tuple[int, ...]:
    """Return the roots of a process's tree: itself."""
    return (pid,)
