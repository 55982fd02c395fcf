"""The condition that no alarm ends another process, for waits for a child or on a pipe.

``alarm`` and ``setitimer(ITIMER_REAL)`` send SIGALRM, whose default action ends the process, and
thereby closes its ends of pipes. The other two interval timers, and limits of processor time, count
only while a thread runs. POSIX timers are checked for every process (`conditions`).
"""

from __future__ import annotations

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.verdict import Assumption, AssumptionKind, Condition, ConditionName, Gap
from deadlock_matrix.proof.conditions import process_id
from deadlock_matrix.proof.world import GONE, World

SIGALRM = 14
NAME: ConditionName = "no-alarm"


def no_alarm_of_others(world: World, pid: int) -> tuple[Condition, ...] | Gap:
    """Return one condition for every other process of the tree, or a Gap if an alarm is pending."""
    conditions: list[Condition] = []
    for process in world.after.values():
        if process.pid == pid or not world.live(process.pid):
            continue
        found = _no_alarm(process)
        if isinstance(found, Gap):
            return found
        conditions.append(found)
    return tuple(conditions)


def _no_alarm(process: ProcessFacts) -> Condition | Gap:
    subject = process_id(process.pid)
    signals, alarms = process.signals, process.alarms
    if isinstance(signals, Known):
        how = ""
        if signals.value.ignored >> (SIGALRM - 1) & 1:
            how = "it ignores SIGALRM"
        elif all(
            thread.blocked_signals >> (SIGALRM - 1) & 1
            for thread in process.threads
            if thread.state not in GONE
        ):
            how = "all of its threads block SIGALRM"
        if how:
            return Condition(name=NAME, subject=subject, detail=how, source=signals.source)
    if isinstance(alarms, Known):
        if alarms.value:
            return Gap(
                kind="does-not-hold",
                subject=f"process {process.pid}",
                detail=f"has set an alarm, due in {alarms.value[0]:.1f} s",
            )
        return Condition(
            name=NAME, subject=subject, detail="it has set no alarm", source=alarms.source
        )
    assumption = Assumption(
        kind=AssumptionKind.NO_ALARM,
        subject=subject,
        detail=f"process {process.pid} has set no alarm",
        source=alarms.reason,
    )
    return Condition(
        name=NAME,
        subject=subject,
        detail=f"whether it has set an alarm is not known: {alarms.reason}",
        source=alarms.reason,
        assumes=(assumption,),
    )
