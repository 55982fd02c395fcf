"""Owners read from memory: every lock of glibc, and all that only looks like one."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from unit.proof_factory import (
    LOCK,
    OTHER_LIBRARY,
    PRIVATE,
    SYSCALL_WRAPPER,
    UNKNOWN,
    WAIT,
    WAIT_BITSET,
    catching,
    change,
    evidence,
    in_join,
    in_join_by_state,
    mutex,
    on_futex,
    on_mutex,
    on_robust_mutex,
    on_rwlock,
    owner_of,
    process,
    sleeping,
    thread_structure,
    wait_of,
    world,
)

from deadlock_matrix.model.fact import Known, known
from deadlock_matrix.model.thread_facts import ThreadFacts
from deadlock_matrix.model.verdict import AssumptionKind
from deadlock_matrix.proof.world import index


def owner(waiter: ThreadFacts, **facts: Any) -> int | None:
    """Who owns what thread 1 waits for, in a process with a second thread."""
    return owner_of(world(waiter, sleeping(2), **facts), 1)


@pytest.mark.parametrize(
    ("kind", "count", "label"),
    [
        (0x000, 0, "mutex"),
        (0x001, 1, "recursive mutex"),
        (0x001, 7, "recursive mutex"),
        (0x002, 0, "error-checking mutex"),
        (0x003, 0, "adaptive mutex"),
        (0x080, 0, "mutex"),  # process-shared by its attribute
        (0x100, 0, "mutex"),  # elision on
        (0x200, 0, "mutex"),  # elision off
    ],
)
def test_plain_mutex(kind: int, count: int, label: str) -> None:
    wait = wait_of(world(on_mutex(1, 2, kind=kind, count=count), sleeping(2)), 1)
    assert wait.wakers == {(1, 2)} and wait.scope == "thread" and not wait.interruptible
    assert wait.node.kind == "lock" and wait.node.label.startswith(f"{label} 0x")


def test_mutex_that_its_waiter_holds_itself() -> None:
    assert owner(on_mutex(1, 1, kind=1, count=1)) == 1
    assert owner(on_mutex(1, 1, kind=2)) == 1
    assert owner(on_robust_mutex(1, 1)) == 1


@pytest.mark.parametrize("kind", [0x0, 0x3, 0x80, 0x83, 0x100, 0x200])
def test_mutex_that_another_thread_may_be_meant_to_unlock(kind: int) -> None:
    wait = wait_of(world(on_mutex(1, 1, kind=kind), sleeping(2)), 1)
    assert wait.scope == "process" and wait.wakers == {(1, 1), (1, 2)} and wait.interruptible
    assert wait.phrase.endswith("which it holds itself")
    assert "its owner is itself" in wait.held_source


@pytest.mark.parametrize(
    "waiter", [on_mutex(1, 2), on_robust_mutex(1, 2), on_rwlock(1, 2), in_join(1, 2)]
)
@pytest.mark.parametrize("sharing", [known((77,), "kcmp"), UNKNOWN])
@pytest.mark.parametrize("when", ["before", "after"])
def test_memory_that_another_process_runs_on(waiter: ThreadFacts, sharing: Any, when: str) -> None:
    """Its threads may have the ids of ours in what they lock."""
    alone = process(waiter, sleeping(2))
    shared = change(alone, shares_memory_with=sharing)
    before, after = (shared, alone) if when == "before" else (alone, shared)
    wait = wait_of(index(evidence(after, before=(before,))), 1)
    assert wait.scope == "process" and "it is not certain" in wait.held_source
    owned = wait_of(index(evidence(alone)), 1)
    assert owned.scope == "thread"
    assert "memory-not-shared" in [condition.name for condition in owned.conditions]


@pytest.mark.parametrize("kind", [0x20, 0x40, 0x10, 0x400, 0x8000, 0xDEAD])
def test_kind_that_is_no_plain_mutex(kind: int) -> None:
    assert owner(on_mutex(1, 2, kind=kind)) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"lock": 0},
        {"lock": 1},
        {"lock": 3},
        {"expected": 1},
        {"expected": 0},
        {"count": 1},  # only a recursive one counts
        {"kind": 1, "count": 0},
        {"users": 0},
        {"users": 4},  # more users than threads and one condition variable
        {"owner": 0},
    ],
)
def test_fields_that_glibc_would_not_write(fields: dict[str, int]) -> None:
    assert owner(on_mutex(1, fields.pop("owner", 2), **fields)) is None


@pytest.mark.parametrize("users", [1, 2, 3])
def test_users_of_a_mutex(users: int) -> None:
    assert owner(on_mutex(1, 2, users=users)) == 2


def test_owner_that_is_no_thread_of_the_process() -> None:
    wait = wait_of(world(on_mutex(1, 77), sleeping(2)), 1)
    assert wait.scope == "process"
    assert "77, which is no thread of this process" in wait.held_source


def test_owner_in_another_process_is_no_owner() -> None:
    found = index(evidence(process(on_mutex(1, 50)), process(sleeping(50), parent=1)))
    assert owner_of(found, 1) is None


def test_owner_that_has_ended_and_was_not_joined() -> None:
    ended = change(sleeping(2), state="Z")
    assert owner_of(world(on_mutex(1, 2), ended, sleeping(3)), 1) is None


def test_owner_by_the_id_it_has_in_its_container() -> None:
    inside = change(sleeping(2002), own_tid=2)
    assert owner(on_mutex(1, 2)) == 2
    assert owner_of(world(on_mutex(1, 2), inside), 1) == 2002
    assert owner_of(world(on_mutex(1, 2002), inside), 1) is None


def test_memory_that_was_read_only_in_part() -> None:
    short = on_futex(1, mutex(2)[:16], command=PRIVATE | WAIT, expected=2)
    assert owner(short) is None
    late = on_futex(1, mutex(2), read_from=LOCK + 4, command=PRIVATE | WAIT, expected=2)
    assert owner(late) is None


@pytest.mark.parametrize("code", [known(SYSCALL_WRAPPER, ""), known(OTHER_LIBRARY, ""), UNKNOWN])
def test_lock_of_somebody_else(code: Any) -> None:
    wait = wait_of(world(on_mutex(1, 2, code=code), sleeping(2)), 1)
    assert wait.scope == "process" and wait.wakers == {(1, 1), (1, 2)}


@pytest.mark.parametrize(
    "machine",
    [
        {"libc": "musl"},
        {"libc": "unknown: static"},
        {"libc": ""},
        {"pointer_bits": 32},
        {"architecture": "riscv64"},
    ],
)
def test_machine_whose_locks_are_not_known(machine: dict[str, Any]) -> None:
    assert owner(on_mutex(1, 2), **machine) is None


def test_arm_has_the_same_locks() -> None:
    assert owner(on_mutex(1, 2), architecture="aarch64") == 2


# --- robust mutexes -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0x10, 0x11, 0x12, 0x90])
def test_robust_mutex(kind: int) -> None:
    assert owner(on_robust_mutex(1, 2, kind=kind)) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"lock": 2},  # without the bit for waiters
        {"expected": 2},
        {"field": 1},  # the lock word and the owner field differ
        {"lock": 0xC000_0000 | 99},  # its owner died
        {"kind": 0x410},
    ],
)
def test_robust_mutex_that_does_not_check_out(fields: dict[str, int]) -> None:
    assert owner(on_robust_mutex(1, 2, **fields)) is None


# --- reader-writer locks ------------------------------------------------------------------------


@pytest.mark.parametrize("word", [8, 12])
@pytest.mark.parametrize("fields", [{}, {"shared": 128}, {"shared": 1}, {"flags": 1}, {"flags": 2}])
def test_rwlock_with_a_writer(word: int, fields: dict[str, int]) -> None:
    wait = wait_of(world(on_rwlock(1, 2, word=word, **fields), sleeping(2)), 1)
    assert wait.wakers == {(1, 2)} and wait.node.label == f"rwlock {LOCK:#x}"


@pytest.mark.parametrize(
    "fields",
    [
        {"writer": 0},  # readers hold it: nobody says who
        {"readers": 8},  # no write phase
        {"readers": 10},
        {"waiting": 2},
        {"shared": 3},
        {"flags": 9},
        {"word": 4},
    ],
)
def test_rwlock_without_a_writer(fields: dict[str, int]) -> None:
    assert owner(on_rwlock(1, fields.pop("writer", 2), **fields)) is None


@pytest.mark.parametrize("offset", [16, 20, 32, 36, 40, 44])
@pytest.mark.parametrize("word", [8, 12])
def test_rwlock_whose_padding_is_not_zero(offset: int, word: int) -> None:
    assert owner(on_rwlock(1, 2, word=word, padding={offset: 1})) is None


def test_rwlock_that_was_read_only_in_part() -> None:
    whole = on_rwlock(1, 2)
    assert isinstance(whole.word, Known)
    word = whole.word.value
    for length in (48, 44, 36, 24):
        short = known(change(word, around=word.around[: 2 * length]), "mem")
        assert owner(change(whole, word=short)) is None


def test_barrier_that_three_threads_reach() -> None:
    """Where ids are small, one in its third round has the fields of a rwlock with a writer."""
    barrier = struct.pack("<5I", 4, 3, 3, 0, 2) + b"\0" * 44  # in, round, count, shared, out
    memory = struct.pack("<2I", 3, 0) + barrier
    waiter = on_futex(1, memory, at=LOCK + 12, read_from=LOCK, expected=3, command=PRIVATE | WAIT)
    assert owner(waiter) is None


# --- joining ------------------------------------------------------------------------------------


def test_native_join() -> None:
    wait = wait_of(world(in_join(1, 2), sleeping(2)), 1)
    assert wait.wakers == {(1, 2)}
    assert wait.phrase == "joins thread 2 't2'" and wait.names_owner
    assert wait.node.kind == "end" and not wait.interruptible
    names = {condition.name for condition in wait.conditions}
    assert names >= {"no-cancellation", "memory-not-shared", "in-that-call"}


def test_join_of_a_thread_that_was_cancelled_can_be_left() -> None:
    found = index(evidence(process(in_join(1, 2), sleeping(2), signals=catching(32))))
    assert owner_of(found, 1) is None


@pytest.mark.parametrize(
    "facts",
    [
        {"cancelling": known(("/lib/libfoo.so",), "symbols")},
        {"cancelling": UNKNOWN},
        {"signals": UNKNOWN},
    ],
)
def test_join_of_a_thread_that_may_be_cancelled_can_be_left(facts: dict[str, Any]) -> None:
    found = index(evidence(process(in_join(1, 2), sleeping(2), **facts)))
    wait = wait_of(found, 1)
    assert wait.scope == "process" and wait.phrase == "joins thread 2 't2'"
    (assuming,) = wait.assuming
    assert assuming.wakers == {(1, 2)}
    assert [each.kind for each in assuming.assumptions] == [AssumptionKind.NOT_CANCELLED]
    mutex_of_2 = index(evidence(process(on_mutex(1, 2), sleeping(2), **facts)))
    assert owner_of(mutex_of_2, 1) == 2  # not a place where a thread can be cancelled


def test_join_where_the_old_c_library_catches_its_signal_from_the_beginning() -> None:
    threads = (in_join(1, 2), sleeping(2))
    found = index(evidence(process(*threads, signals=catching(32)), libc="glibc 2.31"))
    assert owner_of(found, 1) == 2


@pytest.mark.parametrize("at_once", [known(("/lib/libfoo.so",), "symbols"), UNKNOWN])
@pytest.mark.parametrize("lock", [on_mutex, on_rwlock])
def test_lock_of_a_thread_that_may_be_cancelled_at_any_moment(lock: Any, at_once: Any) -> None:
    facts = {"cancelling_at_once": at_once, "cancelling": known(("/bin/app",), "symbols")}
    wait = wait_of(index(evidence(process(lock(1, 2), sleeping(2), **facts))), 1)
    assert wait.scope == "process"
    (assuming,) = wait.assuming
    assert assuming.wakers == {(1, 2)}
    assert [each.kind for each in assuming.assumptions] == [AssumptionKind.NOT_CANCELLED]


@pytest.mark.parametrize(
    "facts",
    [
        {"expected": 0, "content": b"\0\0\0\0"},
        {"expected": 3},  # the word has changed meanwhile
        {"content": thread_structure(3), "expected": 3},  # nobody with this id
        {"content": thread_structure(1), "expected": 1},  # itself
        {"content": thread_structure(2, futex_offset=0)},  # no thread's structure
        {"content": thread_structure(2, futex_offset=-31)},
        {"content": thread_structure(2, futex_offset=0xFFFF_FFE0)},
        {"content": thread_structure(2)[:28]},
        {"content": struct.pack("<I", 2)},
        {"command": PRIVATE | WAIT_BITSET},  # the kernel, which ends a join, wakes publicly
    ],
)
def test_word_that_is_no_join(facts: dict[str, Any]) -> None:
    assert owner(in_join(1, 2, **facts)) is None


def test_join_by_the_state_behind_the_id() -> None:
    wait = wait_of(world(in_join_by_state(1, 2), sleeping(2)), 1)
    assert wait.wakers == {(1, 2)} and wait.node.kind == "end"
    assert "no-cancellation" in [condition.name for condition in wait.conditions]


@pytest.mark.parametrize(
    "facts",
    [
        {"expected": 1},
        {"expected": 3},  # detached
        {"structure": b""},
        {"structure": thread_structure(2)[:28]},
        {"structure": thread_structure(3)},  # nobody with this id
        {"structure": thread_structure(0)},  # one that a fork did not copy
        {"structure": thread_structure(1)},  # itself
        {"structure": thread_structure(2, futex_offset=-31)},
        {"command": PRIVATE | WAIT_BITSET},
    ],
)
def test_word_that_is_no_join_state(facts: dict[str, Any]) -> None:
    assert owner(in_join_by_state(1, 2, **facts)) is None


@pytest.mark.parametrize("field", [0, 2, 3])
def test_process_shared_mutex_is_no_join(field: int) -> None:
    """Where ids are small, its lock word is one: 2 for "somebody waits"."""
    shared = on_mutex(1, field, kind=0x80, command=WAIT)
    assert owner_of(world(shared, sleeping(2), sleeping(3)), 1) is None
