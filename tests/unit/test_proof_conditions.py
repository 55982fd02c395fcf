"""What must hold of a whole process: each condition, and everything that breaks it."""

from __future__ import annotations

from typing import Any

import pytest
from unit.proof_factory import (
    UNKNOWN,
    catching,
    change,
    evidence,
    pipe_ends,
    process,
    python,
    sleeping,
)

from deadlock_matrix.model.evidence import Evidence, Signals
from deadlock_matrix.model.fact import known
from deadlock_matrix.proof.conditions import NAMES, check_process
from deadlock_matrix.proof.world import index

SIGINT, SIGABRT, SIGSEGV, SIGUSR1, SIGALRM = 2, 6, 11, 10, 14
SIGCANCEL, SIGSETXID, SIGRTMIN = 32, 33, 34


def found(what: Evidence) -> tuple[list[str], list[tuple[str, str]]]:
    """Names of the conditions that hold, and the gaps."""
    conditions, gaps = check_process(index(what), 1)
    assert len(conditions) + len(gaps) == len(NAMES)
    return [condition.name for condition in conditions], [(gap.kind, gap.detail) for gap in gaps]


def only_gap(what: Evidence, missing: str) -> tuple[str, str]:
    """The one gap, which must be about this condition."""
    names, gaps = found(what)
    assert set(NAMES) - set(names) == {missing}, gaps
    (gap,) = gaps
    return gap


def facts(**given: Any) -> Evidence:
    return evidence(process(sleeping(1), sleeping(2), **given))


def test_quiet_process() -> None:
    assert found(facts()) == (list(NAMES), [])


# --- threads ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1, 2), (1,)),
        ((1,), (1, 2)),
        ((1, 2), (1, 3)),
    ],
)
def test_threads_that_come_and_go(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    earlier, now = (process(*map(sleeping, tids)) for tids in (before, after))
    assert only_gap(evidence(now, before=(earlier,)), "threads-complete")[0] == "does-not-hold"


def test_thread_id_used_again() -> None:
    earlier = process(sleeping(1), change(sleeping(2), started=5))
    now = process(sleeping(1), sleeping(2))
    only_gap(evidence(now, before=(earlier,)), "threads-complete")


@pytest.mark.parametrize("listed", [(1,), (1, 2, 3), ()])
def test_threads_listed_again_are_others(listed: tuple[int, ...]) -> None:
    only_gap(facts(threads_after=listed), "threads-complete")


def test_leader_that_has_ended_is_no_thread() -> None:
    with_zombie = process(change(sleeping(1), state="Z"), sleeping(2))
    assert found(evidence(with_zombie))[0] == list(NAMES)


def test_leader_that_ended_between() -> None:
    earlier = process(sleeping(1), sleeping(2))
    now = process(change(sleeping(1), state="Z"), sleeping(2))
    only_gap(evidence(now, before=(earlier,)), "threads-complete")


@pytest.mark.parametrize("earlier", [(), (process(sleeping(1), started=7),)])
def test_process_that_began_between(earlier: tuple[Any, ...]) -> None:
    now = process(sleeping(1))
    kind, detail = only_gap(evidence(now, before=earlier), "threads-complete")
    assert kind == "does-not-hold" and "began" in detail


# --- signals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "numbers", [(), (SIGSEGV,), (4, 5, 6, 7, 8, 11, 31), (SIGCANCEL, SIGSETXID)]
)
def test_signal_that_wakes_nobody(numbers: tuple[int, ...]) -> None:
    assert found(facts(signals=catching(*numbers)))[1] == []


@pytest.mark.parametrize("number", [1, SIGUSR1, 12, 13, SIGALRM, 15, 17, 18, 23, SIGRTMIN, 64])
def test_signal_whose_handler_could_wake(number: int) -> None:
    kind, detail = only_gap(facts(signals=catching(SIGSEGV, number)), "no-waking-signal")
    assert kind == "does-not-hold" and f"signal {number}," in detail


def test_signal_that_every_thread_blocks() -> None:
    caught = known(Signals(caught=1 << (SIGUSR1 - 1), ignored=0, pending=0), "status")
    blocked = [change(sleeping(tid), blocked_signals=1 << (SIGUSR1 - 1)) for tid in (1, 2)]
    assert found(evidence(process(*blocked, signals=caught)))[1] == []
    only_gap(evidence(process(blocked[0], sleeping(2), signals=caught)), "no-waking-signal")


def test_signal_that_only_a_thread_that_has_ended_lets_through() -> None:
    caught = known(Signals(caught=1 << (SIGUSR1 - 1), ignored=0, pending=0), "status")
    ended = change(sleeping(1), state="Z")
    blocking = change(sleeping(2), blocked_signals=1 << (SIGUSR1 - 1))
    assert found(evidence(process(ended, blocking, signals=caught)))[1] == []


def test_interrupt_handler_of_python() -> None:
    assert found(facts(signals=catching(SIGINT), python=python()))[1] == []


@pytest.mark.parametrize(
    ("runtime", "kind"),
    [
        (python("my_handler"), "does-not-hold"),
        (UNKNOWN, "unknown"),
        (change(python(), value=change(python().value, interrupt_handler=UNKNOWN)), "unknown"),
    ],
)
def test_interrupt_handler_of_somebody_else(runtime: Any, kind: str) -> None:
    what = facts(signals=catching(SIGINT), python=runtime)
    assert only_gap(what, "no-waking-signal")[0] == kind


TIMER = known(("ID: 0",), "timers")


@pytest.mark.parametrize("number", [4, 5, SIGABRT, 7, 8, SIGSEGV, 31, SIGCANCEL, SIGSETXID])
def test_harmless_signal_that_a_timer_could_send(number: int) -> None:
    what = facts(signals=catching(number), timers=TIMER)
    kind, detail = only_gap(what, "no-waking-signal")
    assert kind == "does-not-hold" and "has a timer" in detail
    assert only_gap(facts(signals=catching(number), timers=UNKNOWN), "no-waking-signal") == (
        "unknown",
        f"whether a timer could send it {detail.split()[-1]}: the test hides it",
    )


@pytest.mark.parametrize("timers", [TIMER, UNKNOWN])
def test_timer_whose_signal_reaches_nobody(timers: Any) -> None:
    assert found(facts(timers=timers))[1] == []
    blocked = [change(sleeping(tid), blocked_signals=1 << (SIGABRT - 1)) for tid in (1, 2)]
    what = evidence(process(*blocked, signals=catching(SIGABRT), timers=timers))
    assert found(what)[1] == []
    interrupt = facts(signals=catching(SIGINT), python=python(), timers=timers)
    assert found(interrupt)[1] == []


@pytest.mark.parametrize("libc", ["glibc 2.36", "musl"])
@pytest.mark.parametrize("number", [SIGCANCEL, SIGSETXID])
def test_signals_of_the_c_library_itself(number: int, libc: str) -> None:
    process_catching = process(sleeping(1), signals=catching(number))
    assert found(evidence(process_catching, libc=libc))[1] == []
    for other in ("bionic", "unknown: static", ""):
        kind, _ = only_gap(evidence(process_catching, libc=other), "no-waking-signal")
        assert kind == "does-not-hold"


# --- the rest -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"tracer": known(7, "status")}, "no-tracer"),
        ({"shares_memory_with": known((7,), "kcmp")}, "memory-not-shared"),
        ({"descriptors": pipe_ends((5, "anon_inode:[io_uring]", "rw"))}, "no-io-uring"),
        ({"special_mappings": known(("anon_inode:[io_uring]",), "maps")}, "no-io-uring"),
        ({"own_descriptors": known((2,), "kcmp")}, "no-io-uring"),
        ({"signals": catching(SIGUSR1)}, "no-waking-signal"),
        ({"signals": catching(SIGABRT), "timers": TIMER}, "no-waking-signal"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after", "both"])
def test_reach_from_outside(given: dict[str, Any], missing: str, when: str) -> None:
    quiet, reached = (process(sleeping(1), **given) for given in ({}, given))
    before = quiet if when == "after" else reached
    after = quiet if when == "before" else reached
    assert only_gap(evidence(after, before=(before,)), missing)[0] == "does-not-hold"


@pytest.mark.parametrize(
    ("hidden", "missing"),
    [
        ("signals", "no-waking-signal"),
        ("tracer", "no-tracer"),
        ("shares_memory_with", "memory-not-shared"),
        ("descriptors", "no-io-uring"),
        ("special_mappings", "no-io-uring"),
        ("own_descriptors", "no-io-uring"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after", "both"])
def test_unknown_is_not_taken_for_absent(hidden: str, missing: str, when: str) -> None:
    told, not_told = process(sleeping(1)), process(sleeping(1), **{hidden: UNKNOWN})
    before = told if when == "after" else not_told
    after = told if when == "before" else not_told
    assert only_gap(evidence(after, before=(before,)), missing)[0] == "unknown"


@pytest.mark.parametrize(
    "irrelevant", ["timers", "libraries", "executable", "descriptors_in_flight", "cancelling"]
)
def test_facts_that_no_condition_rests_on(irrelevant: str) -> None:
    assert found(facts(**{irrelevant: UNKNOWN}))[1] == []
