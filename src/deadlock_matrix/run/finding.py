"""Turn a judgement on one of many processes into a finding."""

from __future__ import annotations

import time

import msgspec

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.scan import Finding, StuckTask, StuckThread
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.run.choosing import Chosen, label_of


def make_finding(chosen: Chosen, evidence: Evidence, judgement: Judgement) -> Finding:
    """Make the finding for one process; ``judgement`` has a proof."""
    proof = judgement.proof
    assert proof is not None
    stacks = {key: tuple(map(_frame, each.python)) for key, each in evidence.python().items()}
    tasks = {
        (facts.pid, task.address): tuple(map(_frame, task.frames))
        for facts in evidence.stacks
        for task in facts.tasks
    }
    return Finding(
        event="deadlock",
        time_s=time.time(),
        pid=chosen.pid,
        started=chosen.started,
        program=label_of(chosen.program.words),
        outcome=judgement.outcome,
        sentence=proof.sentence,
        assumptions=tuple(each.detail for each in proof.assumptions),
        threads=tuple(
            StuckThread(
                pid=each.pid,
                tid=each.tid,
                name=each.name,
                does=each.does,
                likely=each.likely,
                stack=stacks.get((each.pid, each.tid), ()),
            )
            for each in judgement.threads
            if each.stuck or each.likely
        ),
        tasks=tuple(
            StuckTask(
                pid=each.pid,
                address=each.address,
                name=each.name,
                does=each.does,
                likely=each.likely,
                stack=tasks.get((each.pid, each.address), ()),
            )
            for each in judgement.tasks
            if each.core and (each.stuck or each.likely)
        ),
        likely=judgement.likely.sentence if judgement.likely is not None else "",
    )


def _frame(frame: PythonFrame) -> str:
    return f'File "{frame.file}", line {frame.line}, in {frame.function}'


def end_of(told: Finding, why: str) -> Finding:
    """Make the finding that a reported deadlock is over."""
    return msgspec.structs.replace(told, event="over", time_s=time.time(), over=why)
