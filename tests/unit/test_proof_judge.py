"""From evidence to a judgement: deadlock, partial, or what is missing."""

from __future__ import annotations

import pytest
from unit.proof_factory import (
    BEGUN,
    UNKNOWN,
    catching,
    change,
    evidence,
    frame,
    in_call,
    on_futex,
    on_mutex,
    on_robust_mutex,
    pipe_ends,
    process,
    python,
    running,
    sleeping,
    snapshot,
    stack,
    stacks,
    wanting_gil,
)

from deadlock_matrix.model.evidence import Evidence, Parent
from deadlock_matrix.model.fact import known
from deadlock_matrix.model.process_facts import ProcessFacts, PythonHandler
from deadlock_matrix.model.thread_facts import ThreadFacts
from deadlock_matrix.model.verdict import (
    AssumptionKind,
    Gap,
    Judgement,
    Proof,
    ProofKind,
    Strength,
)
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.judge import MOST_GAPS, describe_gap, judge
from deadlock_matrix.proof.outlook import outlook


def judged(*threads: ThreadFacts, **facts: object) -> Judgement:
    return judge(evidence(process(*threads, **facts)))


def proof_in(judgement: Judgement, outcome: str = "deadlock") -> Proof:
    """The proof, which must stand by itself."""
    assert judgement.outcome == outcome and judgement.proof is not None, judgement.gaps
    assert find_faults(judgement.proof) == ()
    return judgement.proof


CROSSED = (on_mutex(1, 2), on_mutex(2, 1))


def test_crossed_mutexes() -> None:
    judgement = judged(*CROSSED)
    proof = proof_in(judgement)
    assert proof.kind is ProofKind.OWNER and proof.roots == ("thread-1-1", "all-1")
    assert proof.sentence == (
        "Main thread 1 waits for mutex 0x7f0000001040, held by thread 2 't2', which waits for "
        "mutex 0x7f0000001080, held by main thread 1: none of them can ever go on."
    )
    assert judgement.gaps == () and all(thread.stuck for thread in judgement.threads)


def test_relocked_mutex() -> None:
    proof = proof_in(judged(on_mutex(1, 1)))
    assert proof.kind is ProofKind.CLOSED_WORLD
    assert proof.sentence == (
        "Main thread 1 waits for mutex 0x7f0000001040, which it holds itself: it is the only "
        "thread of the process, and it waits without a time limit."
    )


def test_relocked_mutex_that_only_its_owner_unlocks() -> None:
    proof = proof_in(judged(on_robust_mutex(1, 1), sleeping(2)), "partial")
    assert proof.kind is ProofKind.OWNER
    assert proof.sentence == (
        "Main thread 1 waits for robust mutex 0x7f0000001000, which it holds itself: "
        "it can never go on. Thread 2 't2' can go on."
    )


def test_mutex_used_as_a_semaphore() -> None:
    judgement = judged(on_mutex(1, 1), sleeping(2))
    assert judgement.outcome == "not-proved"
    assert [gap.subject for gap in judgement.gaps] == ["thread 2 't2'"]


def test_lone_thread_in_a_lock_without_owner() -> None:
    proof = proof_in(judged(on_futex(1)))
    assert proof.kind is ProofKind.CLOSED_WORLD
    assert proof.sentence.endswith(
        "it is the only thread of the process, and it waits without a time limit."
    )


def test_one_wait_without_owner_makes_a_closed_world() -> None:
    proof = proof_in(judged(on_mutex(1, 2), on_futex(2)))
    assert proof.kind is ProofKind.CLOSED_WORLD
    assert proof.sentence.startswith("Both threads of process 1 wait without a time limit")


def test_parent_and_child() -> None:
    child = process(on_mutex(10, 11), on_mutex(11, 10), parent=1)
    proof = proof_in(judge(evidence(process(in_call(1, "wait4", 10)), child)))
    assert proof.kind is ProofKind.CLOSED_WORLD
    assert "processes 1 and 10" in proof.sentence
    assert {node.kind for node in proof.nodes} >= {"tree", "process", "thread", "child", "lock"}


def test_gil_against_a_mutex() -> None:
    threads = (wanting_gil(1), on_mutex(2, 1))
    read = (stacks(1, stack(1), stack(2, gil=True)),)
    proof = proof_in(judge(evidence(process(*threads, python=python()), stacks=read)))
    assert proof.kind is ProofKind.OWNER
    assert "thread 2 't2', which holds the GIL and waits for mutex" in proof.sentence


def test_two_processes_with_a_pipe_each() -> None:
    ends = pipe_ends((3, "pipe:[1]", "rw"), (4, "pipe:[2]", "rw"))
    parent = process(in_call(1, "write", 3), descriptors=ends)
    child = process(in_call(10, "write", 4), parent=1, descriptors=ends)
    assert proof_in(judge(evidence(parent, child))).kind is ProofKind.CLOSED_WORLD
    free = process(sleeping(10), parent=1, descriptors=ends)
    assert judge(evidence(parent, free)).outcome == "not-proved"


def test_who_is_not_reached_is_not_in_the_proof() -> None:
    proof = proof_in(judged(*CROSSED, sleeping(3), on_mutex(4, 1)), "partial")
    assert {node.id for node in proof.nodes if node.kind == "thread"} == {
        "thread-1-1",
        "thread-1-2",
    }


def test_main_thread_and_another_wait_for_the_same() -> None:
    """The one can be interrupted by Ctrl-C from inside, the other cannot."""
    self, other = "<Thread at 0x7f0000000010>", "<Thread at 0x7f0000000020>"
    joining, joined = "join", "_bootstrap_inner"
    read = stacks(
        1,
        stack(1, frame(joining, "/lib/threading.py", self=self)),
        stack(
            2,
            BEGUN,
            frame(joined, "/lib/threading.py", self=self),
            frame(joining, "/lib/threading.py", self=other),
        ),
        stack(
            3,
            BEGUN,
            frame(joined, "/lib/threading.py", self=other),
            frame(joining, "/lib/threading.py", self=self),
        ),
    )
    threads = (on_futex(1), on_futex(2), on_futex(3))
    root = process(*threads, signals=catching(2), python=python())
    proof = proof_in(judge(evidence(root, stacks=(read,))))
    assert proof.kind is ProofKind.CLOSED_WORLD
    ends = {(edge.tail, edge.relation) for edge in proof.edges if edge.tail.startswith("join-")}
    assert ends == {
        ("join-1-2-process", "ended only by"),
        ("join-1-2", "held by"),
        ("join-1-3", "held by"),
    }


def test_main_thread_and_another_wait_for_the_same_futex() -> None:
    child = process(on_futex(10), parent=1)
    root = process(on_futex(1), on_futex(2), signals=catching(2), python=python())
    proof = proof_in(judge(evidence(root, child)))
    assert len([node for node in proof.nodes if node.kind == "futex"]) == 2


# --- assumptions --------------------------------------------------------------------------------

SIGTERM = known(
    (PythonHandler(signal=15, kind="python", name="stop", file="/a.py", line=3),), "mem"
)


STOP = PythonHandler(signal=15, kind="python", name="stop", file="/a.py", line=3)


def server(*threads: ThreadFacts) -> ProcessFacts:
    """A process with a handler of SIGTERM, in Python."""
    runtime = change(python(), value=change(python().value, handlers=known((STOP,), "mem")))
    return process(*threads, signals=catching(2, 15), python=runtime)


def test_server_with_a_handler_is_likely() -> None:
    judgement = judge(evidence(server(on_futex(1), on_futex(2))))
    proof = proof_in(judgement, "likely")
    assert proof.strength is Strength.LIKELY and judgement.likely_whole is proof
    assert [each.kind for each in proof.assumptions] == [AssumptionKind.NO_SIGNAL]
    assert proof.sentence.endswith("; thread 2 't2' waits for futex 0x7f0000001000, if no SIGTERM "
                                   "comes (the handler is stop, a.py:3).")  # fmt: skip
    assert [(doing.stuck, doing.likely) for doing in judgement.threads] == [(False, True)] * 2


def test_handler_in_python_does_not_run_in_a_mutex() -> None:
    proof = proof_in(judge(evidence(server(*CROSSED))))
    assert proof.strength is Strength.PROVED


def test_handler_in_c_may_unlock_a_mutex() -> None:
    proof = proof_in(judged(*CROSSED, signals=catching(10)), "likely")
    assert [each.kind for each in proof.assumptions] == [AssumptionKind.FOREIGN_HANDLER]


def test_what_is_proved_comes_first_and_what_is_likely_besides() -> None:
    judgement = judge(evidence(server(*CROSSED, on_futex(3))))
    proof = proof_in(judgement, "partial")
    assert proof.strength is Strength.PROVED and "can go on" not in proof.sentence
    assert judgement.likely is not None and find_faults(judgement.likely) == ()
    assert judgement.likely.assumptions and judgement.likely_whole is judgement.likely


def test_child_could_interrupt_its_parent() -> None:
    root = process(on_futex(1), signals=catching(2), python=python())
    judgement = judge(evidence(root, process(sleeping(9), parent=1)))
    proof = proof_in(judgement, "likely")
    assert [each.kind for each in proof.assumptions] == [
        AssumptionKind.NOT_INTERRUPTED,
        AssumptionKind.NOT_TOUCHED,
    ]
    assert "no other process sends SIGINT to process 1" in proof.sentence


def test_child_could_write_into_the_memory_of_its_parent() -> None:
    judgement = judge(evidence(process(on_futex(1)), process(sleeping(9), parent=1)))
    proof = proof_in(judgement, "likely")
    assert [each.kind for each in proof.assumptions] == [AssumptionKind.NOT_TOUCHED]
    assert "if no other process of the tree writes into the memory of process 1." in proof.sentence
    stuck = process(on_futex(9), parent=1)
    assert judge(evidence(process(on_futex(1)), stuck)).outcome == "deadlock"


def test_deadlocked_child_of_a_living_parent_is_told() -> None:
    child = process(on_mutex(10, 11), on_mutex(11, 10), parent=1)
    judgement = judge(evidence(process(sleeping(1)), child))
    proof = proof_in(judgement, "partial")
    assert proof.sentence.endswith(
        "none of them can ever go on. Main thread of process 1 can go on."
    )


def test_each_thread_tells_what_it_waits_for() -> None:
    """An obstacle of the process stands below, once."""
    judgement = judged(on_futex(1), on_futex(2), tracer=known(9, "status"))
    assert {doing.does for doing in judgement.threads} == {"waits for futex 0x7f0000001000"}
    assert [gap.detail for gap in judgement.gaps] == ["is traced by process 9"]


# --- partial ------------------------------------------------------------------------------------


def test_main_thread_is_not_among_the_stuck() -> None:
    judgement = judged(sleeping(1), on_mutex(2, 3), on_mutex(3, 2))
    proof = proof_in(judgement, "partial")
    assert proof.kind is ProofKind.OWNER and len(proof.roots) == 1
    assert judgement.gaps[0].subject == "main thread 1"
    assert [thread.stuck for thread in judgement.threads] == [False, True, True]


def test_smallest_of_two_deadlocks_is_told() -> None:
    pairs = [on_mutex(2, 3), on_mutex(3, 4), on_mutex(4, 2), on_robust_mutex(6, 6)]
    proof = proof_in(judged(sleeping(1), *pairs), "partial")
    assert proof.roots == ("thread-1-6",)


def test_child_that_the_root_does_not_wait_for() -> None:
    child = process(on_robust_mutex(10, 10), parent=1)
    assert judge(evidence(process(sleeping(1)), child)).outcome == "partial"


# --- the main thread has ended ------------------------------------------------------------------


def test_leader_that_has_ended_leaves_the_others_as_roots() -> None:
    ended = change(sleeping(1), state="Z")
    proof = proof_in(judged(ended, on_mutex(2, 3), on_mutex(3, 2)))
    assert proof.roots == ("thread-1-2", "thread-1-3", "all-1")


def test_leader_that_has_ended_and_somebody_who_moves() -> None:
    ended = change(sleeping(1), state="Z")
    judgement = judged(ended, on_mutex(2, 3), on_mutex(3, 2), sleeping(4))
    proof_in(judgement, "partial")


def test_everybody_has_ended() -> None:
    judgement = judged(change(sleeping(1), state="Z"))
    assert judgement.outcome == "not-proved" and judgement.proof is None


def test_root_that_is_gone() -> None:
    what = evidence(process(on_mutex(1, 1)))
    gone = change(what, after=snapshot(process(on_mutex(10, 10)), root=1))
    judgement = judge(gone)
    assert judgement.outcome == "not-proved" and judgement.gaps[0].detail == "has ended"
    assert not outlook(gone).possible


# --- not proved ---------------------------------------------------------------------------------


def test_gaps_follow_the_chain_from_the_main_thread() -> None:
    judgement = judged(on_mutex(1, 2), on_mutex(2, 3), sleeping(3), sleeping(4))
    assert judgement.outcome == "not-proved"
    assert [gap.subject for gap in judgement.gaps] == ["thread 3 't3'"]


def test_gaps_of_a_process_are_told_once() -> None:
    judgement = judged(on_futex(1), on_futex(2), on_futex(3), tracer=known(9, "status"))
    assert [gap.detail for gap in judgement.gaps] == ["is traced by process 9"]


def test_many_gaps_are_cut() -> None:
    threads = [on_futex(1), *(sleeping(tid) for tid in range(2, 60))]
    assert len(judged(*threads).gaps) == MOST_GAPS


def test_what_each_thread_does() -> None:
    judgement = judged(on_mutex(1, 2), sleeping(2))
    assert [(thread.name, thread.does) for thread in judgement.threads] == [
        ("main thread 1", "waits for mutex 0x7f0000001040, held by thread 2 't2'"),
        ("thread 2 't2'", "sleeps, for at most 3.0 s"),
    ]


@pytest.mark.parametrize(
    ("gap", "about", "text"),
    [
        (Gap(kind="does-not-hold", subject="thread 1", detail="sleeps"), "", "thread 1 sleeps"),
        (Gap(kind="does-not-hold", subject="thread 1", detail="sleeps"), "thread 1", "sleeps"),
        (Gap(kind="unknown", subject="process 1", detail="x"), "", "not known of process 1: x"),
        (Gap(kind="unknown", subject="process 1", detail="x"), "process 1", "not known: x"),
    ],
)
def test_gap_in_words(gap: Gap, about: str, text: str) -> None:
    assert describe_gap(gap, about) == text


# --- is it worth to read stacks? ----------------------------------------------------------------


def wants_gil(*others: ThreadFacts) -> Evidence:
    return evidence(process(wanting_gil(1), *others, python=python()))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (evidence(process(*CROSSED)), True),
        (wants_gil(on_mutex(2, 1)), True),  # the stacks will tell who holds the GIL
        (evidence(process(on_futex(1), sleeping(2), python=python())), True),  # perhaps a join
        (evidence(process(on_futex(1), sleeping(2))), False),  # no Python, no stacks
        (evidence(process(on_mutex(1, 2), running(2))), False),
        (evidence(process(sleeping(1))), False),
        (evidence(process(running(1))), False),
        (evidence(process(change(sleeping(1), state="Z"))), False),
        (evidence(process(on_mutex(1, 1, word=UNKNOWN))), True),
    ],
)
def test_could_be_stuck(what: Evidence, expected: bool) -> None:
    assert outlook(what).possible is expected


# --- a lock that a fork left behind -------------------------------------------------------------


def test_thread_of_the_parent_is_named() -> None:
    child = process(on_mutex(10, 2), parent=1)
    parent = process(in_call(1, "wait4", 10), sleeping(2))
    judgement = judge(evidence(parent, child))
    does = {doing.tid: doing.does for doing in judgement.threads}
    assert does[10] == (
        "waits for mutex 0x7f0000001280, held by a thread that the fork left behind "
        "(thread 2 of parent process 1)"
    )


@pytest.mark.parametrize(("threads", "named"), [((2, 7), True), ((7,), False)])
def test_thread_of_the_parent_above_the_tree(threads: tuple[int, ...], named: bool) -> None:
    child = process(on_mutex(10, 2), parent=7)
    above = Parent(pid=7, name="app", timers=(), acts="", threads=threads)
    (doing,) = judge(change(evidence(child), parents=(above,))).threads
    assert ("(thread 2 of parent process 7)" in doing.does) is named


def test_thread_that_nobody_has_any_more() -> None:
    (does,) = [doing.does for doing in judged(on_mutex(1, 99)).threads]
    assert does.endswith("held by thread 99, which has ended or which a fork did not copy")


# --- who is above the tree ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timers", "sends", "outcome"),
    [
        (("ID: 0",), "", "likely"),
        (("ID: 0",), "SIGINT", "likely"),
        (("ID: 0",), "SIGTERM", "deadlock"),  # it ends the process, and interrupts nothing
        ((), "", "deadlock"),
    ],
)
def test_parent_that_may_interrupt(timers: tuple[str, ...], sends: str, outcome: str) -> None:
    above = Parent(pid=7, name="timeout", timers=timers, acts="has a timer", sends=sends)
    what = evidence(process(on_futex(1), signals=catching(2), python=python()))
    proof = proof_in(judge(change(what, parents=(above,))), outcome)
    assert ("process 7 (timeout)" in proof.sentence) == (outcome == "likely")
    assert judge(change(evidence(process(*CROSSED)), parents=(above,))).outcome == "deadlock"


@pytest.mark.parametrize(
    ("sends", "outcome"),
    [("", "likely"), ("SIGKILL", "deadlock")],  # a kill ends the process, and interrupts nothing
)
def test_parent_that_waits_for_it_for_a_limited_time(sends: str, outcome: str) -> None:
    above = Parent(pid=7, name="ci", timers=(), acts="waits for it", sends=sends, limits=True)
    what = evidence(process(on_futex(1), signals=catching(2), python=python()))
    proof = proof_in(judge(change(what, parents=(above,))), outcome)
    assert ("process 7 (ci)" in proof.sentence) == (outcome == "likely")
