"""A proof without any one of its parts does not stand."""

from __future__ import annotations

from typing import Any

import pytest
from unit.proof_factory import (
    BEGUN,
    LOCK,
    awaiting,
    catching,
    change,
    evidence,
    frame,
    in_call,
    in_join,
    in_join_by_state,
    inside,
    lock,
    loops,
    on_futex,
    on_mutex,
    on_robust_mutex,
    on_rwlock,
    pipe_ends,
    polling,
    process,
    python,
    sleeping,
    stack,
    stacks,
    stopping_the_world,
    task,
    wanting_gil,
)

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import known
from deadlock_matrix.model.process_facts import Peer
from deadlock_matrix.model.verdict import Edge, Node, Proof, ProofKind
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.judge import judge

THREAD = "<Thread at 0x7f0000000010>"
ENDS = pipe_ends((3, "pipe:[1]", "rw"))

PROVABLE: dict[str, Evidence] = {
    "relocked mutex": evidence(process(on_mutex(1, 1), on_futex(2))),
    "relocked robust mutex": evidence(process(on_robust_mutex(1, 1))),
    "native joins by state": evidence(
        process(in_join_by_state(1, 2), in_join_by_state(2, 1, at=LOCK + 0x100))
    ),
    "native joins": evidence(process(in_join(1, 2), in_join(2, 1, at=LOCK + 0x100))),
    "crossed mutexes": evidence(process(on_mutex(1, 2), on_mutex(2, 1))),
    "rwlock and join": evidence(process(on_rwlock(1, 2), in_join(2, 1, at=LOCK + 0x100))),
    "lone thread": evidence(process(on_futex(1))),
    "three threads": evidence(process(on_futex(1), on_futex(2), on_mutex(3, 1))),
    "gil": evidence(
        process(wanting_gil(1), on_mutex(2, 1), python=python()),
        stacks=(stacks(1, stack(1), stack(2, gil=True)),),
    ),
    "stop of the world": evidence(
        process(stopping_the_world(1), on_futex(2), python=python(free_threaded=True)),
        stacks=(stacks(1, stack(1, stopped_by=known((2,), "mem")), stack(2)),),
    ),
    "join of Python's": evidence(
        process(on_futex(1), on_mutex(2, 1)),
        stacks=(
            stacks(
                1,
                stack(1, frame("join", "/lib/threading.py", self=THREAD)),
                stack(2, frame("_bootstrap_inner", "/lib/threading.py", self=THREAD)),
            ),
        ),
    ),
    "join of Python's that a cancelled thread leaves": evidence(
        process(on_futex(1), on_mutex(2, 1), cancelling=known(("/lib/app.so",), "symbols")),
        stacks=(
            stacks(
                1,
                stack(1, frame("join", "/lib/threading.py", self=THREAD)),
                stack(2, frame("_bootstrap_inner", "/lib/threading.py", self=THREAD)),
            ),
        ),
    ),
    "join of Python's that Ctrl-C ends": evidence(
        process(on_futex(1), on_mutex(2, 1), signals=catching(2), python=python()),
        stacks=(
            stacks(
                1,
                stack(1, frame("join", "/lib/threading.py", self=THREAD)),
                stack(2, frame("_bootstrap_inner", "/lib/threading.py", self=THREAD)),
            ),
        ),
    ),
    "crossed RLocks of a process that goes on": evidence(
        process(sleeping(1), on_futex(2), on_futex(3), signals=catching(2), python=python()),
        stacks=(
            stacks(
                1,
                stack(1),
                stack(2, BEGUN, waits_for=lock(0x10, owner=3)),
                stack(3, BEGUN, waits_for=lock(0x20, owner=2)),
            ),
        ),
    ),
    "RLock of the main thread": evidence(
        process(on_futex(1), on_mutex(2, 1), signals=catching(2), python=python("other: f")),
        stacks=(stacks(1, stack(1, waits_for=lock(0x10, owner=2)), stack(2)),),
    ),
    "crossed Locks of a process that goes on": evidence(
        process(sleeping(1), on_futex(2), on_futex(3)),
        stacks=(
            stacks(
                1,
                stack(1),
                stack(2, BEGUN, waits_for=lock(0x10), holds=inside(0x20)),
                stack(3, BEGUN, waits_for=lock(0x20), holds=inside(0x10)),
            ),
        ),
    ),
    "lock that Ctrl-C ends, and a child": evidence(
        process(on_futex(1), signals=catching(2), python=python()),
        process(on_futex(10), parent=1),
    ),
    "child": evidence(process(in_call(1, "wait4", 10)), process(on_futex(10), parent=1)),
    "pipe": evidence(
        process(in_call(1, "read", 3), on_futex(2), descriptors=ENDS),
        process(in_call(10, "wait4", 11), parent=1, descriptors=ENDS),
        process(on_mutex(11, 11), parent=10),
    ),
    "polled": evidence(
        process(
            in_call(1, "epoll_wait", 9, polled=polling(1, (3, 1)).polled),
            descriptors=pipe_ends((3, "socket:[1]", "rw"), (4, "socket:[2]", "rw")),
            peers=known(
                (Peer(socket="socket:[1]", protocol="UNIX", other="socket:[2]", pair=True),), "net"
            ),
        ),
    ),
    "tasks": evidence(
        process(sleeping(1)),
        stacks=(
            loops(
                1,
                task(0x1, awaiting("lock", 0x20), 0x10),
                task(0x2, awaiting("semaphore", 0x10), 0x20),
                task(0x3, awaiting("lock", 0x20), 0x10),
            ),
        ),
    ),
}


def proof_of(name: str) -> Proof:
    proof = judge(PROVABLE[name]).proof
    assert proof is not None
    return proof


def parts(of: str) -> list[tuple[str, str, int]]:
    """Name of the proof, of the field, and index, of every single part."""
    return [
        (name, of, number)
        for name in PROVABLE
        for number in range(len(getattr(proof_of(name), of)))
    ]


@pytest.mark.parametrize("name", PROVABLE)
def test_stands(name: str) -> None:
    assert find_faults(proof_of(name)) == ()


@pytest.mark.parametrize(
    ("name", "field", "number"),
    [*parts("edges"), *parts("nodes"), *parts("roots"), *parts("conditions")],
)
def test_nothing_is_spare(name: str, field: str, number: int) -> None:
    proof = proof_of(name)
    kept = list(getattr(proof, field))
    missing = kept.pop(number)
    assert find_faults(change(proof, **{field: tuple(kept)})), missing


@pytest.mark.parametrize("name", PROVABLE)
def test_kind_is_not_taken_on_trust(name: str) -> None:
    proof = proof_of(name)
    if proof.kind is ProofKind.CLOSED_WORLD:
        assert find_faults(change(proof, kind=ProofKind.OWNER))


def test_wait_with_a_second_end() -> None:
    proof = proof_of("crossed mutexes")
    (lock, *_) = [node for node in proof.nodes if node.kind == "lock"]
    other = Node(id="thread-1-3", kind="thread", label="thread 3")
    also = Edge(tail=lock.id, head=other.id, relation="held by", source="")
    assert find_faults(change(proof, nodes=(*proof.nodes, other), edges=(*proof.edges, also)))


def test_thread_with_a_second_wait() -> None:
    proof = proof_of("relocked robust mutex")
    other = Node(id="futex-1-0x1", kind="futex", label="futex")
    also = Edge(tail="thread-1-1", head=other.id, relation="waits for", source="")
    assert find_faults(change(proof, nodes=(*proof.nodes, other), edges=(*proof.edges, also)))


def test_process_with_more_threads_than_are_told() -> None:
    proof = proof_of("three threads")
    nodes = tuple(
        change(node, members=node.members + 1) if node.kind == "process" else node
        for node in proof.nodes
    )
    assert find_faults(change(proof, nodes=nodes))


def test_condition_about_somebody_else() -> None:
    proof = proof_of("three threads")
    first, *others = proof.conditions
    assert find_faults(change(proof, conditions=(change(first, subject="x"), *others)))


def test_root_that_is_no_node() -> None:
    assert find_faults(change(proof_of("lone thread"), roots=("thread-1-9",)))


@pytest.mark.parametrize("name", ["child", "pipe", "polled"])
@pytest.mark.parametrize(
    ("relation", "kind"), [("ended only by", "process"), ("held by", "thread")]
)
def test_wait_that_any_process_could_end(name: str, relation: Any, kind: str) -> None:
    """All others of the tree must be stuck, not one of them alone."""
    proof = proof_of(name)
    waits = {node.id for node in proof.nodes if node.kind == name}
    head = next(node.id for node in proof.nodes if node.kind == kind)
    edges = tuple(
        change(edge, head=head, relation=relation)
        if edge.tail in waits and edge.relation == "ended only by"
        else edge
        for edge in proof.edges
    )
    faults = find_faults(change(proof, edges=edges))
    assert any("any process of the tree" in fault for fault in faults)


def test_native_lock_needs_its_memory_for_itself() -> None:
    proof = proof_of("crossed mutexes")
    of_threads = [c for c in proof.conditions if c.name == "memory-not-shared"]
    assert {condition.subject for condition in of_threads} == {"thread-1-1", "thread-1-2"}


def test_end_of_a_thread_is_no_lock() -> None:
    """A join taken for a lock would need less: nobody would ask about cancellation."""
    proof = proof_of("native joins")
    assert {node.kind for node in proof.nodes} == {"thread", "end", "all-threads", "process"}
    kept = tuple(c for c in proof.conditions if c.name != "no-cancellation")
    assert find_faults(change(proof, conditions=kept))


def test_process_is_asked_about_for_a_lock_of_python() -> None:
    proof = proof_of("join of Python's")
    assert {node.kind for node in proof.nodes} >= {"python-lock", "lock"}
    kept = tuple(c for c in proof.conditions if c.name != "no-waking-signal")
    assert any("no-waking-signal" in fault for fault in find_faults(change(proof, conditions=kept)))
