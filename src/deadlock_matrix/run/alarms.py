"""Ask the processes of a tree for their alarms, if only that is missing for a proof.

Only code that is about to end the tree does this: it interrupts the processes' sleep for a moment.
"""

from __future__ import annotations

import time

import msgspec

from deadlock_matrix.capture.interval_timers import Alarms
from deadlock_matrix.capture.tree import read_entry
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.verdict import AssumptionKind, Judgement
from deadlock_matrix.proof.alarms import NAME
from deadlock_matrix.proof.conditions import process_id
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.run.process import Supervisor

ASK_WITHIN_S = 5.0
AGAIN_AFTER_S = 0.5
"""If the answers made no proof, or there were none, leave the processes alone for this long; twice
as long after each time, since on a busy machine a process may not answer at once.
"""

LONGEST_PAUSE_S = 10.0
"""The same once there is an alarm."""


class AlarmQuestion:
    """Asks less and less often; belongs to one watch."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._next_s = 0.0
        self._pause_s = AGAIN_AFTER_S
        self._pending: dict[tuple[int, int], Alarms] = {}  # by process id and start time

    def complete(
        self, evidence: Evidence, judgement: Judgement, until_s: float | None = None
    ) -> tuple[Evidence, Judgement]:
        """Add the answers to the evidence and judge again, if that could make it a proof.

        Args:
            evidence: What was read.
            judgement: Its judgement.
            until_s: CLOCK_MONOTONIC seconds; nobody is asked after that.
        """
        wanted = _unknown_alarms(evidence, judgement)
        if not wanted:
            return evidence, judgement
        now = time.monotonic()
        within_s = ASK_WITHIN_S if until_s is None else min(ASK_WITHIN_S, until_s - now)
        if now >= self._next_s and within_s > 0:
            answers = self._supervisor.alarms([process.pid for process in wanted], within_s)
            found = {
                (each.pid, each.started): answers[each.pid] for each in wanted if _is_still(each)
            }
            # That there was no alarm says nothing about later; an alarm that was set stays for a
            # while.
            self._pending = {key: fact for key, fact in found.items() if fact.or_else(False)}
            if self._pending:
                self._pause_s = LONGEST_PAUSE_S
            self._next_s = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        else:
            found = self._pending
        if not found:
            return evidence, judgement
        processes = tuple(
            msgspec.structs.replace(
                process, alarms=found.get((process.pid, process.started), process.alarms)
            )
            for process in evidence.after.processes
        )
        after = msgspec.structs.replace(evidence.after, processes=processes)
        evidence = msgspec.structs.replace(evidence, after=after)
        return evidence, judge(evidence)


def _is_still(process: ProcessFacts) -> bool:
    """Return whether the id by which it was asked still belongs to that same process."""
    now = read_entry(process.pid)
    return now is not None and now.started == process.started


def _unknown_alarms(evidence: Evidence, judgement: Judgement) -> tuple[ProcessFacts, ...]:
    """Return the processes whose alarms are unknown, if nothing else is missing for a proof.

    No alarm is not enough where SIGALRM has a handler: anybody could send it.
    """
    proof = judgement.likely_whole
    if proof is None or any(each.kind is not AssumptionKind.NO_ALARM for each in proof.assumptions):
        return ()
    if any(condition.assumes and condition.name != NAME for condition in proof.conditions):
        return ()
    subjects = {assumption.subject for assumption in proof.assumptions}
    return tuple(
        process
        for process in evidence.after.processes
        if process_id(process.pid) in subjects and not isinstance(process.alarms, Known)
    )
