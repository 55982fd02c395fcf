"""Look at a process tree closely, once: two snapshots, the stacks between them, a judgement."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.model.evidence import Evidence, ProcessFacts, StackFacts
from deadlock_matrix.model.fact import unknown
from deadlock_matrix.model.verdict import Judgement
from deadlock_matrix.proof.judge import could_be_stuck, judge

ATTEMPTS = 5
STACKS_WITHIN_S = 2.0
"""For the stacks of a whole tree, which may have a thousand processes; parents come first."""

BETWEEN_ATTEMPTS_S = 0.003
"""A thread that waits for the GIL runs for a moment every 5 ms, longer on a busy machine. To catch
it asleep takes a few attempts."""


def examine(
    collector: Collector, roots: tuple[int, ...], *, always_stacks: bool = False
) -> tuple[Evidence, Judgement]:
    """Examine the tree of ``roots``, the first of which is the one to judge.

    Stacks are read only if they could make a difference, or for a reader (``always_stacks``).

    Raises:
        CaptureError: The first root has ended or cannot be read.
    """
    machine = collector.machine(roots[0])
    for _ in range(ATTEMPTS):
        before = collector.snapshot(roots)
        alone = Evidence(machine=machine, before=before, stacks=(), after=before)
        possible = could_be_stuck(alone)
        if possible:
            break
        time.sleep(BETWEEN_ATTEMPTS_S)
    if not possible and not always_stacks:
        return alone, judge(alone)
    stacks = read_stacks(collector.python_stacks, before.processes)
    evidence = Evidence(machine=machine, before=before, stacks=stacks, after=before)
    return look_again(collector, evidence, roots, attempts=ATTEMPTS if possible else 1)


def look_again(
    collector: Collector, evidence: Evidence, roots: tuple[int, ...], attempts: int = ATTEMPTS
) -> tuple[Evidence, Judgement]:
    """Take the second snapshot anew, until it proves something or the attempts are used up."""
    while True:
        evidence = msgspec.structs.replace(evidence, after=collector.snapshot(roots))
        judgement = judge(evidence)
        attempts -= 1
        if judgement.outcome == "deadlock" or attempts <= 0:
            return evidence, judgement
        time.sleep(BETWEEN_ATTEMPTS_S)


def add_native_stacks(collector: Collector, evidence: Evidence) -> Evidence:
    """Read native stacks too, for people. This stops each process for a moment."""
    stacks = read_stacks(collector.native_stacks, evidence.after.processes)
    return msgspec.structs.replace(evidence, native_stacks=stacks)


def read_stacks(
    read: Callable[[Sequence[int]], tuple[StackFacts, ...]], processes: Sequence[ProcessFacts]
) -> tuple[StackFacts, ...]:
    """Read one process after the other as long as there is time; the rest stays unknown."""
    end = time.monotonic() + STACKS_WITHIN_S
    late = unknown(f"not read: the stacks of other processes took {STACKS_WITHIN_S:g} s already")
    found: list[StackFacts] = []
    for process in processes:
        if time.monotonic() < end:
            found += read([process.pid])
        else:
            found.append(StackFacts(pid=process.pid, stacks=late))
    return tuple(found)
