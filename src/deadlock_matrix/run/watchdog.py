"""Watches a process tree from outside until it ends, is proved deadlocked, or its time is up.

While things move it only glances at the main thread, a few dozen times a second. When the main
thread sleeps in the same place for some glances, it takes two full snapshots with the stacks in
between, and judges them. A process that is not stuck is asked less and less often.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.capture.glance import Glance
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.evidence import Evidence, ProcessStacks, StackFacts
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.observation import End, Stopped
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.run.alarms import AlarmQuestion
from deadlock_matrix.run.examination import (
    add_native_stacks,
    examine_twice,
    read_stacks,
    strength,
)
from deadlock_matrix.run.pace import Pace
from deadlock_matrix.run.process import Supervisor


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How often to look, in seconds. None of them decides a verdict, only when there is one."""

    glance_s: float = 0.025
    settle_s: float = 0.045  # asleep in one place for so long: worth a snapshot
    confirm_s: float = 0.03  # a proof must still hold so much later
    first_pause_s: float = 0.06  # after a look that proved nothing; doubled each time
    longest_pause_s: float = 2.0
    pause_told_s: float = 5.0  # the longest, where the same was found and told already
    busy_pause_s: float = 1.0  # before a look at threads beside a main thread that goes on
    longest_busy_pause_s: float = 16.0

    def times(self, factor: float) -> Rates:
        """The same, ``factor`` times as often."""
        return Rates(
            glance_s=self.glance_s / factor,
            settle_s=self.settle_s / factor,
            confirm_s=self.confirm_s / factor,
            first_pause_s=self.first_pause_s / factor,
            longest_pause_s=self.longest_pause_s / factor,
            pause_told_s=self.pause_told_s / factor,
            busy_pause_s=self.busy_pause_s / factor,
            longest_busy_pause_s=self.longest_busy_pause_s / factor,
        )


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

NOT_STOPPED = unknown("it was not stopped at its deadline")
Place = tuple[str, str]
"""Where a thread sleeps: the number of the system call and its first argument."""


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
    ) -> None:
        """Get ready; the time begins now.

        Args:
            supervisor: Has started the process.
            collector: Reads the facts.
            pid: The main process.
            deadline_s: Seconds from now; None is for ever.
            rates: How often to look.
            native: Whether to read native stacks too, of a process that hangs.
            stop: Asked again and again; when it says so, the watch ends as interrupted.
            tell: Called, once for the same threads, with what is found stuck while the process
                goes on: some threads, or all if an assumption holds.
            end_likely: Whether a likely deadlock of the whole process ends the watch too.
        """
        self._native = native
        self._stop = stop
        self._tell = tell
        self._end_likely = end_likely
        self._told: set[object] = set()
        self._best: tuple[Evidence, Judgement] | None = None  # since the last progress
        self._supervisor = supervisor
        self._collector = collector
        self._pid = pid
        self._rates = rates or Rates()
        self._began = time.monotonic()
        self._deadline = None if deadline_s is None else self._began + deadline_s
        self._progress = self._began
        self._place: Place | None = None
        self._pause = self._rates.first_pause_s
        self._next_look = self._began
        self._busy_pause = self._rates.busy_pause_s
        self._next_busy_look = self._began + self._busy_pause
        self._pace = Pace(spent_s=collector.cpu_s)
        self._alarms = AlarmQuestion(supervisor)
        self._samples = _Samples(collector, self._began, deadline_s)

    def watch(self) -> Watched:
        """Watch until the end; the tree is left as it is, for the caller to end."""
        self._collector.hurry(self._deadline)
        try:
            glancer = self._collector.glancer(self._pid)
        except CaptureError:
            glancer = None  # it has ended already
        try:
            while True:
                now = time.monotonic()
                if self._deadline is not None and now >= self._deadline:
                    return self._at_deadline()
                timeout = self._rates.glance_s
                if self._deadline is not None:
                    timeout = min(timeout, self._deadline - now)
                end = self._supervisor.wait(timeout)
                if end is not None:
                    return self._ended(end)
                if self._stop():
                    return self._ended(Stopped(reason="interrupted"))
                if glancer is None:
                    continue
                try:
                    self._note(glancer.look(), time.monotonic())
                    proved = self._look_closely() if self._is_time_to_look() else None
                    if proved is not None:
                        return proved
                    with self._pace:  # these few are taken in any case
                        self._samples.take(self._supervisor.tree_roots)
                except CaptureError:
                    continue  # it is ending: the supervisor will tell
        finally:
            if glancer is not None:
                glancer.close()

    def _note(self, glance: Glance, now: float) -> None:
        """Asleep in the same place as before is no progress; everything else is."""
        call = glance.syscall.split(None, 2)
        place: Place | None = None
        if glance.state == "S" and len(call) >= 2:
            place = (call[0], call[1])
        elif glance.state in "ZX":
            place = ("ended", "")  # the others may go on, or hang, without it
        if place is None or place != self._place:
            self._place = place
            self._best = None
            self._progress = now
            self._pause = self._rates.first_pause_s
            self._next_look = now + self._rates.settle_s

    def _is_time_to_look(self) -> bool:
        now = time.monotonic()
        if not self._pace.may_look():
            return False
        if self._place is not None and now >= self._next_look:
            return True
        return self._tell is not None and now >= self._next_busy_look

    def _look_closely(self) -> Watched | None:
        now = time.monotonic()
        parts = self._tell is not None and now >= self._next_busy_look
        if parts:
            self._next_busy_look = now + self._busy_pause
            self._busy_pause = min(self._busy_pause * 2, self._rates.longest_busy_pause_s)
        self._next_look = now + self._pause  # should it fail, it is not tried again at once
        with self._pace:
            evidence, judgement = self._examine(parts=parts)
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
        known_before = judgement.proof is not None and not self._tell_of(evidence, judgement)
        longest = self._rates.pause_told_s if known_before else self._rates.longest_pause_s
        now = time.monotonic()
        self._next_look = now + self._pause
        self._pause = min(self._pause * 2, longest)
        return None

    def _tell_of(self, evidence: Evidence, judgement: Judgement) -> bool:
        """Tell what is stuck, if it was not told before; whether it was new."""
        assert judgement.proof is not None
        stuck = {(each.pid, each.tid) for each in judgement.threads if each.stuck or each.likely}
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

    def _at_deadline(self) -> Watched:
        self._collector.hurry(time.monotonic() + LAST_LOOK_S)
        try:
            evidence, judgement = self._examine(always_stacks=True)
            moving = self._samples.moved_since(evidence)
            if self._best is not None and strength(self._best[1]) > strength(judgement):
                evidence, judgement = self._best  # the last look may lack a fact by chance
            evidence = self._complete(evidence)
        except CaptureError as error:
            end = self._supervisor.wait(0.1)
            if end is not None:
                return self._ended(end)
            reason = unknown(str(error))
            if self._best is not None:
                evidence, judgement = self._best
                earlier = known(evidence, f"read before the deadline; at it: {error}")
                return self._result(
                    Stopped(reason="deadline"), judgement, earlier, progressing=reason
                )
            return self._result(Stopped(reason="deadline"), None, reason, progressing=reason)
        return self._result(
            Stopped(reason="deadline"),
            judgement,
            known(evidence, "read at the deadline, before the process was ended"),
            progressing=moving,
        )

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


class _Samples:
    """A few stacks during the second half of the time, to tell slow from hung at the deadline."""

    PARTS = 8

    def __init__(self, collector: Collector, began: float, deadline_s: float | None) -> None:
        self._collector = collector
        self._every = None if deadline_s is None else deadline_s / self.PARTS
        self._next = began + (deadline_s or 0.0) / 2
        self._signatures: list[object] = []

    def take(self, roots: Callable[[], tuple[int, ...]]) -> None:
        """Take a sample if it is time for one."""
        now = time.monotonic()
        if self._every is None or now < self._next:
            return
        self._next = now + self._every
        processes = self._collector.snapshot(roots()).processes
        stacks = read_stacks(self._collector.python_stacks, processes)
        signature = _signature(stacks)
        if signature is not None:  # else it was cut short by the deadline, or not readable
            self._signatures.append(signature)

    def moved_since(self, evidence: Evidence) -> Known[bool] | Unknown:
        """Whether the main threads' Python lines changed over the last samples."""
        now = _signature(evidence.stacks)
        recent = self._signatures[-2:]
        if now is None or not recent:
            return unknown("too few stacks were read to tell whether it moved")
        source = f"the main threads' Python stacks, {len(recent) + 1} times before the deadline"
        return known(any(signature != now for signature in recent), source)


def _signature(stacks: tuple[StackFacts, ...]) -> object:
    """Where each process's main thread is, in Python lines; None where nobody could tell."""
    signature = []
    for facts in stacks:
        if not isinstance(facts.stacks, Known):
            continue
        read: ProcessStacks = facts.stacks.value
        for thread in read.threads:
            if thread.tid == facts.pid:
                lines = tuple((frame.file, frame.line) for frame in thread.python)
                signature.append((facts.pid, lines))
    return tuple(signature) or None
