"""Semaphores that processes share: who has one mapped, and who is inside its block."""

from __future__ import annotations

import msgspec
from unit.proof_factory import BEGUN, evidence, on_futex, process, sleeping, stack, stacks

from deadlock_matrix.model.evidence import Parent
from deadlock_matrix.model.fact import known
from deadlock_matrix.model.stack_facts import Awaited, HeldLock, ThreadStack
from deadlock_matrix.model.thread_facts import Mapping
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.proof.shared_words import obstacle_of
from deadlock_matrix.proof.world import index

FILE = "/dev/shm/sem.x1 (deleted)"
SHARED = Mapping(start=0x1000, end=0x2000, permissions="rw-s", offset=0, path=FILE)


def test_who_else_has_it_mapped() -> None:
    second = msgspec.structs.replace(process(sleeping(5), pid=5), parent=1)
    world = index(evidence(process(on_futex(1)), second))
    assert obstacle_of(world, (1, 1), SHARED) == (
        "waits on shared memory (/dev/shm/sem.x1, which is removed), which no other process of "
        "the tree has mapped too"
    )
    above = Parent(pid=3, name="python", timers=(), acts="")
    alone = msgspec.structs.replace(evidence(process(on_futex(1))), parents=(above,))
    assert obstacle_of(index(alone), (1, 1), SHARED).endswith(
        "mapped too; inspect its parent, process 3 (python), to see others that do"
    )
    second = msgspec.structs.replace(second, shared_files=known((FILE,), "maps"))
    world = index(evidence(process(on_futex(1)), second))
    assert obstacle_of(world, (1, 1), SHARED) == (
        "waits on shared memory (/dev/shm/sem.x1, which is removed), which process 5 has mapped too"
    )
    nameless = msgspec.structs.replace(SHARED, path="/dev/zero (deleted)")
    assert obstacle_of(world, (1, 1), nameless) == "waits on memory that other processes may share"


def test_who_is_inside_its_block() -> None:
    awaits = Awaited(kind="multiprocessing.Lock", action="acquire", semaphore=FILE, name="lock")
    block = HeldLock(
        kind="multiprocessing.Lock",
        address=0x90,
        semaphore=FILE,
        name="lock",
        function="work",
        file="/app/work.py",
        line=3,
    )
    second = msgspec.structs.replace(process(sleeping(5), pid=5), parent=1)
    read = (
        stacks(1, stack(1, BEGUN, awaits=known(awaits, "memory"))),
        stacks(5, stack(5, holds=known((block,), "memory"))),
    )
    waiting = process(on_futex(1, path=FILE, permissions="rw-s", command=9))
    doings = {each.pid: each for each in judge(evidence(waiting, second, stacks=read)).threads}
    held_by = doings[1].held_by
    assert held_by is not None and (held_by.pid, held_by.how) == (
        5,
        "inside `with lock` at work.py:3",
    )
    assert doings[1].does.endswith(
        "held by main thread of process 5 (inside `with lock` at work.py:3)"
    )


def test_a_circle_between_processes_is_likely() -> None:
    read = (stacks(1, *_inside(1, "a", "b")), stacks(5, *_inside(5, "b", "a")))
    first = process(on_futex(1, path="/dev/shm/sem.b", permissions="rw-s", command=9))
    second = process(on_futex(5, path="/dev/shm/sem.a", permissions="rw-s", command=9), pid=5)
    second = msgspec.structs.replace(second, parent=1)
    found = judge(evidence(first, second, stacks=read))
    assert found.outcome == "likely" and found.proof is not None
    assert not find_faults(found.proof)
    assumed = {each.detail for each in found.proof.assumptions}
    assert "only main thread of process 5 releases the lock of its `with b` at work.py:3" in assumed


def test_a_semaphore_may_have_more_holders_than_are_seen() -> None:
    read = (stacks(1, *_inside(1, "a", "b", "Semaphore")), stacks(5, *_inside(5, "b", "a")))
    first = process(on_futex(1, path="/dev/shm/sem.b", permissions="rw-s", command=9))
    second = process(on_futex(5, path="/dev/shm/sem.a", permissions="rw-s", command=9), pid=5)
    second = msgspec.structs.replace(second, parent=1)
    assert judge(evidence(first, second, stacks=read)).outcome == "not-proved"


def _inside(tid: int, holds: str, wants: str, kind: str = "Lock") -> tuple[ThreadStack, ...]:
    kind = f"multiprocessing.{kind}"
    awaits = Awaited(
        kind=kind, action="acquire", address=0x70, semaphore=f"/dev/shm/sem.{wants}", name=wants
    )
    block = HeldLock(
        kind="multiprocessing.Lock",
        address=0x90,
        semaphore=f"/dev/shm/sem.{holds}",
        name=holds,
        function="work",
        file="/app/work.py",
        line=3,
    )
    return (stack(tid, BEGUN, awaits=known(awaits, "memory"), holds=known((block,), "memory")),)
