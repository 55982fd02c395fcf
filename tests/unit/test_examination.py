"""What is left of an examination when the time is up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from deadlock_matrix.errors import OutOfTime
from deadlock_matrix.model.evidence import Evidence, Machine
from deadlock_matrix.model.fact import Known, known
from deadlock_matrix.model.process_facts import Descriptor, Snapshot
from deadlock_matrix.model.stack_facts import StackFacts
from deadlock_matrix.model.thread_facts import ThreadFacts, TimeLimit
from deadlock_matrix.run.examination import ATTEMPTS, examine, examine_twice
from tests.unit.proof_factory import (
    evidence,
    in_call,
    on_futex,
    on_mutex,
    process,
    running,
    sleeping,
    stack,
    stacks,
)

SOON = known(TimeLimit(due_s=known(0.005, "argument"), exact=True), "argument")

CROSSED = evidence(
    process(on_mutex(100, owner=101), on_mutex(101, owner=100)),
    stacks=(stacks(100, stack(100), stack(101)),),
)


class Collector:
    """Gives the same again and again, until the time is up after so many snapshots."""

    def __init__(self, found: Evidence, snapshots: int) -> None:
        self.found = found
        self.left = snapshots

    def machine(self, pid: int) -> Machine:
        return self.found.machine

    def snapshot(self, roots: Sequence[int]) -> Snapshot:
        if not self.left:
            raise OutOfTime("process 100 cannot be inspected: there was no time left for it.")
        self.left -= 1
        return self.found.before if self.left else self.found.after

    def python_stacks(self, pids: Sequence[int], awaited: object = ()) -> tuple[StackFacts, ...]:
        return self.found.stacks


def test_two_snapshots_are_enough() -> None:
    _, judgement = examine(Collector(CROSSED, 2), lambda: (100,))  # type: ignore[arg-type]
    assert judgement.outcome == "deadlock"


def test_one_snapshot_is_shown_and_proves_nothing() -> None:
    found, judgement = examine(Collector(CROSSED, 1), lambda: (100,))  # type: ignore[arg-type]
    assert judgement.outcome == "not-proved"
    assert "no time for a second look" in judgement.gaps[0].detail
    assert {each.tid for each in judgement.threads} == {100, 101}
    assert isinstance(found.stacks[0].stacks, Known)


def test_without_any_snapshot_there_is_nothing_to_show() -> None:
    with pytest.raises(OutOfTime):
        examine(Collector(CROSSED, 0), lambda: (100,))  # type: ignore[arg-type]


def attempts_for(*threads: ThreadFacts, **facts: object) -> int:
    """Return how many snapshots are taken of a process in which nothing is stuck."""
    found = evidence(process(*threads, **facts))
    collector = Collector(found, 100)
    judgement = examine(collector, lambda: (1,), always_stacks=True)[1]  # type: ignore[arg-type]
    assert judgement.outcome == "not-proved"
    return 100 - collector.left


@pytest.mark.parametrize(
    ("threads", "again"),
    [
        ((sleeping(1), running(2)), False),  # the main thread goes on, whoever else is awake
        ((in_call(1, "clock_nanosleep", timeout=SOON), running(2)), False),
        ((running(1), sleeping(2)), True),  # it may be about to sleep
        ((on_futex(1, timeout=SOON), sleeping(2)), True),  # perhaps it waits for the GIL
        ((on_mutex(1, 2), running(2)), True),  # the owner may be about to sleep
        ((on_mutex(1, 2), sleeping(2), running(3)), False),
    ],
)
def test_looks_again_only_for_what_may_be_by_chance(
    threads: tuple[ThreadFacts, ...], again: bool
) -> None:
    assert attempts_for(*threads) == 1 + (ATTEMPTS if again else 1)


def test_looks_again_if_a_loop_may_have_been_at_work() -> None:
    epoll = Descriptor(number=3, target="anon_inode:[eventpoll]", access="rw")
    of_loop = attempts_for(sleeping(1), running(2), descriptors=known((epoll,), "fd"))
    assert of_loop == 1 + ATTEMPTS


def test_a_second_look_that_finds_the_same_takes_one_snapshot() -> None:
    found = evidence(
        process(sleeping(1), running(2), on_mutex(3, owner=4), on_mutex(4, owner=3)),
    )
    collector = Collector(found, 100)
    judgement = examine_twice(collector, lambda: (1,), 0)[1]  # type: ignore[arg-type]
    assert judgement.outcome == "partial"
    assert 100 - collector.left == 4  # three for the first answer
