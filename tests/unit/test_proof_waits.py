"""What a thread waits for, and every doubt that keeps a wait out of a proof."""

from __future__ import annotations

from typing import Any

import pytest
from unit.proof_factory import (
    LIMITED,
    PRIVATE,
    REALTIME,
    UNKNOWN,
    WAIT,
    WAIT_BITSET,
    call,
    change,
    evidence,
    gap_of,
    in_call,
    in_join,
    on_futex,
    on_mutex,
    pipe_ends,
    polling,
    process,
    running,
    sleeping,
    thread,
    wait_of,
    world,
)

from deadlock_matrix.model.evidence import (
    Evidence,
    OutsideSystemCall,
    Switches,
    ThreadFacts,
    TimeLimit,
)
from deadlock_matrix.model.fact import known
from deadlock_matrix.proof.wait import Wait
from deadlock_matrix.proof.waits import read_wait
from deadlock_matrix.proof.world import index

P_ALL, P_PID, P_PGID, P_PIDFD = 0, 1, 2, 3
MINUS_ONE = 0xFFFF_FFFF_FFFF_FFFF


def changed(now: ThreadFacts, **earlier: Any) -> Evidence:
    """A process of one thread that was different in the first snapshot."""
    return evidence(process(now), before=(process(change(now, **earlier)),))


# --- asleep throughout --------------------------------------------------------------------------


def test_a_python_lock_can_be_released_by_any_thread() -> None:
    wait = wait_of(world(on_futex(1), sleeping(2)), 1)
    assert wait.scope == "process" and wait.interruptible
    assert wait.wakers == {(1, 1), (1, 2)} and wait.node.kind == "futex"
    names = [condition.name for condition in wait.conditions]
    assert names == ["asleep-throughout", "no-time-limit", "private-futex"]
    assert {condition.subject for condition in wait.conditions} == {"thread-1-1"}


@pytest.mark.parametrize(
    "earlier",
    [
        {"switches": known(Switches(voluntary=4, involuntary=1), "status")},
        {"switches": known(Switches(voluntary=5, involuntary=0), "status")},
        {"state": "R"},
        {"state": "D"},
        {"activity": known(call("futex", 0x1000, PRIVATE), "syscall")},
        {"activity": UNKNOWN},
        {"activity": known(OutsideSystemCall(), "syscall")},
    ],
)
def test_moved_between_the_snapshots(earlier: dict[str, Any]) -> None:
    gap = gap_of(index(changed(on_mutex(1, 1), **earlier)), 1)
    assert gap == ("does-not-hold", "moved between the two snapshots")


def test_another_thread_with_the_same_id() -> None:
    gap = gap_of(index(changed(on_mutex(1, 1), started=3)), 1)
    assert gap == ("does-not-hold", "began between the two snapshots")


def test_not_there_in_the_first_snapshot() -> None:
    both = process(sleeping(1), on_mutex(2, 2))
    found = index(evidence(both, before=(process(sleeping(1)),)))
    assert gap_of(found, 2) == ("does-not-hold", "began between the two snapshots")


@pytest.mark.parametrize("which", ["before", "after"])
def test_counters_that_could_not_be_read(which: str) -> None:
    now, hidden = on_mutex(1, 1), on_mutex(1, 1, switches=UNKNOWN)
    before, after = (hidden, now) if which == "before" else (now, hidden)
    found = index(evidence(process(after), before=(process(before),)))
    assert gap_of(found, 1)[0] == "unknown"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("R", "running"),
        ("D", "uninterruptible"),
        ("T", "stopped by a signal"),
        ("t", "stopped by a tracer"),
        ("I", "idle kernel thread"),
        ("P", "state P"),
    ],
)
def test_state_other_than_asleep(state: str, told: str) -> None:
    kind, detail = gap_of(world(on_mutex(1, 1, state=state)), 1)
    assert kind == "does-not-hold" and told in detail


def test_running() -> None:
    assert gap_of(world(change(running(1), state="S")), 1) == ("does-not-hold", "is running")


def test_outside_a_system_call() -> None:
    kind, detail = gap_of(world(thread(1, OutsideSystemCall())), 1)
    assert kind == "does-not-hold" and "page fault" in detail


@pytest.mark.parametrize("hidden", ["activity", "timeout", "word"])
def test_fact_that_could_not_be_read(hidden: str) -> None:
    kind, detail = gap_of(world(on_mutex(1, 1, **{hidden: UNKNOWN})), 1)
    assert kind == "unknown" and "the test hides it" in detail


@pytest.mark.parametrize(
    ("due_s", "told"),
    [(3.0, "due in 3.0 s"), (600.0, "due in 10 min"), (100_800.0, "due in 28.0 h")],
)
def test_time_limit_however_long(due_s: float, told: str) -> None:
    limit = known(TimeLimit(due_s=known(due_s, ""), exact=True), "")
    kind, detail = gap_of(world(on_mutex(1, 1, timeout=limit)), 1)
    assert kind == "does-not-hold" and told in detail


def test_time_limit_of_unknown_length() -> None:
    limit = known(TimeLimit(due_s=UNKNOWN, exact=False), "")
    kind, detail = gap_of(world(on_mutex(1, 1, timeout=limit)), 1)
    assert kind == "does-not-hold" and detail.endswith("with a time limit")


# --- futexes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13])
def test_futex_operation_other_than_a_wait(operation: int) -> None:
    kind, detail = gap_of(world(on_futex(1, command=PRIVATE | operation)), 1)
    assert kind == "does-not-hold" and f"operation ({operation})" in detail


@pytest.mark.parametrize("operation", [WAIT, WAIT_BITSET, WAIT_BITSET | REALTIME])
def test_public_futex_in_private_memory(operation: int) -> None:
    wait = wait_of(world(on_futex(1, command=operation)), 1)
    assert "private mapping (rw-p)" in wait.conditions[-1].detail


@pytest.mark.parametrize("permissions", ["rw-s", "r--s"])
def test_public_futex_in_shared_memory(permissions: str) -> None:
    kind, detail = gap_of(world(on_futex(1, command=WAIT, permissions=permissions)), 1)
    assert kind == "does-not-hold" and "other processes share" in detail


def test_private_futex_in_shared_memory_reaches_nobody_else() -> None:
    assert isinstance(wait_of(world(on_futex(1, permissions="rw-s")), 1), Wait)


def test_names_of_the_library_and_the_loader() -> None:
    foo = wait_of(world(on_mutex(1, 1, path="/lib/libfoo.so")), 1)
    assert foo.phrase.endswith(" of libfoo.so")
    loader = wait_of(world(on_mutex(1, 1, kind=1, count=1, path="/lib/ld-linux-x86-64.so.2")), 1)
    assert loader.phrase.endswith("the loader's own lock")


def test_join_of_a_native_thread_names_it() -> None:
    assert wait_of(world(in_join(1, 2), sleeping(2)), 1).node.label == "end of thread 2 't2'"


# --- children -----------------------------------------------------------------------------------


def parent(name: str, *arguments: int) -> Evidence:
    """Process 1 with one child, 20, and a grandchild, 30."""
    child = process(sleeping(20), parent=1)
    grandchild = process(sleeping(30), parent=20)
    return evidence(process(in_call(1, name, *arguments)), child, grandchild)


@pytest.mark.parametrize(
    ("name", "arguments", "label"),
    [
        ("wait4", (20,), "the end of process 20"),
        ("wait4", (MINUS_ONE,), "any of its children"),
        ("wait4", (0xFFFF_FFFF,), "any of its children"),  # an int in a machine word
        ("waitid", (P_PID, 20), "the end of process 20"),
        ("waitid", (P_ALL, 0), "any of its children"),
    ],
)
def test_waiting_for_a_child(name: str, arguments: tuple[int, ...], label: str) -> None:
    wait = wait_of(index(parent(name, *arguments)), 1)
    assert wait.node.label == label
    assert wait.scope == "tree" and wait.wakers == {(1, 1), (20, 20), (30, 30)}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("wait4", (30,)),  # a grandchild
        ("wait4", (99,)),
        ("wait4", (0,)),  # a process group
        ("wait4", (MINUS_ONE - 19,)),
        ("waitid", (P_PID, 30)),
        ("waitid", (P_PGID, 20)),
        ("waitid", (P_PIDFD, 20)),
    ],
)
def test_waiting_for_somebody_out_of_sight(name: str, arguments: tuple[int, ...]) -> None:
    assert gap_of(index(parent(name, *arguments)), 1)[0] == "unknown"


@pytest.mark.parametrize("arguments", [(MINUS_ONE,), (20,)])
def test_waiting_for_a_child_that_is_not_there(arguments: tuple[int, ...]) -> None:
    assert gap_of(world(in_call(1, "wait4", *arguments)), 1)[0] == "unknown"


@pytest.mark.parametrize("waiter", [in_call(1, "wait4", MINUS_ONE), in_call(1, "read", 3)])
def test_process_that_ended_between_may_have_left_children(waiter: ThreadFacts) -> None:
    root = process(waiter, descriptors=pipe_ends((3, "pipe:[1]", "rw")))
    child, ended = process(sleeping(20), parent=1), process(sleeping(30), parent=1)
    found = index(evidence(root, child, before=(root, child, ended)))
    kind, detail = gap_of(found, 1)
    assert kind == "does-not-hold" and "began or ended" in detail


def test_child_by_the_id_it_has_in_its_container() -> None:
    child = process(sleeping(2020), parent=1, own_pid=20)
    found = index(evidence(process(in_call(1, "wait4", 20)), child))
    assert wait_of(found, 1).node.label == "the end of process 2020"


# --- everything else ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("clock_nanosleep", "sleeps"),
        ("epoll_wait", "epoll"),
        ("accept4", "connection"),
        ("recvfrom", "socket"),
        ("rt_sigtimedwait", "signal"),
        ("pause", "signal"),
        ("io_uring_enter", "io_uring"),
        ("flock", "file lock"),
        ("restart_syscall", "kernel does not show"),
        ("msgrcv", "the system call msgrcv"),
        ("syscall_9999", "the system call syscall_9999"),
    ],
)
def test_system_call_that_no_proof_follows(name: str, told: str) -> None:
    kind, detail = gap_of(world(in_call(1, name)), 1)
    assert kind == "does-not-hold" and told in detail


@pytest.mark.parametrize("name", ["wait4", "waitid", "read", "write", "poll", "select", "futex"])
def test_time_limit_in_any_call(name: str) -> None:
    kind, detail = gap_of(world(in_call(1, name, timeout=known(LIMITED, ""))), 1)
    assert kind == "does-not-hold" and f"waits in {name} with a time limit" in detail


@pytest.mark.parametrize("name", ["read", "readv", "write", "writev"])
def test_pipe_inside_the_tree(name: str) -> None:
    ends = pipe_ends((3, "pipe:[1]", "rw"))
    found = index(evidence(process(in_call(1, name, 3), descriptors=ends)))
    wait = read_wait(found, (1, 1))
    assert isinstance(wait, Wait) and wait.scope == "tree" and wait.interruptible
    assert {condition.subject for condition in wait.conditions} == {"thread-1-1", "tree"}


def test_poll_on_a_pipe_inside_the_tree() -> None:
    ends = pipe_ends((3, "pipe:[1]", "rw"))
    found = index(evidence(process(polling(1, (3, 1)), descriptors=ends)))
    assert wait_of(found, 1).phrase == "waits to read from pipe:[1]"
