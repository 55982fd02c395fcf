"""What a thread waits for, and every doubt that keeps a wait out of a proof."""

from __future__ import annotations

from typing import Any

import pytest
from unit.proof_factory import (
    BEGUN,
    LIMITED,
    PRIVATE,
    REALTIME,
    UNKNOWN,
    WAIT,
    WAIT_BITSET,
    call,
    catching,
    change,
    evidence,
    frame,
    gap_of,
    in_call,
    in_join,
    on_futex,
    on_mutex,
    pipe_ends,
    polling,
    process,
    python,
    running,
    sleeping,
    stack,
    stacks,
    thread,
    wait_of,
    world,
)

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import known
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.stack_facts import StackFacts
from deadlock_matrix.model.thread_facts import OutsideSystemCall, Switches, ThreadFacts, TimeLimit
from deadlock_matrix.proof.wait import Wait
from deadlock_matrix.proof.waits import read_wait
from deadlock_matrix.proof.world import World, index

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
    asleep = ["asleep-throughout", "no-time-limit", "in-that-call"]
    assert names == ["not-interrupted", *asleep, "private-futex"]
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


# --- the function of the kernel it sleeps in ----------------------------------------------------


def in_channel(name: str, channel: Any) -> Evidence:
    """Process 1 in a call that a proof follows, and its child."""
    ends = pipe_ends((3, "pipe:[1]", "rw"))
    waiters = {
        "futex": on_futex(1, wait_channel=channel),
        "wait4": in_call(1, "wait4", MINUS_ONE, wait_channel=channel),
        "waitid": in_call(1, "waitid", P_ALL, wait_channel=channel),
        "poll": change(polling(1, (3, 1)), wait_channel=channel),
        "pselect6": change(
            in_call(1, "pselect6", polled=polling(1, (3, 1)).polled), wait_channel=channel
        ),
    }
    waiter = waiters.get(name) or in_call(1, name, 3, wait_channel=channel)
    return evidence(process(waiter, descriptors=ends), process(sleeping(20), parent=1))


OF_KERNELS = {
    "futex": ["futex_wait_queue_me", "futex_wait_queue", "futex_do_wait", "__futex_wait"],
    "wait4": ["do_wait"],
    "waitid": ["do_wait"],
    "read": ["pipe_read", "pipe_wait", "anon_pipe_read", "pipe_wait_readable"],
    "write": ["pipe_write", "pipe_wait", "anon_pipe_write", "pipe_wait_writable"],
    "readv": ["pipe_read"],
    "writev": ["pipe_write"],
    "poll": ["poll_schedule_timeout", "do_sys_poll", "do_poll.constprop.0"],
    "pselect6": ["do_select", "core_sys_select", "poll_schedule_timeout.constprop.0"],
}
ELSEWHERE = [
    "__refrigerator", "do_freezer_trap", "handle_userfault", "seccomp_do_user_notification",
    "ptrace_stop", "do_signal_stop", "folio_wait_bit_common", "request_wait_answer",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "channel"), [(name, channel) for name in OF_KERNELS for channel in OF_KERNELS[name]]
)
def test_asleep_in_that_call(name: str, channel: str) -> None:
    wait = wait_of(index(in_channel(name, known(channel, "wchan"))), 1)
    (told,) = [c for c in wait.conditions if c.name == "in-that-call"]
    assert channel in told.detail and told.source == "wchan" and told.subject == "thread-1-1"


@pytest.mark.parametrize("name", OF_KERNELS)
def test_asleep_elsewhere(name: str) -> None:
    for channel in (*ELSEWHERE, *({"do_wait", "futex_wait_queue"} - set(OF_KERNELS[name]))):
        gap = gap_of(index(in_channel(name, known(channel, "wchan"))), 1)
        assert gap == ("does-not-hold", f"sleeps in {channel}, not in its call of {name}")


@pytest.mark.parametrize("name", OF_KERNELS)
def test_where_it_sleeps_is_not_known(name: str) -> None:
    kind, detail = gap_of(index(in_channel(name, UNKNOWN)), 1)
    assert kind == "unknown" and "which kernel function it sleeps in" in detail


# --- futexes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13])
def test_futex_operation_other_than_a_wait(operation: int) -> None:
    kind, detail = gap_of(world(on_futex(1, command=PRIVATE | operation)), 1)
    assert kind == "does-not-hold" and f"operation ({operation})" in detail


@pytest.mark.parametrize("operation", [WAIT, WAIT_BITSET, WAIT_BITSET | REALTIME])
def test_public_futex_in_private_memory(operation: int) -> None:
    wait = wait_of(world(on_futex(1, command=operation)), 1)
    assert "private mapping (rw-p)" in wait.conditions[-1].detail


@pytest.mark.parametrize("command", [WAIT, PRIVATE | WAIT])
@pytest.mark.parametrize("permissions", ["rw-s", "r--s"])
def test_futex_in_shared_memory(permissions: str, command: int) -> None:
    """Nobody else wakes a private one; but who writes the word may stop and continue the waiter."""
    kind, detail = gap_of(world(on_futex(1, command=command, permissions=permissions)), 1)
    assert kind == "does-not-hold" and "other processes may share" in detail


FILE = "/memfd:state (deleted)"


@pytest.mark.parametrize("command", [WAIT, PRIVATE | WAIT])
@pytest.mark.parametrize("permissions", ["r--p", "r-xp"])
def test_futex_on_a_page_of_a_file_that_is_only_read(permissions: str, command: int) -> None:
    """The page is the file's own, which somebody else may have mapped to write."""
    waiter = on_futex(1, command=command, permissions=permissions, path=FILE)
    kind, detail = gap_of(world(waiter), 1)
    assert kind == "does-not-hold" and "page of a file" in detail


@pytest.mark.parametrize(
    "where",
    [
        {"command": WAIT, "permissions": "rw-p", "path": FILE},
        {"command": WAIT, "permissions": "r--p", "path": ""},
        {"command": WAIT, "permissions": "rw-p", "path": "[heap]"},
    ],
)
def test_futex_whose_page_is_the_process_s_own(where: dict[str, Any]) -> None:
    assert isinstance(wait_of(world(on_futex(1, **where)), 1), Wait)


def test_names_of_the_library_and_the_loader() -> None:
    foo = wait_of(world(on_mutex(1, 2, path="/lib/libfoo.so"), sleeping(2)), 1)
    assert foo.phrase.endswith(" of libfoo.so")
    itself = wait_of(world(on_mutex(1, 1, path="/lib/libfoo.so")), 1)
    assert itself.phrase.endswith(" of libfoo.so, which it holds itself")
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
        ("accept4", "connection"),
        ("recvfrom", "socket"),
        ("recvmmsg", "reads from a socket"),
        ("sendmmsg", "writes to a socket"),
        ("rt_sigtimedwait", "signal"),
        ("pause", "signal"),
        ("io_uring_enter", "io_uring"),
        ("io_getevents", "libaio"),
        ("restart_syscall", "the kernel shows neither"),
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


# --- Ctrl-C, which somebody inside may send -----------------------------------------------------

SIGINT = 2
THREAD = "<Thread at 0x7f0000000010>"
JOIN = stacks(
    1,
    stack(1, frame("join", "/lib/threading.py", self=THREAD)),
    stack(2, frame("_bootstrap_inner", "/lib/threading.py", self=THREAD)),
)
JOIN_BY_2 = stacks(
    1,
    stack(1),
    stack(2, BEGUN, frame("join", "/lib/threading.py", self=THREAD)),
    stack(3, frame("_bootstrap_inner", "/lib/threading.py", self=THREAD)),
)
PYTHONS_OWN: dict[str, Any] = {"signals": catching(SIGINT), "python": python()}
CHILD = process(sleeping(20), parent=1)
INSIDE = {(1, 1), (1, 2), (1, 3)}


def joined(*children: ProcessFacts, read: StackFacts = JOIN, **facts: Any) -> World:
    """Thread 1 (or 2) joins another in Python; the third does something else."""
    parent = process(on_futex(1), on_futex(2), on_futex(3), **facts)
    return index(evidence(parent, *children, stacks=(read,)))


def test_join_of_the_main_thread_can_be_interrupted_from_inside() -> None:
    wait = wait_of(joined(**PYTHONS_OWN), 1)
    assert wait.scope == "process" and wait.wakers == INSIDE
    assert wait.node.kind == "python-lock" and wait.phrase == "joins thread 2 't2'"
    assert wait.held_source.endswith("anybody inside could also interrupt it by SIGINT")


def test_join_of_the_main_thread_can_be_interrupted_by_a_child() -> None:
    wait = wait_of(joined(CHILD, **PYTHONS_OWN), 1)
    assert wait.scope == "tree" and wait.wakers == INSIDE | {(20, 20)}
    assert wait.conditions[-1].name == "processes-complete"


def test_lock_of_the_main_thread_can_be_interrupted_by_a_child() -> None:
    alone = process(on_futex(1), **PYTHONS_OWN)
    assert wait_of(index(evidence(alone)), 1).scope == "process"
    wait = wait_of(index(evidence(alone, CHILD)), 1)
    assert wait.scope == "tree" and wait.wakers == {(1, 1), (20, 20)}


def test_main_thread_of_a_child_can_be_interrupted_by_its_parent() -> None:
    child = process(on_futex(20), parent=1, **PYTHONS_OWN)
    wait = read_wait(index(evidence(process(sleeping(1)), child)), (20, 20))
    assert isinstance(wait, Wait) and wait.wakers == {(1, 1), (20, 20)}


def test_process_that_ended_between_may_have_left_one_that_interrupts() -> None:
    alone = process(on_futex(1), **PYTHONS_OWN)
    found = index(evidence(alone, CHILD, before=(alone, CHILD, process(sleeping(30), parent=1))))
    kind, detail = gap_of(found, 1)
    assert kind == "does-not-hold" and "began or ended" in detail


@pytest.mark.parametrize("children", [(), (CHILD,)])
def test_join_that_nobody_interrupts(children: tuple[ProcessFacts, ...]) -> None:
    """SIGINT has no handler, or the one who waits is not the main thread."""
    for read, facts in ((JOIN, {}), (JOIN, {"signals": catching(11)}), (JOIN_BY_2, PYTHONS_OWN)):
        wait = wait_of(joined(*children, read=read, **facts), 1 if read is JOIN else 2)
        assert wait.scope == "thread" and len(wait.wakers) == 1


def test_signals_that_could_not_be_read_may_hold_a_handler() -> None:
    assert wait_of(joined(signals=UNKNOWN), 1).scope == "process"


@pytest.mark.parametrize("children", [(), (CHILD,)])
def test_native_lock_of_the_main_thread_is_not_interrupted(
    children: tuple[ProcessFacts, ...],
) -> None:
    for waiter in (on_mutex(1, 2), in_join(1, 2)):
        parent = process(waiter, sleeping(2), **PYTHONS_OWN)
        assert wait_of(index(evidence(parent, *children)), 1).scope == "thread"
