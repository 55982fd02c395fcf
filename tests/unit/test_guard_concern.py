"""What is stuck in a pytest process need not be what its test waits for."""

from __future__ import annotations

import pytest
from unit import proof_factory as make

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.thread_facts import ThreadFacts
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.pytest_plugin.guard.concern import concerns_the_test

A, B = 0x100, 0x200
TASKS = (
    make.task(A, make.awaiting("lock", 0xB0, name="b"), 0xA0),
    make.task(B, make.awaiting("lock", 0xA0, name="a"), 0xB0),
)
CROSSED = (make.on_mutex(2, 3), make.on_mutex(3, 2, at=8))


def concerns(found: Evidence) -> bool:
    judgement = judge(found)
    assert judgement.outcome in ("partial", "likely-partial")
    return concerns_the_test(found, judgement)


def test_threads_that_an_earlier_test_left_behind() -> None:
    assert not concerns(make.evidence(make.process(make.sleeping(1), *CROSSED)))


def test_a_main_thread_that_waits_for_one_of_them() -> None:
    stuck = (make.on_mutex(1, 2, at=16), *CROSSED, make.sleeping(4))
    assert concerns(make.evidence(make.process(*stuck)))


@pytest.mark.parametrize(("main", "concerned"), [(A, True), (0, False), (0x300, False)])
def test_tasks_beside_that_of_the_test(main: int, concerned: bool) -> None:
    alive = make.process(make.sleeping(1))
    assert concerns(make.evidence(alive, stacks=(make.loops(1, *TASKS, main=main),))) is concerned


@pytest.mark.parametrize(
    ("main", "concerned"),
    [(make.in_call(1, "wait4", 50), True), (make.in_call(1, "read", 3), False)],
)
def test_a_child_that_is_stuck(main: ThreadFacts, concerned: bool) -> None:
    child = make.process(make.on_mutex(50, 51), make.on_mutex(51, 50, at=8), parent=1)
    found = make.evidence(make.process(main, make.running(2)), child)
    assert concerns(found) is concerned
