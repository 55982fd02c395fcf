"""What speaks for a wait without an end, where nothing is proved."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest
from unit.proof_factory import (
    BEGUN,
    evidence,
    in_call,
    on_futex,
    pipe_ends,
    process,
    sleeping,
    stack,
    stacks,
)

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.process_facts import Peer
from deadlock_matrix.model.stack_facts import Awaited, QueueSeen, ThreadStack
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.proof.leads import lead_of
from deadlock_matrix.proof.world import index
from deadlock_matrix.render.inspected_answer import concerned
from deadlock_matrix.render.looked_at import index as look

JOBS = 0xB0


def waiting(tid: int, kind: str, action: str, **facts: Any) -> ThreadStack:
    return stack(tid, BEGUN, awaits=known(Awaited(kind=kind, action=action, **facts), "memory"))


def parent_and_child(*read: ThreadStack, pid: int) -> Evidence:
    """A parent with a thread 2, and a child 5 that a fork made of it."""
    child = msgspec.structs.replace(process(on_futex(5), pid=5), parent=1)
    parent = process(sleeping(1), on_futex(2), pid=1)
    own = stacks(1, stack(1), waiting(2, "Queue", "get", address=JOBS))
    return evidence(parent, child, stacks=(own, stacks(pid, *read)))


ASKED = QueueSeen(kind="Queue", address=JOBS, name="jobs", items=1)


def test_who_takes_from_the_queue_was_left_behind() -> None:
    found = parent_and_child(waiting(5, "Future", "result", filled=(ASKED,)), pid=5)
    assert lead_of(index(found), (5, 5)) == (
        "its Queue jobs holds 1 item, and what takes from it is thread 2 't2' of process 1, which "
        "the fork did not copy"
    )
    other = msgspec.structs.replace(ASKED, address=0xC0)
    found = parent_and_child(waiting(5, "Future", "result", filled=(other,)), pid=5)
    assert lead_of(index(found), (5, 5)) == ""


def test_the_thread_that_hands_results_over_has_ended() -> None:
    told = "the pool's thread that hands results over has ended"
    found = evidence(
        process(on_futex(1)), stacks=(stacks(1, waiting(1, "MapResult", "get", detail=told)),)
    )
    assert lead_of(index(found), (1, 1)) == told


POOL = "/usr/lib/python3.11/multiprocessing/pool.py"


def in_pool(tid: int, function: str, *inner: str) -> ThreadStack:
    frames = [("/usr/lib/python3.11/multiprocessing/process.py", "run"), (POOL, function)]
    frames += [("/usr/lib/python3.11/multiprocessing/queues.py", each) for each in inner]
    lines = tuple(PythonFrame(file=file, line=8, function=name) for file, name in frames)
    return stack(tid, *lines)


@pytest.mark.parametrize(
    ("working", "handing", "calling", "lost"),
    [
        (("get", "recv_bytes"), (), ("recv",), True),
        (("get", "__enter__"), (), ("recv",), True),
        (("put", "__enter__"), (), ("recv",), False),
        ((), (), ("recv",), True),
        (("get",), ("send", "_send"), ("recv",), False),
        (("get",), (), ("_set", "callback"), False),
    ],
)
def test_a_task_went_with_a_worker(
    working: tuple[str, ...], handing: tuple[str, ...], calling: tuple[str, ...], lost: bool
) -> None:
    found = evidence(
        process(on_futex(1), on_futex(2), on_futex(3), pid=1),
        msgspec.structs.replace(process(on_futex(5), pid=5), parent=1),
        stacks=(
            stacks(
                1,
                waiting(1, "MapResult", "get"),
                in_pool(2, "_handle_tasks", *handing),
                in_pool(3, "_handle_results", *calling),
            ),
            stacks(5, in_pool(5, "worker", *working)),
        ),
    )
    assert lead_of(index(found), (1, 1)).startswith("all workers of the pool are idle") == lost


def test_without_workers_nothing_is_said_of_them() -> None:
    found = evidence(
        process(on_futex(1), on_futex(2), on_futex(3), pid=1),
        stacks=(
            stacks(
                1,
                waiting(1, "MapResult", "get"),
                in_pool(2, "_handle_tasks"),
                in_pool(3, "_handle_results", "recv"),
            ),
        ),
    )
    assert lead_of(index(found), (1, 1)) == ""


@pytest.mark.parametrize("protocol", ["UNIX", "TCP"])
def test_both_ends_of_a_pair_of_sockets_read(protocol: Literal["UNIX", "TCP"]) -> None:
    def reader(pid: int, own: str, other: str) -> Any:
        of_peer = (own.replace("socket:", "at:"), other.replace("socket:", "at:"))
        peer = Peer(socket=own, protocol="UNIX", other=other)
        if protocol == "TCP":
            peer = Peer(socket=own, protocol="TCP", own=of_peer[0], other=of_peer[1])
        ends = pipe_ends((4, own, "rw"))
        found = process(in_call(pid, "read", 4), pid=pid, descriptors=ends)
        return msgspec.structs.replace(found, peers=known((peer,), "sock_diag"))

    first, second = reader(1, "socket:[8]", "socket:[9]"), reader(5, "socket:[9]", "socket:[8]")
    second = msgspec.structs.replace(second, parent=1)
    world = index(evidence(first, second))
    assert lead_of(world, (1, 1)) == (
        "main thread of process 5, at the other end, is waiting to read too"
    )
    alone = msgspec.structs.replace(second, peers=unknown("the test hides it"))
    assert lead_of(index(evidence(first, alone)), (1, 1)) == ""


def test_the_answer_is_about_who_has_a_lead() -> None:
    from deadlock_matrix.app.inspection import of_process

    found = parent_and_child(waiting(5, "Future", "result", filled=(ASKED,)), pid=5)
    looked = look(of_process(1, judge(found), found), {})
    assert [(each.pid, each.tid) for each in concerned(looked)] == [(5, 5)]
