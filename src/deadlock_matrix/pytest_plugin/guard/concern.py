"""Whether what was found in a pytest process is what keeps its test from ending.

An earlier test may have left threads or tasks behind that are stuck for good, while this one works.
"""

from __future__ import annotations

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.thread_facts import SystemCall
from deadlock_matrix.model.verdict import Judgement


def concerns_the_test(evidence: Evidence, judgement: Judgement) -> bool:
    """Return whether the main thread is stuck, or its task, or the child that it waits for."""
    if judgement.outcome in ("deadlock", "likely"):
        return True
    root = evidence.after.root
    stuck = {(each.pid, each.tid) for each in judgement.threads if each.stuck or each.likely}
    return (
        (root, root) in stuck
        or _runs_a_stuck_task(evidence, judgement, root)
        or (_waits_for_children(evidence, root) and any(pid != root for pid, _ in stuck))
    )


def _runs_a_stuck_task(evidence: Evidence, judgement: Judgement, root: int) -> bool:
    stuck = {each.address for each in judgement.tasks if each.pid == root and each.likely}
    return any(
        loop.tid == root and loop.main in stuck
        for facts in evidence.stacks
        if facts.pid == root
        and isinstance(facts.stacks, Known)
        and isinstance(facts.stacks.value.loops, Known)
        for loop in facts.stacks.value.loops.value
    )


def _waits_for_children(evidence: Evidence, root: int) -> bool:
    calls = (
        thread.activity.value
        for process in evidence.after.processes
        if process.pid == root
        for thread in process.threads
        if thread.tid == root and isinstance(thread.activity, Known)
    )
    return any(
        isinstance(call, SystemCall) and blocking(call.name).waits_for is WaitsFor.CHILD
        for call in calls
    )
