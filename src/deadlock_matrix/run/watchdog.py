"""Watch a process tree from outside until it ends, is proved deadlocked, or its time is up.

While things move it only glances at the main thread, a few dozen times a second, and at the others
four times. When the main thread sleeps in the same place for some glances, or another thread has
fallen asleep on a lock, it takes two full snapshots with the stacks in between, and judges them. A
process that is not stuck is examined less and less often.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.capture.glance import Glance
from deadlock_matrix.capture.run_counts import only_sleeps
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.observation import End, Stopped
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.run.alarms import AlarmQuestion
from deadlock_matrix.run.examination import (
    add_native_stacks,
    examine_twice,
    strength,
)
from deadlock_matrix.run.pace import SAVED_S, Pace
from deadlock_matrix.run.process import Supervisor
from deadlock_matrix.run.progress_samples import Samples
from deadlock_matrix.run.rates import Rates
from deadlock_matrix.run.sampling import Sampler
from deadlock_matrix.run.stillness import Progress, Stillness


@dataclass(frozen=True, kw_only=True)
class Watched:
    """How the watch ended. Times are seconds since it began, unless they say otherwise."""

    end: End
    began_s: float  # CLOCK_MONOTONIC
    duration_s: float
    last_progress_s: float
    judgement: Judgement | None  # None: the process ended by itself
    evidence: Known[Evidence] | Unknown
    detected_after_s: float | None  # from the last progress to the proof
    progressing: Known[bool] | Unknown  # at the deadline


Tell = Callable[[Evidence, Judgement], None]
LAST_LOOK_S = 1.2
"""For what is read at the deadline; what takes longer stays unknown."""

SAVED_FOR_PARTS_S = 1.0
"""Processor time saved for looks at parts of a program, which may need a few at its start."""

NOT_STOPPED = unknown("it was not stopped at its deadline")
Place = tuple[str, str]
"""Where a thread sleeps: the number of the system call and its first argument."""


class _Seen(NamedTuple):
    """A look in the past: when it began, and how far everybody had got."""

    at: float
    progress: Progress


class _Part(NamedTuple):
    """What a look found stuck beside threads that go on."""

    evidence: Evidence
    judgement: Judgement
    counts: tuple[tuple[tuple[int, int], bytes | None], ...]  # of those threads, before the look


class Watchdog:
    """Watches one process; use it once."""

    def __init__(
        self,
        supervisor: Supervisor,
        collector: Collector,
        pid: int,
        deadline_s: float | None,
        rates: Rates | None = None,
        *,
        native: bool = True,
        stop: Callable[[], bool] = lambda: False,
        tell: Tell | None = None,
        end_likely: bool = False,
        sampler: Sampler | None = None,
        last_look: bool = False,
    ) -> None:
        """Prepare; the time begins now.

        Args:
            supervisor: The one that started the process.
            collector: Reads the facts.
            pid: The main process.
            deadline_s: Seconds from now; None for no deadline.
            rates: How often to look.
            native: Whether to read native stacks too, for a process that hangs.
            stop: Asked again and again; once it says so, the watch ends as interrupted.
            tell: Called, once for the same threads, with what is found stuck while the process goes
                on: some threads, or all if an assumption holds.
            end_likely: Whether a likely deadlock of the whole process ends the watch, too.
            sampler: Takes samples of where it spends its time.
            last_look: Whether an interrupted watch ends with a look, as one at its deadline does.
        """
        self._native = native
        self._stop = stop
        self._tell = tell
        self._end_likely = end_likely
        self._sampler = sampler
        self._last_look = last_look
        self._told: set[object] = set()
        self._best: tuple[Evidence, Judgement] | None = None  # since the last progress
        self._part: _Part | None = None  # beside whatever goes on
        self._supervisor = supervisor
        self._collector = collector
        self._pid = pid
        self._rates = rates or Rates()
        self._began = time.monotonic()
        self._deadline = None if deadline_s is None else self._began + deadline_s
        self._progress = self._began
        self._place: Place | None = None
        self._running = False  # the main thread, when last glanced at
        self._sleeping = False  # the main thread, in a call that waits for nothing else
        self._seen = {False: _Seen(self._began, None), True: _Seen(self._began, None)}  # by parts
        self._pause = self._rates.first_pause_s
        self._next_look = self._began
        self._busy_pause = self._rates.busy_pause_s
        self._next_busy_look = self._began + self._busy_pause
        self._asleep = False  # somebody has fallen asleep since the last look at all threads
        self._next_asleep_look = self._began
        self._stillness = Stillness(supervisor.tree_roots) if tell is not None else None
        self._pace = Pace(saved_s=SAVED_S, spent_s=collector.cpu_s)
        # Separate: a main thread that sleeps in one place, for a second each time, is looked at in
        # vain, and must not use up what the others need.
        self._pace_of_parts = Pace(saved_s=SAVED_FOR_PARTS_S, spent_s=collector.cpu_s)
        self._alarms = AlarmQuestion(supervisor)
        self._samples = Samples(collector, self._began, deadline_s)

    def watch(self) -> Watched:
        """Watch until the end; the tree is left as it is, for the caller to end."""
        self._collector.hurry(self._deadline)
        try:
            glancer = self._collector.glancer(self._pid)
        except CaptureError:
            glancer = None  # it has already ended
        try:
            while True:
                now = time.monotonic()
                if self._deadline is not None and now >= self._deadline:
                    return self._at_deadline("deadline")
                timeout = self._rates.glance_s
                if self._deadline is not None:
                    timeout = min(timeout, self._deadline - now)
                end = self._supervisor.wait(timeout)
                if end is not None:
                    return self._ended(end)
                if self._stop():
                    if self._last_look:
                        return self._at_deadline("interrupted")
                    return self._ended(Stopped(reason="interrupted"))
                if glancer is None:
                    continue
                try:
                    glance = glancer.look()
                    self._note(glance, time.monotonic())
                    proved = self._look_if_it_is_time()
                    if proved is not None:
                        return proved
                    if self._sampler is not None:
                        self._sampler.take(self._collector, self._pid, glance)
                    if self._samples.are_due():
                        with self._pace:  # these few are taken in any case
                            self._samples.take(self._supervisor.tree_roots)
                except CaptureError:
                    continue  # it is ending: the supervisor will tell
        finally:
            if glancer is not None:
                glancer.close()

    def _note(self, glance: Glance, now: float) -> None:
        """Note progress: everything but sleeping in the same place as before."""
        self._running = glance.syscall == "running"
        call = glance.syscall.split(None, 2)
        place: Place | None = None
        if glance.state == "S" and len(call) >= 2:
            place = (call[0], call[1])
        elif glance.state in "ZX":
            place = ("ended", "")  # the others may go on, or hang, without it
        if place is None or place != self._place:
            self._place = place
            self._sleeping = place is not None and only_sleeps(glance.syscall.split())
            self._best = None
            self._progress = now
            self._pause = self._rates.first_pause_s
            self._next_look = now + self._rates.settle_s

    def _look_if_it_is_time(self) -> Watched | None:
        now = time.monotonic()
        if self._wants_parts(now) and self._pace_of_parts.may_look():
            self._asleep = False
            self._next_asleep_look = now + self._rates.asleep_pause_s
            self._next_busy_look = now + self._busy_pause
            self._busy_pause = min(self._busy_pause * 2, self._rates.longest_busy_pause_s)
            return self._look_closely(now, self._pace_of_parts, parts=True)
        if self._wants_main(now) and self._pace.may_look():
            return self._look_closely(now, self._pace, parts=False)
        return None

    def _wants_parts(self, now: float) -> bool:
        """Return whether to look at threads beside a main thread that goes on."""
        if self._stillness is None:
            return False
        self._asleep = self._stillness.fell_asleep() or self._asleep
        fell_asleep = self._asleep and now >= self._next_asleep_look
        return fell_asleep or (now >= self._next_busy_look and self._is_news(now, parts=True))

    def _wants_main(self, now: float) -> bool:
        """Return whether to look at a main thread that sleeps.

        One that only sleeps for a while is not stuck, but the others may be.
        """
        if self._place is None or now < self._next_look:
            return False
        return not self._sleeping or self._is_news(now, parts=False)

    def _is_news(self, now: float, *, parts: bool) -> bool:
        """Return whether somebody has run since the last look, or that look was a minute ago.

        Otherwise it would find the same, unless something changed outside of the processes.
        """
        if self._stillness is None or now >= self._seen[parts].at + self._rates.still_pause_s:
            return True
        progress = self._stillness.progress(of_main=not self._sleeping)
        return progress is None or progress != self._seen[parts].progress

    def _look_closely(self, now: float, pace: Pace, *, parts: bool) -> Watched | None:
        self._next_look = now + self._pause  # should it fail, it is not tried again at once
        progress, counts = None, {}
        if self._stillness is not None:
            progress = self._stillness.progress(of_main=not self._sleeping)
            counts = self._stillness.run_counts() if parts else {}
        with pace:
            evidence, judgement = self._examine(parts=parts)
        if all(isinstance(each.stacks, Known) for each in evidence.stacks):  # else it is repeated
            self._seen[parts] = _Seen(now, progress)
        likely = self._end_likely and judgement.likely_whole is not None
        if judgement.outcome == "deadlock" or likely:
            found = time.monotonic()
            return self._result(
                Stopped(reason="likely" if likely else "proved"),
                judgement,
                known(self._complete(evidence), "two snapshots that agree"),
                detected_after_s=found - self._progress,
            )
        if self._best is None or strength(judgement) >= strength(self._best[1]):
            self._best = evidence, judgement
        if parts and judgement.outcome in ("partial", "likely-partial"):
            stuck = [
                (each.pid, each.tid) for each in judgement.threads if each.stuck or each.likely
            ]
            self._part = _Part(evidence, judgement, tuple((key, counts.get(key)) for key in stuck))
        known_before = judgement.proof is not None and not self._tell_of(evidence, judgement)
        longest = self._rates.pause_told_s if known_before else self._rates.longest_pause_s
        now = time.monotonic()
        self._next_look = now + self._pause
        self._pause = min(self._pause * 2, longest)
        return None

    def _tell_of(self, evidence: Evidence, judgement: Judgement) -> bool:
        """Report what is stuck, if it was not reported before; return whether it was new."""
        assert judgement.proof is not None
        stuck = {(each.pid, each.tid) for each in judgement.threads if each.stuck or each.likely}
        stuck |= {(each.pid, each.address) for each in judgement.tasks if each.core}
        what = (judgement.outcome, frozenset(stuck))
        if self._tell is None or what in self._told:
            return False
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return False  # the answer at the end, which is due, says it too
        self._told.add(what)
        self._tell(evidence, judgement)
        return True

    def _examine(
        self, *, always_stacks: bool = False, parts: bool = False
    ) -> tuple[Evidence, Judgement]:
        found = examine_twice(
            self._collector,
            self._supervisor.tree_roots,
            self._rates.confirm_s,
            always_stacks=always_stacks,
            parts=parts,
        )
        late = None if self._deadline is None else self._deadline + LAST_LOOK_S
        return self._alarms.complete(*found, late)

    def _complete(self, evidence: Evidence) -> Evidence:
        return add_native_stacks(self._collector, evidence) if self._native else evidence

    def _at_deadline(self, reason: Literal["deadline", "interrupted"]) -> Watched:
        stopped = Stopped(reason=reason)
        self._collector.hurry(time.monotonic() + LAST_LOOK_S)
        try:
            evidence, judgement = self._examine(always_stacks=True)
            moving = self._or_ran(self._samples.moved_since(evidence))
            read = "read at the deadline, before the process was ended"
            if found := self._earlier(judgement):
                evidence, judgement = found
                read = "read before the deadline; at it, less could be read"
            evidence = self._complete(evidence)
        except CaptureError as error:
            end = self._supervisor.wait(0.1)
            if end is not None:
                return self._ended(end)
            unread = unknown(str(error))
            moving = self._or_ran(unread)
            if found := self._earlier(None):
                evidence, judgement = found
                earlier = known(evidence, f"read before the deadline; at it: {error}")
                return self._result(stopped, judgement, earlier, progressing=moving)
            return self._result(stopped, None, unread, progressing=moving)
        return self._result(
            stopped,
            judgement,
            known(evidence, read),
            progressing=moving,
        )

    def _earlier(self, last: Judgement | None) -> tuple[Evidence, Judgement] | None:
        """Return what an earlier look found that says more and still holds.

        The last look may lack a fact by chance. What threads were found to do beside others holds
        as long as none of them has run.
        """
        said = -1 if last is None else strength(last)
        if self._best is not None and strength(self._best[1]) > said:
            said, found = strength(self._best[1]), self._best
        else:
            found = None
        part = self._part
        if part is None or strength(part.judgement) <= said or self._stillness is None:
            return found
        now = self._stillness.run_counts()
        still = all(count is not None and now.get(key) == count for key, count in part.counts)
        return (part.evidence, part.judgement) if part.counts and still else found

    def _or_ran(self, moved: Known[bool] | Unknown) -> Known[bool] | Unknown:
        """Return whether it moved; without stacks, a running main thread counts as moving."""
        if isinstance(moved, Unknown) and self._running:
            return known(True, f"the main thread was running at the last glance; {moved.reason}")
        return moved

    def _ended(self, end: End) -> Watched:
        return self._result(end, None, unknown("it was not found hanging"))

    def _result(
        self,
        end: End,
        judgement: Judgement | None,
        evidence: Known[Evidence] | Unknown,
        *,
        detected_after_s: float | None = None,
        progressing: Known[bool] | Unknown = NOT_STOPPED,
    ) -> Watched:
        return Watched(
            end=end,
            began_s=self._began,
            duration_s=time.monotonic() - self._began,
            last_progress_s=self._progress - self._began,
            judgement=judgement,
            evidence=evidence,
            detected_after_s=detected_after_s,
            progressing=progressing,
        )
