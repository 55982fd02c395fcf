"""Free-threaded builds: a stop of the world, and mutexes of CPython's own."""

from __future__ import annotations

from typing import Any

import pytest
from unit.proof_factory import (
    LOCK,
    UNKNOWN,
    evidence,
    on_futex,
    on_mutex,
    process,
    python,
    sleeping,
    stack,
    stacks,
    stopping_the_world,
)

from deadlock_matrix.model.fact import known
from deadlock_matrix.model.stack_facts import PythonMutex
from deadlock_matrix.model.thread_facts import ThreadFacts, TimeLimit
from deadlock_matrix.model.verdict import AssumptionKind, Judgement
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.proof.outlook import outlook

FREE = python(free_threaded=True)


def judged(*threads: ThreadFacts, attached: Any, build: Any = FREE, **facts: Any) -> Judgement:
    read = (stack(1, stopped_by=attached), *(stack(each.tid) for each in threads[1:]))
    return judge(evidence(process(*threads, python=build, **facts), stacks=(stacks(1, *read),)))


def test_one_that_is_attached_and_stuck() -> None:
    judgement = judged(stopping_the_world(1), on_futex(2), attached=known((2,), "mem"))
    assert judgement.outcome == "deadlock" and judgement.proof is not None
    assert (
        "main thread 1 stops the world and waits for thread 2 't2', which is attached"
        in judgement.proof.sentence
    )


def test_one_of_several_that_are_attached() -> None:
    attached = known((2, 3), "mem")
    judgement = judged(stopping_the_world(1), sleeping(2), on_mutex(3, 1), attached=attached)
    assert judgement.outcome == "partial" and judgement.proof is not None
    assert "waits for thread 3" in judgement.proof.sentence


@pytest.mark.parametrize("other", [sleeping(2), on_futex(2, timeout=UNKNOWN)])
def test_one_that_may_go_on(other: ThreadFacts) -> None:
    judgement = judged(stopping_the_world(1), other, attached=known((2,), "mem"))
    assert judgement.outcome == "not-proved"


@pytest.mark.parametrize("attached", [UNKNOWN, known((), "mem"), known((99,), "mem")])
def test_nobody_is_known_to_be_attached(attached: Any) -> None:
    judgement = judged(stopping_the_world(1), on_futex(2), attached=attached)
    assert judgement.outcome == "not-proved"


def test_a_build_with_a_gil() -> None:
    attached = known((2,), "mem")
    judgement = judged(stopping_the_world(1), on_futex(2), attached=attached, build=python())
    assert judgement.outcome == "not-proved"


def test_one_that_may_be_cancelled() -> None:
    cancelling = known(("/lib/app.so",), "mem")
    judgement = judged(
        stopping_the_world(1), on_futex(2), attached=known((2,), "mem"), cancelling=cancelling
    )
    assert judgement.outcome == "likely" and judgement.proof is not None
    kinds = [each.kind for each in judgement.proof.assumptions]
    assert kinds == [AssumptionKind.NOT_CANCELLED]


def test_stacks_are_read_of_a_short_wait_alone() -> None:
    def could(due_s: float) -> bool:
        limit = known(TimeLimit(due_s=known(due_s, "argument"), exact=True), "argument")
        threads = (stopping_the_world(1, timeout=limit), on_futex(2))
        return outlook(evidence(process(*threads, python=FREE))).possible

    assert could(0.0005)
    assert not could(5.0)


# --- mutexes of CPython's own -------------------------------------------------------------------


def on_mutex_of_an_object(inside: Any, word: int = LOCK) -> Judgement:
    mutex = PythonMutex(address=0xA0A, word=word, object="list", inside=inside)
    read = (stack(1), stack(2, waits_for_mutex=known(mutex, "mem")), stack(3))
    threads = (sleeping(1), on_futex(2), on_mutex(3, 2))
    return judge(evidence(process(*threads, python=FREE), stacks=(stacks(1, *read),)))


def test_the_thread_inside_a_critical_section_is_likely_to_be_the_owner() -> None:
    judgement = on_mutex_of_an_object(known(3, "mem"))
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    assert find_faults(judgement.proof) == ()
    assert (
        "Thread 2 't2' waits for the mutex of the list at 0xa00, held by thread 3 't3' (inside a "
        "critical section)" in judgement.proof.sentence
    )
    kinds = [each.kind for each in judgement.proof.assumptions]
    assert kinds == [AssumptionKind.RELEASED_BY_HOLDER]


@pytest.mark.parametrize("inside", [UNKNOWN, known(1, "mem"), known(99, "mem")])
def test_nobody_who_is_stuck_is_inside_a_section(inside: Any) -> None:
    judgement = on_mutex_of_an_object(inside)
    assert judgement.outcome == "not-proved"
    (does,) = [each.does for each in judgement.threads if each.tid == 2]
    assert "waits for the mutex of the list at 0xa00" in does


def test_a_mutex_that_another_wait_was_for() -> None:
    judgement = on_mutex_of_an_object(known(3, "mem"), word=LOCK + 8)
    assert judgement.outcome == "not-proved"
