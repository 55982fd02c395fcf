"""Locks of Python's: an owner is a fact, a ``with`` block is a reason to assume."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from unit.proof_factory import (
    BEGUN,
    LIMITED,
    LOCK,
    UNKNOWN,
    catching,
    evidence,
    frame,
    inside,
    lock,
    on_futex,
    process,
    python,
    sleeping,
    stack,
    stacks,
)

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import known
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import ThreadStack
from deadlock_matrix.model.thread_facts import ThreadFacts
from deadlock_matrix.model.verdict import AssumptionKind, Judgement, ProofKind
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.judge import judge

A, B = 0xA0, 0xB0
OTHER_HANDLER = python("other: f")


def looked_at(
    *threads: ThreadFacts, read: tuple[ThreadStack, ...], at_s: float = 10.2, **facts: Any
) -> Evidence:
    """A process of Python's, with the stacks of these threads."""
    facts = {"signals": catching(2), "python": python(), **facts}
    return evidence(process(*threads, **facts), stacks=(stacks(1, *read, at_s=at_s),))


def judged(*threads: ThreadFacts, read: tuple[ThreadStack, ...], **facts: Any) -> Judgement:
    judgement = judge(looked_at(*threads, read=read, **facts))
    if judgement.proof is not None:
        assert find_faults(judgement.proof) == ()
    return judgement


RLOCKS = (
    stack(1),
    stack(2, BEGUN, waits_for=lock(A, owner=3, name="self._lock", of="Store")),
    stack(3, BEGUN, waits_for=lock(B, owner=2)),
)
LOCKS = (
    stack(1),
    stack(2, BEGUN, waits_for=lock(A), holds=inside(B)),
    stack(3, BEGUN, waits_for=lock(B), holds=inside(A, name="first", line=9)),
)
LIVING = (sleeping(1), on_futex(2), on_futex(3))


def test_crossed_rlocks_are_a_proof_whatever_else_goes_on() -> None:
    judgement = judged(*LIVING, read=RLOCKS)
    assert judgement.outcome == "partial"
    assert judgement.proof is not None and judgement.proof.kind is ProofKind.OWNER
    assert judgement.proof.sentence == (
        "Thread 2 't2' waits for RLock 0xa0 (self._lock of Store) in take (store.py:7), held by "
        "thread 3 't3', which waits for RLock 0xb0 in take (store.py:7), held by thread 2 't2': "
        "none of them can ever go on. Main thread 1 can go on."
    )


def test_threads_may_come_and_go_meanwhile() -> None:
    facts = {"signals": catching(2), "python": python()}
    now = process(*LIVING, on_futex(4), **facts)
    found = evidence(now, before=(process(*LIVING, **facts),), stacks=(stacks(1, *RLOCKS),))
    assert judge(found).outcome == "partial"


def test_crossed_locks_are_likely() -> None:
    judgement = judged(*LIVING, read=LOCKS)
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    assert {each.kind for each in judgement.proof.assumptions} == {
        AssumptionKind.RELEASED_BY_HOLDER
    }
    assert "held by thread 3 't3' (inside `with first` at store.py:9)" in judgement.proof.sentence
    assert (
        "if only thread 3 't3' releases the lock of its `with first` at store.py:9"
        in judgement.proof.sentence
    )


def test_a_thread_inside_the_block_of_the_lock_it_waits_for() -> None:
    judgement = judged(
        sleeping(1),
        on_futex(2),
        read=(stack(1), stack(2, BEGUN, waits_for=lock(A), holds=inside(A))),
    )
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    assert "which it holds itself (inside `with` at store.py:5)" in judgement.proof.sentence


def test_what_each_thread_waits_for_and_has() -> None:
    doings = {doing.tid: doing for doing in judged(*LIVING, read=LOCKS).threads}
    waits, held_by = doings[2].waits_for, doings[2].held_by
    assert waits is not None and waits.address == A
    assert held_by is not None and held_by.tid == 3
    assert held_by.how == "inside `with first` at store.py:9"
    assert [each.address for each in doings[2].holds] == [B]
    assert doings[1].waits_for is None and doings[1].held_by is None and doings[1].holds == ()


@pytest.mark.parametrize(
    "read",
    [
        (stack(2), stack(3)),
        (stack(2, waits_for=lock(A, owner=0)), stack(3, waits_for=lock(B, owner=2))),
        (stack(2, waits_for=lock(A, owner=99)), stack(3, waits_for=lock(B, owner=2))),
        (stack(2, waits_for=lock(A, owner=2)), stack(3, waits_for=lock(B, owner=2))),
        (stack(2, waits_for=lock(A, owner=1)), stack(3, waits_for=lock(B, owner=2))),
        (stack(2, waits_for=lock(A, owner=3, word=LOCK + 8)), RLOCKS[2]),
        (stack(2, waits_for=lock(A)), stack(3, waits_for=lock(B), holds=inside(A))),
        (stack(2, waits_for=lock(A), holds=UNKNOWN), LOCKS[2]),
        (stack(2, waits_for=lock(A), holds=inside(A, B)), LOCKS[2]),  # two are inside A
        (stack(2, waits_for=lock(A), holds=inside(B, B)), LOCKS[2]),
    ],
    ids=range(10),
)
def test_without_a_circle_of_holders_there_is_nothing(read: tuple[ThreadStack, ...]) -> None:
    assert judged(*LIVING, read=(stack(1), *read)).outcome == "not-proved"


@pytest.mark.parametrize("read", [RLOCKS, LOCKS])
@pytest.mark.parametrize("at_s", [9.0, 10.05, 10.45])
def test_locks_read_at_another_moment_say_nothing(
    read: tuple[ThreadStack, ...], at_s: float
) -> None:
    assert judged(*LIVING, read=read, at_s=at_s).outcome == "not-proved"


@pytest.mark.parametrize("read", [RLOCKS, LOCKS])
def test_a_time_limit_ends_the_wait(read: tuple[ThreadStack, ...]) -> None:
    timed = on_futex(3, timeout=known(LIMITED, "argument"))
    assert judged(sleeping(1), on_futex(2), timed, read=read).outcome == "not-proved"


@pytest.mark.parametrize("read", [RLOCKS, LOCKS])
def test_a_process_on_the_same_memory_could_release_it(read: tuple[ThreadStack, ...]) -> None:
    shared = known((77,), "kcmp")
    assert judged(*LIVING, read=read, shares_memory_with=shared).outcome == "not-proved"


def test_a_handler_in_c_has_to_be_assumed_not_to_run() -> None:
    judgement = judged(*LIVING, read=RLOCKS, signals=catching(2, 28), python=python(handlers=()))
    assert judgement.outcome in ("likely-partial", "not-proved")


def test_a_lock_that_nobody_is_seen_to_hold_is_named() -> None:
    read = (stack(1), stack(2, waits_for=lock(A, name="gate")), stack(3))
    doings = {doing.tid: doing for doing in judged(*LIVING, read=read).threads}
    assert doings[2].does == "waits for Lock 0xa0 (gate) in take (store.py:7)"
    assert doings[2].held_by is None


def test_a_lock_inside_of_threading_is_not_spoken_of() -> None:
    inner = lock(A, name="waiter", function="wait", file="/lib/threading.py")
    read = (stack(1), stack(2, frame("wait", "/lib/threading.py", 327), waits_for=inner), stack(3))
    doings = {doing.tid: doing for doing in judged(*LIVING, read=read).threads}
    assert doings[2].does == "waits in wait (threading.py:327)"


MAIN = (on_futex(1), on_futex(2), sleeping(3))
MAIN_RLOCKS = (
    stack(1, waits_for=lock(A, owner=2)),
    stack(2, waits_for=lock(B, owner=1)),
    stack(3),
)


def test_ctrl_c_would_end_the_wait_of_the_main_thread() -> None:
    judgement = judged(*MAIN, read=MAIN_RLOCKS)
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    kinds = {each.kind for each in judgement.proof.assumptions}
    assert kinds == {AssumptionKind.NOT_INTERRUPTED}


def test_without_a_handler_of_sigint_the_main_thread_is_like_any_other() -> None:
    judgement = judged(*MAIN, read=MAIN_RLOCKS, signals=catching(), python=OTHER_HANDLER)
    assert judgement.outcome == "partial"


@pytest.mark.parametrize(
    "outermost",
    [
        (),
        (frame("initialised_here", "/app/embedded.py"),),
        (frame("_bootstrap", "/app/threading.py"),),  # only called so
        (frame("run", "/lib/threading.py"), BEGUN),  # not its outermost line
    ],
    ids=range(4),
)
@pytest.mark.parametrize("main", [(), (stack(1, frame("<module>")),)])
def test_a_thread_that_threading_did_not_begin_may_be_python_s_main_one(
    outermost: tuple[PythonFrame, ...], main: tuple[ThreadStack, ...]
) -> None:
    """It may have initialised Python, and the process's main thread has entered it later."""
    assert judged(*LIVING, read=(*main, *RLOCKS[1:])).outcome == "partial"
    first = stack(2, *outermost, waits_for=lock(A, owner=3))
    judgement = judged(*LIVING, read=(*main, first, RLOCKS[2]))
    assert judgement.outcome == "likely-partial" and judgement.proof is not None
    kinds = {each.kind for each in judgement.proof.assumptions}
    assert kinds == {AssumptionKind.NOT_INTERRUPTED}


# --- a lock that a fork left behind -------------------------------------------------------------


def in_a_forked_child(wanted: Any, of_parent: ThreadStack) -> tuple[str, Any]:
    """What the child's only thread does, and who has what it waits for."""
    facts = {"signals": catching(2), "python": python()}
    parent = process(sleeping(1), sleeping(2), **facts)
    child = process(on_futex(10), parent=1, **facts)
    read = (stacks(1, stack(1), of_parent), stacks(10, stack(10, waits_for=wanted)))
    judgement = judge(evidence(parent, child, stacks=read))
    assert judgement.outcome == "likely-partial"
    (doing,) = [each for each in judgement.threads if each.tid == 10]
    return doing.does, doing.held_by


def test_the_parent_s_thread_inside_the_block_of_a_lock_is_named() -> None:
    does, held_by = in_a_forked_child(lock(A), stack(2, BEGUN, holds=inside(A, name="rows")))
    assert does == (
        "waits for Lock 0xa0 in take (store.py:7), held in the parent by thread 2 't2' "
        "of process 1 (inside `with rows` at store.py:5), which a fork leaves behind"
    )
    assert (held_by.pid, held_by.tid) == (1, 2)


def test_the_parent_s_thread_of_the_id_that_an_rlock_names() -> None:
    does, held_by = in_a_forked_child(lock(A, owner=0, owner_ident=77), stack(2, BEGUN, ident=77))
    assert does.endswith(
        "held in the parent by thread 2 't2' of process 1, which a fork leaves behind"
    )
    assert held_by.tid == 2


@pytest.mark.parametrize("ident", [0, 78])
def test_an_owner_that_nobody_has_any_more(ident: int) -> None:
    does, held_by = in_a_forked_child(
        lock(A, owner=0, owner_ident=77), stack(2, BEGUN, ident=ident)
    )
    assert does.endswith("whose owner has ended or was left behind by a fork")
    assert held_by is None


def test_a_lock_of_the_parent_at_another_address() -> None:
    does, held_by = in_a_forked_child(lock(A), stack(2, BEGUN, holds=inside(B)))
    assert does == "waits for Lock 0xa0 in take (store.py:7)"
    assert held_by is None


@pytest.mark.parametrize("innermost", ["acquire", "_wait_for_tstate_lock"])
def test_a_judgement_takes_time_in_proportion_to_the_threads(innermost: str) -> None:
    def calls(number: int) -> int:
        tids = range(2, number + 2)
        waiting = tuple(
            stack(tid, BEGUN, _of(tid, "_bootstrap_inner"), _of(tid + 1, innermost),
                  waits_for=lock(A))
            for tid in tids
        )  # fmt: skip
        threads = (on_futex(tid) for tid in tids)
        seen = looked_at(on_futex(1), *threads, read=(stack(1), *waiting))
        count = 0

        def note(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(note)
        try:
            judgement = judge(seen)
        finally:
            sys.setprofile(None)
        assert len(judgement.threads) == number + 1
        return count

    assert calls(400) < 5 * calls(100)


def _of(tid: int, function: str) -> PythonFrame:
    return frame(function, "/lib/threading.py", self=f"<Thread at {tid:#x}>")
