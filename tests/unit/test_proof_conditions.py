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

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import known
from deadlock_matrix.model.process_facts import Library, PythonHandler, Signals
from deadlock_matrix.model.signals import signal_name
from deadlock_matrix.proof.conditions import NAMES, check_process
from deadlock_matrix.proof.world import index

SIGINT, SIGABRT, SIGUSR1, SIGALRM = 2, 6, 10, 14
SIGCANCEL, SIGSETXID, SIGRTMIN = 32, 33, 34


def found(what: Evidence) -> tuple[list[str], list[tuple[str, str]]]:
    """Names of the conditions that hold by facts, and the gaps."""
    conditions = check_process(index(what), 1)
    assert conditions.hold.keys() | conditions.gaps.keys() == set(NAMES)
    holding = [name for name in NAMES if name in conditions.hold]
    by_facts = [name for name in holding if not conditions.hold[name].assumes]
    return by_facts, [(gap.kind, gap.detail) for gap in conditions.gaps.values()]


def only_gap(what: Evidence, *missing: str) -> tuple[str, str]:
    """The first gap; there must be one for each of these conditions, and no other."""
    names, gaps = found(what)
    assert set(NAMES) - set(names) == set(missing) and len(gaps) == len(missing), gaps
    return gaps[0]


def assumed(what: Evidence) -> dict[str, list[tuple[str, str]]]:
    """Kind and detail of what would have to be assumed, by the condition; nothing is missing."""
    conditions = check_process(index(what), 1)
    assert not conditions.gaps
    return {
        name: [(each.kind.value, each.detail) for each in condition.assumes]
        for name, condition in conditions.hold.items()
        if condition.assumes
    }


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


BOTH = {"no-waking-signal", "no-foreign-handler"}


def test_process_that_catches_nothing() -> None:
    assert assumed(facts()) == {}


@pytest.mark.parametrize("number", [1, 6, SIGUSR1, 11, SIGALRM, 15, 17, 31, 33, SIGRTMIN, 64])
def test_handler_of_a_program_without_python(number: int) -> None:
    """A fault's signal can be sent as a message, too, and glibc's 33 be caught by an emulator."""
    found = assumed(evidence(process(sleeping(1), signals=catching(number))))
    kind = "no-alarm" if number == SIGALRM else "foreign-handler"
    name = signal_name(number)
    assert found == {each: [(kind, f"no {name} comes (the handler is in C)")] for each in BOTH}


def test_signal_that_every_thread_blocks() -> None:
    caught = known(Signals(caught=1 << (SIGUSR1 - 1), ignored=0, pending=0), "status")
    blocked = [change(sleeping(tid), blocked_signals=1 << (SIGUSR1 - 1)) for tid in (1, 2)]
    assert assumed(evidence(process(*blocked, signals=caught))) == {}
    assert assumed(evidence(process(blocked[0], sleeping(2), signals=caught))).keys() == BOTH


def test_signal_that_only_a_thread_that_has_ended_lets_through() -> None:
    caught = known(Signals(caught=1 << (SIGUSR1 - 1), ignored=0, pending=0), "status")
    ended = change(sleeping(1), state="Z")
    blocking = change(sleeping(2), blocked_signals=1 << (SIGUSR1 - 1))
    assert assumed(evidence(process(ended, blocking, signals=caught))) == {}


def test_interrupt_handler_of_python() -> None:
    assert assumed(facts(signals=catching(SIGINT), python=python())) == {}


def test_another_interrupt_handler() -> None:
    """It runs in Python's main thread alone, so not in a wait that no signal interrupts."""
    found = assumed(facts(signals=catching(SIGINT), python=python("other: function")))
    assert found == {
        "no-waking-signal": [("no-signal", "no SIGINT comes (the handler is function)")]
    }


@pytest.mark.parametrize("handler", ["SIG_DFL", "SIG_IGN", "none"])
def test_interrupt_handler_that_python_does_not_know(handler: str) -> None:
    found = assumed(facts(signals=catching(SIGINT), python=python(handler)))
    assert found.keys() == BOTH


@pytest.mark.parametrize(
    "runtime", [UNKNOWN, change(python(), value=change(python().value, interrupt_handler=UNKNOWN))]
)
def test_interrupt_handler_that_is_not_known(runtime: Any) -> None:
    assert assumed(facts(signals=catching(SIGINT), python=runtime)).keys() == BOTH


STOP = PythonHandler(signal=15, kind="python", name="Server.stop", file="/srv/app.py", line=12)


def test_handler_in_python_is_named() -> None:
    found = assumed(facts(signals=catching(15), python=python(handlers=(STOP,))))
    assert found == {
        "no-waking-signal": [
            ("no-signal", "no SIGTERM comes (the handler is Server.stop, app.py:12)")
        ]
    }


def test_signals_with_one_handler_are_told_together() -> None:
    table = (STOP, change(STOP, signal=1), change(STOP, signal=2))
    found = assumed(facts(signals=catching(1, 2, 15), python=python("x", handlers=table)))
    ((_, detail),) = found["no-waking-signal"]
    assert detail.startswith("no SIGHUP, SIGINT or SIGTERM comes")


def test_many_handlers_are_told_in_one_clause() -> None:
    others = [
        PythonHandler(signal=number, kind="builtin", name=f"h{number}") for number in (1, 3, 10)
    ]
    runtime = python(handlers=(STOP, *others))
    ((_, detail),) = assumed(facts(signals=catching(1, 3, 10, 15), python=runtime))[
        "no-waking-signal"
    ]
    assert detail == (
        "no SIGHUP, SIGQUIT, SIGUSR1 or SIGTERM comes "
        "(the handlers: SIGHUP: h1; SIGQUIT: h3; SIGUSR1: h10; 1 more)"
    )


@pytest.mark.parametrize("kind", ["default", "ignored", "foreign"])
def test_handler_behind_python_s_back(kind: Any) -> None:
    table = (change(STOP, kind=kind, name="", file="", line=0),)
    found = assumed(facts(signals=catching(15), python=python(handlers=table)))
    assert found.keys() == BOTH and "not in Python's table" in found["no-waking-signal"][0][1]


def test_window_size_under_readline() -> None:
    readline = known((Library(path="/usr/lib/libreadline.so.8.2", start=0),), "maps")
    given = {"signals": catching(28), "python": python(handlers=())}
    ((kind, detail),) = assumed(facts(**given, libraries=readline))["no-waking-signal"]
    assert kind == "foreign-handler" and "no SIGWINCH comes" in detail and "readline" in detail
    assert "readline" not in str(assumed(facts(**given)))


def test_handlers_as_faulthandler_installs_them() -> None:
    runtime = python(handlers=())
    (told,) = assumed(facts(signals=catching(4, 6, 7, 8, 11), python=runtime))["no-waking-signal"]
    assert "faulthandler" in told[1]
    (alone,) = assumed(facts(signals=catching(6), python=runtime))["no-waking-signal"]
    assert "faulthandler" not in alone[1]


@pytest.mark.parametrize("number", [SIGCANCEL, SIGSETXID])
def test_signals_of_the_c_library_itself(number: int) -> None:
    for libc, expected in (("glibc 2.36", set()), ("musl", set()), ("bionic", BOTH), ("", BOTH)):
        catcher = process(sleeping(1), signals=catching(number), python=python(handlers=()))
        assert assumed(evidence(catcher, libc=libc)).keys() == expected


def test_signal_of_the_c_library_in_a_program_with_threads() -> None:
    assert assumed(facts(signals=catching(SIGSETXID))) == {}


def test_child_that_will_tell_of_its_end() -> None:
    reaping = process(sleeping(1), signals=catching(17))
    assert assumed(evidence(reaping)).keys() == BOTH
    kind, detail = only_gap_of_children(evidence(reaping, process(sleeping(9), parent=1)))
    assert kind == "does-not-hold" and "children that may end" in detail


def only_gap_of_children(what: Evidence) -> tuple[str, str]:
    (gap,) = found(what)[1]
    return gap


TIMER = known(("ID: 0",), "timers")


@pytest.mark.parametrize("caught", [(), (SIGINT,), (SIGABRT,)])
def test_timer_can_send_any_signal(caught: tuple[int, ...]) -> None:
    what = facts(signals=catching(*caught), python=python(handlers=()), timers=TIMER)
    ((kind, detail),) = found(what)[1]
    assert kind == "does-not-hold" and "has a timer" in detail


# --- the rest -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"tracer": known(7, "status")}, "no-tracer"),
        ({"shares_memory_with": known((7,), "kcmp")}, "memory-not-shared"),
        ({"descriptors": pipe_ends((5, "anon_inode:[io_uring]", "rw"))}, "no-io-uring"),
        ({"special_mappings": known(("anon_inode:[io_uring]",), "maps")}, "no-io-uring"),
        ({"own_descriptors": known((2,), "kcmp")}, "no-io-uring"),
        ({"timers": TIMER}, "no-timer"),
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
        ("timers", "no-timer"),
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


@pytest.mark.parametrize("when", ["before", "after", "both"])
def test_signals_that_are_not_known(when: str) -> None:
    told, not_told = process(sleeping(1)), process(sleeping(1), signals=UNKNOWN)
    before = told if when == "after" else not_told
    after = told if when == "before" else not_told
    assert only_gap(evidence(after, before=(before,)), *BOTH)[0] == "unknown"


@pytest.mark.parametrize("when", ["before", "after"])
def test_handler_of_one_snapshot_alone(when: str) -> None:
    """One that is used once is gone when it has run."""
    quiet, catcher = process(sleeping(1)), process(sleeping(1), signals=catching(SIGUSR1))
    before, after = (catcher, quiet) if when == "before" else (quiet, catcher)
    assert assumed(evidence(after, before=(before,))).keys() == BOTH


@pytest.mark.parametrize(
    "irrelevant", ["libraries", "executable", "descriptors_in_flight", "cancelling"]
)
def test_facts_that_no_condition_rests_on(irrelevant: str) -> None:
    assert found(facts(**{irrelevant: UNKNOWN}))[1] == []
