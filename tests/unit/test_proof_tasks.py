"""Tasks of asyncio: which can never go on, under which assumptions, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest
from unit import proof_factory as make

from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.stack_facts import PythonLock
from deadlock_matrix.model.tasks import Entered, Task
from deadlock_matrix.model.verdict import AssumptionKind, Judgement, Proof, ProofKind
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.judge import judge

A, B, C = 0x100, 0x200, 0x300
LOCK_A, LOCK_B = 0xA0, 0xB0
CROSSED = (
    make.task(A, make.awaiting("lock", LOCK_B, name="b"), LOCK_A),
    make.task(B, make.awaiting("lock", LOCK_A, name="a"), LOCK_B),
)
OF_A_TASK = {AssumptionKind.NOT_CANCELLED, AssumptionKind.NOT_COLLECTED}
ALIVE = make.process(make.sleeping(1))
"""Its thread sleeps with a time limit, as that of a loop with a timer does."""


def judged(*tasks: Task, alive: ProcessFacts = ALIVE, **facts: Any) -> Judgement:
    return judge(make.evidence(alive, stacks=(make.loops(1, *tasks, **facts),)))


def proof_of(judgement: Judgement) -> Proof:
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    assert find_faults(judgement.proof) == ()
    return judgement.proof


def test_two_tasks_cross_two_locks() -> None:
    proof = proof_of(judged(*CROSSED))
    assert proof.kind is ProofKind.OWNER
    assert {each.kind for each in proof.assumptions} == {
        AssumptionKind.RELEASED_BY_HOLDER,
        *OF_A_TASK,
    }
    assert proof.sentence.startswith(
        f"Task 't{A}' waits for Lock 0xb0 (b), held by task 't{B}' "
        f"(inside `async with lock_{LOCK_B}` at store.py:5); task 't{B}' waits for"
    )


def test_tasks_are_told_with_their_holders() -> None:
    first, second = judged(*CROSSED).tasks
    assert first.likely and first.core and not first.stuck
    assert first.held_by[0].address == B and first.waits_for_tasks == (B,)
    assert second.held_by[0].how == f"inside `async with lock_{LOCK_A}` at store.py:5"


def test_who_waits_for_them_is_stuck_and_not_what_it_is_about() -> None:
    awaits = make.awaiting("gather", tasks=(A, B))
    judgement = judged(*CROSSED, make.task(C, awaits))
    assert [(each.likely, each.core) for each in judgement.tasks] == [
        (True, True),
        (True, True),
        (True, False),
    ]
    assert len(proof_of(judgement).roots) == 1


def test_lock_taken_again_by_the_task_that_has_it() -> None:
    judgement = judged(make.task(A, make.awaiting("lock", LOCK_A), LOCK_A))
    assert "held by itself" in proof_of(judgement).sentence


def test_semaphore_whose_holders_wait_for_it() -> None:
    waiting = (make.awaiting("semaphore", LOCK_A), LOCK_A)
    proof = proof_of(judged(make.task(A, *waiting), make.task(B, *waiting)))
    assert proof.kind is ProofKind.CLOSED_WORLD
    assert {node.kind for node in proof.nodes} == {"task", "task-lock", "tasks"}


@pytest.mark.parametrize("kind", ["task", "gather", "tasks"])
def test_tasks_that_wait_for_one_another(kind: Any) -> None:
    circle = (
        make.task(A, make.awaiting(kind, 0xF1, tasks=(B,))),
        make.task(B, make.awaiting("task", 0xF2, tasks=(A,))),
    )
    proof = proof_of(judged(*circle))
    assert {each.kind for each in proof.assumptions} == OF_A_TASK


def known_to(*tasks: int, others: bool = False, kind: Any = "queue", **facts: Any) -> Any:
    return make.awaiting(kind, 0xF1, known_to=tasks, known_to_others=others, **facts)


def test_queue_that_only_those_know_who_wait_for_it() -> None:
    consumers = (make.task(A, known_to(A, B)), make.task(B, known_to(A, B)))
    proof = proof_of(judged(*consumers))
    assert {each.kind for each in proof.assumptions} == OF_A_TASK
    assert proof.sentence.endswith(
        "none of them can ever go on, if nobody cancels any of these 2 tasks and the garbage "
        "collector destroys none of them. The loop goes on."
    )


def test_what_they_wait_for_is_told_before_who_waits_for_them() -> None:
    above = make.task(A, make.awaiting("gather", tasks=(B,)))
    first, second = judged(above, make.task(B, known_to(A, B))).tasks
    assert (first.address, second.address) == (B, A) and first.core and second.core


@pytest.mark.parametrize("kind", ["future", "event"])
def test_main_task_may_be_meant_to_wait_for_ever(kind: Any) -> None:
    alone = make.task(A, known_to(A, kind=kind))
    assert judged(alone, main=A).outcome == "not-proved"
    assert judged(make.task(A, known_to(A)), main=A).outcome == "likely-partial"


@pytest.mark.parametrize("kind", ["future", "event"])
def test_so_may_a_task_in_the_background(kind: Any) -> None:
    awaits = known_to(A, kind=kind)
    alone = make.task(A, awaits)
    assert judged(alone, main=B).outcome == "not-proved"
    above = make.task(B, make.awaiting("gather", tasks=(A,)))
    assert judged(alone, above, main=B).outcome == "likely-partial"
    assert judged(make.task(A, awaits, LOCK_A), main=B).outcome == "likely-partial"
    assert judged(make.task(A, known_to(A)), main=B).outcome == "likely-partial"
    named = known_to(A, kind=kind, name="reply")
    assert judged(make.task(A, named), main=B).outcome == "likely-partial"


MAIN = 0x400


def collected(proof: Proof) -> list[str]:
    """What is assumed of the garbage collector, which the sentence must say, too."""
    of = [each for each in proof.assumptions if each.kind is AssumptionKind.NOT_COLLECTED]
    assert ("garbage collector" in proof.sentence) == bool(of)
    return [each.subject.rpartition("-")[2] for each in of]


def test_main_task_keeps_those_it_waits_for() -> None:
    main = make.task(MAIN, make.awaiting("gather", tasks=(C,)))
    between = make.task(C, make.awaiting("tasks", tasks=(A,)))  # B waits for the lock of A
    assert collected(proof_of(judged(*CROSSED, between, main, main=MAIN))) == []
    consumers = (make.task(A, known_to(A, B)), make.task(B, known_to(A, B)))
    above = make.task(MAIN, make.awaiting("task", tasks=(B,)))
    assert collected(proof_of(judged(*consumers, above, main=MAIN))) == []


def test_collector_may_destroy_a_task_that_nobody_keeps() -> None:
    """Its ``async with`` block would release the lock for which the other one waits."""
    forgotten = make.task(A, known_to(A, kind="future"), LOCK_A)
    second = make.task(B, make.awaiting("lock", LOCK_A))
    main = make.task(MAIN, make.awaiting("task", tasks=(B,)))
    proof = proof_of(judged(forgotten, second, main, main=MAIN))
    assert collected(proof) == [hex(A)]
    assert proof.sentence.endswith(
        "nobody cancels any of these 2 tasks and the garbage collector does not destroy task "
        f"'t{A}'. The loop goes on."
    )


@pytest.mark.parametrize(
    "main",
    [
        make.task(MAIN, make.awaiting("timer")),
        make.task(MAIN, make.awaiting("gather", tasks=(A, B, C))),
    ],
)
def test_main_task_that_may_go_on_keeps_nothing(main: Task) -> None:
    """The last one does if somebody completes what only a third task waits for."""
    third = make.task(C, known_to(C))
    assert collected(proof_of(judged(*CROSSED, third, main, main=MAIN))) == [hex(A), hex(B)]


MOVES = make.task(B, unknown("it runs"), LOCK_B)


@pytest.mark.parametrize(
    "tasks",
    [
        (CROSSED[0], MOVES),
        (CROSSED[0], make.task(B, make.awaiting("timer"), LOCK_B)),
        (CROSSED[0], make.task(B, make.awaiting("io"), LOCK_B)),
        (CROSSED[0], make.task(B, make.awaiting("lock", LOCK_A), LOCK_B, steady=False)),
        (CROSSED[0], make.task(B, make.awaiting("lock", LOCK_A), LOCK_B, limited=True)),
        (CROSSED[0], make.task(B, make.awaiting("lock", LOCK_A, busy=False), LOCK_B)),
        (CROSSED[0], make.task(B, make.awaiting("lock", 0xC0), LOCK_B)),  # nobody is inside
        (*CROSSED, make.task(C, unknown("it runs"), LOCK_A)),  # two are inside
        (*CROSSED, make.task(C, make.awaiting("tasks", tasks=(B,), limited=True))),  # cancels it
        (*CROSSED, make.task(C, make.awaiting("gather", tasks=(B,)), limited=True)),
        (make.task(A, make.awaiting("gather", tasks=(B, C))), MOVES),  # C was not read
        (make.task(A, make.awaiting("gather", tasks=(B,))), MOVES),
        (make.task(A, make.awaiting("future")),),
        (make.task(A, known_to(A, others=True)),),
        (make.task(A, known_to(A, C)),),  # C was not read
        (make.task(A, known_to(A, B)), MOVES),
        (make.task(A, make.awaiting("semaphore", LOCK_A), LOCK_A),
         make.task(B, make.awaiting("timer"), LOCK_A)),
        (make.task(A, make.awaiting("gather", tasks=())),),
    ],
)  # fmt: skip
def test_somebody_may_go_on(tasks: tuple[Task, ...]) -> None:
    judgement = judged(*tasks)
    assert judgement.outcome == "not-proved" and judgement.proof is None
    assert len(judgement.tasks) == len(tasks)
    assert not any(each.likely or each.core for each in judgement.tasks)


def test_loop_that_no_thread_runs_may_be_run_again() -> None:
    assert judged(*CROSSED, tid=0).outcome == "not-proved"


def test_tasks_read_at_another_time() -> None:
    assert judged(*CROSSED, at_s=99.0).tasks == ()


def test_loop_that_nothing_can_wake() -> None:
    """All of its tasks are, and those are told that wait for one another."""
    waits = make.task(C, make.awaiting("queue"))
    judgement = judged(waits, *CROSSED, alive=make.dead_loop())
    assert judgement.outcome == "deadlock"
    assert [(each.stuck, each.core) for each in judgement.tasks] == [
        (True, True),
        (True, True),
        (True, False),
    ]
    assert [node.kind for node in judgement.proof.nodes if "task" in node.kind] == []  # type: ignore[union-attr]


def test_in_a_stuck_loop_without_a_circle_those_count_that_wait_for_nobody() -> None:
    ends = make.task(A, make.awaiting("future", name="done"))
    above = make.task(B, make.awaiting("task", tasks=(A,)))
    judgement = judged(above, ends, alive=make.dead_loop())
    assert [each.address for each in judgement.tasks if each.core] == [A]


def test_a_task_that_runs_is_told_by_its_thread() -> None:
    """It has called what the thread is stuck in."""
    dead = make.process(make.on_mutex(1, 1, kind=1))
    runs = make.change(make.task(A, make.awaiting("future")), awaits=unknown("it awaits nothing"))
    judgement = judged(runs, alive=dead)
    assert [(each.stuck, each.core) for each in judgement.tasks] == [(True, False)]


def test_tasks_of_a_loop_that_does_not_come_to_run_them_are_no_reason() -> None:
    """One of them has called what its thread is stuck in, and another may have the lock."""
    dead = make.process(make.on_futex(1))
    sleeps = make.task(A, make.awaiting("timer"))
    inside = Entered(
        what="threading.Lock", address=make.LOCK, name="lock",
        function="take", file="/app/store.py", line=3,
    )  # fmt: skip
    sleeps = make.change(sleeps, name="one", inside=(inside,))
    runs = make.change(make.task(B, make.awaiting("future")), awaits=unknown("it runs"))
    told = make.loops(1, sleeps, runs)
    lock = PythonLock(kind="Lock", word=make.LOCK, address=make.LOCK, owner=make.UNKNOWN)
    waits = make.stacks(1, make.stack(1, make.BEGUN, waits_for=known(lock, "memory")))
    assert isinstance(told.stacks, Known) and isinstance(waits.stacks, Known)
    both = make.change(waits.stacks.value, loops=told.stacks.value.loops)
    stacks = make.change(waits, stacks=known(both, "memory"))
    judgement = judge(make.evidence(dead, stacks=(stacks,)))
    assert judgement.outcome == "deadlock"
    assert [(each.stuck, each.core) for each in judgement.tasks] == [(True, False)] * 2
    (thread,) = judgement.threads
    assert thread.held_by is not None and thread.held_by.name == "task 'one'"
    assert thread.does.endswith(", held by task 'one' (inside `with lock` at store.py:3)")


def test_a_proof_about_tasks_rests_on_assumptions() -> None:
    proof = proof_of(judged(*CROSSED))
    facts = tuple(make.change(each, assumes=()) for each in proof.conditions)
    assert find_faults(make.change(proof, conditions=facts, assumptions=()))
    for name in ("edges", "nodes", "roots", "conditions", "assumptions"):
        parts = getattr(proof, name)
        for number, part in enumerate(parts):
            rest = (*parts[:number], *parts[number + 1 :])
            assert find_faults(make.change(proof, **{name: rest})), part


def test_several_processes_name_theirs() -> None:
    child = make.process(make.sleeping(20), parent=1)
    found = judge(make.evidence(ALIVE, child, stacks=(make.loops(20, *CROSSED),)))
    assert found.tasks[0].name == f"task 't{A}' of process 20"
    assert isinstance(found.proof, Proof) and isinstance(CROSSED[0].awaits, Known)
