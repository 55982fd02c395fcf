"""What one run counts as, if the question is whether it hangs."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from statistics import median

from deadlock_matrix.model.diagnosis import Rate
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.observation import CellResult, Exited, Stopped
from deadlock_matrix.model.verdict import Verdict

HANGS = (Verdict.DEADLOCK, Verdict.HANG)


class Ending(Enum):
    """How a run ended."""

    HUNG = "hung"
    CLEAN = "clean"
    FAILED = "failed"  # by itself: an exception, a status, a signal
    MOVING = "moving"  # still moving at its deadline
    NONE = "none"  # it could not be run


def ending(result: CellResult) -> Ending:
    """Return what a run counts as. ``sys.exit()`` without a status is a clean end."""
    if result.verdict in HANGS:
        return Ending.HUNG
    if result.verdict is Verdict.OK or exited_cleanly(result):
        return Ending.CLEAN
    if result.verdict is Verdict.SLOW:
        return Ending.MOVING
    return Ending.FAILED if result.verdict in (Verdict.ERROR, Verdict.CRASH) else Ending.NONE


def exited_cleanly(result: CellResult) -> bool:
    """Return whether the entry ended the interpreter by itself, with status 0."""
    seen = result.seen
    if seen is None or seen.raised is None:
        return False
    return seen.raised.type == "SystemExit" and seen.end == Exited(status=0)


def was_interrupted(result: CellResult) -> bool:
    """Return whether somebody ended the run before its deadline, and nothing was proved by then."""
    seen = result.seen
    return seen is not None and seen.end == Stopped(reason="interrupted")


def rate_of(results: Iterable[CellResult]) -> Rate:
    """Return how many hung of the runs that ended or hung; slow and missing runs do not count."""
    ends = [ending(result) for result in results]
    counted = [each for each in ends if each not in (Ending.MOVING, Ending.NONE)]
    return Rate(hangs=counted.count(Ending.HUNG), runs=len(counted))


def entry_s(results: Iterable[CellResult]) -> Known[float] | Unknown:
    """Return median seconds of the entries of the clean runs."""
    facts = [result.probe for result in results if ending(result) is Ending.CLEAN]
    times = [each.entry_s for each in facts if each is not None]
    return known(median(times), f"{len(times)} clean runs") if times else unknown("no clean run")


def threads_after(results: Iterable[CellResult]) -> Known[int] | Unknown:
    """Return how many threads the process had after its entry, at most, in all clean runs."""
    counts = []
    for result in results:
        facts = result.probe
        if ending(result) is Ending.CLEAN and facts and isinstance(facts.threads, Known):
            counts.append(len(facts.threads.value))
    return known(max(counts), "the probe, after its entry") if counts else unknown("no clean run")


def threads_when_hung(result: CellResult) -> Known[int] | Unknown:
    """Return how many threads the process tree had when it hung."""
    if result.evidence is None:
        return unknown("no evidence was read")
    processes = result.evidence.after.processes
    return known(sum(len(each.threads) for each in processes), "the evidence, when it hung")
