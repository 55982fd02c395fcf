"""A wait for what has no owner: who knows it may end it, and by assumption nobody else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from unit.proof_factory import (
    BEGUN,
    LIMITED,
    catching,
    evidence,
    frame,
    in_call,
    inside,
    lock,
    on_futex,
    pipe_ends,
    process,
    python,
    running,
    sleeping,
    stack,
    stacks,
)

from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.stack_facts import Awaited, Enders, ThreadStack
from deadlock_matrix.model.thread_facts import Switches, ThreadFacts
from deadlock_matrix.model.verdict import AssumptionKind, Judgement
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.judge import judge

GATE, JOBS = 0xA0, 0xB0


def awaits(kind: str = "Queue", action: str = "get", address: int = JOBS) -> Known[Awaited]:
    place = {"function": "take", "file": "/app/store.py", "line": 7}
    return known(
        Awaited(kind=kind, action=action, address=address, name="jobs", detail="empty", **place),
        "memory",
    )


def enders(*threads: int, how: Any = "users") -> Known[Enders]:
    return known(Enders(threads=threads, how=how), "memory")


def judged(*threads: ThreadFacts, read: tuple[ThreadStack, ...], **facts: Any) -> Judgement:
    facts = {"signals": catching(2), "python": python(), **facts}
    judgement = judge(evidence(process(*threads, **facts), stacks=(stacks(1, *read),)))
    if judgement.proof is not None:
        assert find_faults(judgement.proof) == ()
    return judgement


TAKER = stack(2, BEGUN, awaits=awaits(), holds=inside(GATE), enders=enders(3))
GIVER = stack(3, BEGUN, waits_for=lock(GATE))
LIVING = (sleeping(1), on_futex(2), on_futex(3))
MAIN = stack(1, frame("main", "/app/main.py", 3))


def test_a_queue_that_only_a_stuck_thread_knows() -> None:
    judgement = judged(*LIVING, read=(stack(1), TAKER, GIVER))
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    assert {each.kind for each in judgement.proof.assumptions} == {
        AssumptionKind.ENDED_BY_USERS,
        AssumptionKind.RELEASED_BY_HOLDER,
    }
    assert judgement.proof.sentence.startswith(
        "Thread 2 't2' waits for an item in Queue 0xb0 (jobs, empty) in take (store.py:7), which "
        "thread 3 't3' uses too, which waits for Lock 0xa0"
    )
    assert "only thread 3 't3', in whose frames it is" in judgement.proof.sentence


@pytest.mark.parametrize("how", ["runner", "pool"])
def test_a_future_that_only_a_stuck_thread_does(how: str) -> None:
    future = awaits("Future", "result")
    taker = msgspec.structs.replace(TAKER, awaits=future, enders=enders(3, how=how))
    judgement = judged(*LIVING, read=(stack(1), taker, GIVER))
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    kinds = {each.kind for each in judgement.proof.assumptions}
    assert AssumptionKind.DONE_BY_ITS_POOL in kinds


def test_a_pool_of_which_all_threads_wait_for_its_queue() -> None:
    future, pool = awaits("Future", "result"), enders(2, 3, how="pool")
    workers = [stack(tid, BEGUN, awaits=future, enders=pool) for tid in (2, 3)]
    judgement = judged(*LIVING, read=(stack(1), *workers))
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    assert judgement.proof.sentence.startswith(
        "2 threads of process 1 wait without a time limit for one another, and none of them can "
    )
    assert {node.kind for node in judgement.proof.nodes} >= {"object", "threads"}
    busy = judged(sleeping(1), on_futex(2), sleeping(3), read=(stack(1), *workers))
    assert busy.outcome == "not-proved"


@pytest.mark.parametrize(
    "threads",
    [
        (sleeping(1), on_futex(2), sleeping(3)),  # who knows it moves
        (
            sleeping(1),
            on_futex(2, timeout=known(LIMITED, "test")),
            on_futex(3),
        ),  # the wait ends by itself
        (sleeping(1), on_futex(2)),  # who knows it is not there any more
    ],
)
def test_nothing_is_likely(threads: tuple[ThreadFacts, ...]) -> None:
    assert judged(*threads, read=(stack(1), TAKER, GIVER)).outcome == "not-proved"


@pytest.mark.parametrize(
    "found", [enders(), enders(1, 3), known(Enders(threads=(9,), how="users"), "")]
)
def test_nor_if_somebody_else_knows_it_or_nobody(found: Known[Enders]) -> None:
    taker = msgspec.structs.replace(TAKER, enders=found)
    assert judged(*LIVING, read=(stack(1), taker, GIVER)).outcome == "not-proved"


def test_a_pipe_of_which_only_a_stuck_thread_knows_the_end() -> None:
    ends = pipe_ends((4, "pipe:[9]", "r"), (5, "pipe:[9]", "w"))
    taker = stack(2, BEGUN, holds=inside(GATE), enders=enders(3))
    threads = (sleeping(1), in_call(2, "read", 4), on_futex(3))
    judgement = judged(*threads, read=(stack(1), taker, GIVER), descriptors=ends)
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    assert "which thread 3 't3' uses too" in judgement.proof.sentence


def reached(*threads: int) -> Known[tuple[int, ...]]:
    return known(threads, "memory: all 3 references")


def test_what_nobody_else_can_get_to_is_proved() -> None:
    taker = msgspec.structs.replace(TAKER, reached=reached(2, 3))
    giver = msgspec.structs.replace(GIVER, reached=reached(2, 3))
    judgement = judged(*LIVING, read=(MAIN, taker, giver))
    assert judgement.outcome == "partial" and judgement.proof is not None
    assert judgement.proof.assumptions == ()
    assert "(jobs, empty) in take (store.py:7), which only thread 3 't3' can reach" in (
        judgement.proof.sentence
    )
    assert "and only thread 2 't2' can reach it" in judgement.proof.sentence


def test_a_part_of_the_circle_may_still_be_assumed() -> None:
    taker = msgspec.structs.replace(TAKER, reached=reached(2, 3))
    judgement = judged(*LIVING, read=(MAIN, taker, GIVER))
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    assert {each.kind for each in judgement.proof.assumptions} == {
        AssumptionKind.RELEASED_BY_HOLDER
    }


@pytest.mark.parametrize("others", [(1, 2, 3), (2, 3, 9), ()])
def test_somebody_who_moves_can_get_to_it(others: tuple[int, ...]) -> None:
    taker = msgspec.structs.replace(TAKER, reached=reached(*others), enders=enders())
    giver = msgspec.structs.replace(GIVER, reached=reached(2, 3))
    assert judged(*LIVING, read=(MAIN, taker, giver)).outcome == "not-proved"


NOBODY_ELSES = tuple(
    msgspec.structs.replace(each, reached=reached(2, 3), enders=enders()) for each in (TAKER, GIVER)
)


@pytest.mark.parametrize(
    "other",
    [
        sleeping(4),
        in_call(4, "epoll_wait", 9),
        running(4),
        on_futex(4, timeout=known(LIMITED, "test")),
        on_futex(4, timeout=unknown("test")),
    ],
)
@pytest.mark.parametrize("read", [(), (stack(4),)])
def test_a_thread_that_goes_on_in_c_may_have_its_address(
    other: ThreadFacts, read: tuple[ThreadStack, ...]
) -> None:
    judgement = judged(*LIVING, other, read=(MAIN, *NOBODY_ELSES, *read))
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    kinds = {each.kind for each in judgement.proof.assumptions}
    assert AssumptionKind.NOT_TOUCHED in kinds
    assert "no C code of thread 4 't4' keeps the address of Queue 0xb0" in judgement.proof.sentence


def test_one_that_moved_meanwhile_may_have_it_too() -> None:
    now = process(*LIVING, on_futex(4), signals=catching(2), python=python())
    moved = on_futex(4, switches=known(Switches(voluntary=4, involuntary=1), "status"))
    earlier = process(*LIVING, moved, signals=catching(2), python=python())
    read = (stacks(1, MAIN, *NOBODY_ELSES),)
    assert judge(evidence(now, before=(earlier,), stacks=read)).outcome == "likely-partial"
    assert judge(evidence(now, stacks=read)).outcome == "partial"


def test_idle_threads_of_a_library_cost_nothing() -> None:
    idle = (on_futex(4), on_futex(5))
    judgement = judged(*LIVING, *idle, read=(MAIN, *NOBODY_ELSES))
    assert judgement.outcome == "partial" and judgement.proof is not None
    assert judgement.proof.assumptions == ()


def test_a_thread_with_python_frames_has_only_counted_references() -> None:
    own = stack(4, BEGUN)
    judgement = judged(*LIVING, sleeping(4), read=(MAIN, *NOBODY_ELSES, own))
    assert judgement.outcome == "partial"
