"""A wait for another process, and the alarm that may end that one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from unit.proof_factory import (
    UNKNOWN,
    evidence,
    gap_of,
    in_call,
    on_futex,
    pipe_ends,
    polling,
    process,
    wait_of,
)

from deadlock_matrix.model.fact import Known, known
from deadlock_matrix.model.process_facts import Descriptor, ProcessFacts, Signals
from deadlock_matrix.model.thread_facts import ThreadFacts
from deadlock_matrix.model.verdict import AssumptionKind
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.proof.world import World, index

SIGALRM = 1 << 13
CHILD_WAIT = in_call(1, "wait4", 20)
PIPE_WAIT = in_call(1, "read", 3)
WAITS = pytest.mark.parametrize("waiter", [CHILD_WAIT, PIPE_WAIT])


def family(waiter: ThreadFacts, *threads: ThreadFacts, **facts: Any) -> World:
    return index(evidence(*members(waiter, *threads, **facts)))


def members(waiter: ThreadFacts, *threads: ThreadFacts, **facts: Any) -> tuple[ProcessFacts, ...]:
    parent = process(waiter, descriptors=pipe_ends((3, "pipe:[1]", "r")))
    ends = pipe_ends((4, "pipe:[1]", "w"))
    child = process(*(threads or (on_futex(20),)), parent=1, descriptors=ends, **facts)
    return parent, child


@WAITS
def test_child_without_an_alarm(waiter: ThreadFacts) -> None:
    wait = wait_of(family(waiter), 1)
    assert not wait.assumptions
    (condition,) = [each for each in wait.conditions if each.name == "no-alarm"]
    assert condition.subject == "process-20" and condition.detail == "it has set no alarm"


@WAITS
def test_child_with_an_alarm(waiter: ThreadFacts) -> None:
    kind, detail = gap_of(family(waiter, alarms=known((5.5,), "getitimer")), 1)
    assert kind == "does-not-hold" and detail == "has set an alarm, due in 5.5 s"


@WAITS
def test_child_that_may_have_an_alarm(waiter: ThreadFacts) -> None:
    wait = wait_of(family(waiter, alarms=UNKNOWN), 1)
    (assumption,) = wait.assumptions
    assert assumption.kind is AssumptionKind.NO_ALARM and assumption.subject == "process-20"


@WAITS
def test_alarm_that_nobody_would_hear(waiter: ThreadFacts) -> None:
    ignoring = known(Signals(caught=0, ignored=SIGALRM, pending=0), "status")
    assert not wait_of(family(waiter, alarms=UNKNOWN, signals=ignoring), 1).assumptions
    deaf = on_futex(20, blocked_signals=SIGALRM)
    assert not wait_of(family(waiter, deaf, alarms=UNKNOWN), 1).assumptions


def test_alarm_that_one_thread_would_hear() -> None:
    deaf, hearing = on_futex(20, blocked_signals=SIGALRM), on_futex(21)
    assert wait_of(family(CHILD_WAIT, deaf, hearing, alarms=UNKNOWN), 1).assumptions


def test_own_alarm_ends_no_wait_for_others() -> None:
    """It would end the waiting process, which then does not go on either."""
    waiter, child = members(PIPE_WAIT)
    waiter = process(*waiter.threads, descriptors=waiter.descriptors, alarms=UNKNOWN)
    assert not wait_of(index(evidence(waiter, child)), 1).assumptions


@WAITS
@pytest.mark.parametrize("who", [0, 1])
def test_a_file_for_which_the_kernel_sends_signals(waiter: ThreadFacts, who: int) -> None:
    both = list(members(waiter))
    socket = Descriptor(number=9, target="socket:[1]", access="rw", signals="O_ASYNC")
    assert isinstance(both[who].descriptors, Known)
    open_files = known((*both[who].descriptors.value, socket), "fdinfo")
    both[who] = msgspec.structs.replace(both[who], descriptors=open_files)
    kind, detail = gap_of(index(evidence(*both)), 1)
    assert kind == "does-not-hold"
    assert detail == "has socket:[1] open, for which signals come by themselves (O_ASYNC)"


def test_proof_is_likely_and_says_so() -> None:
    judgement = judge(evidence(*members(CHILD_WAIT, alarms=UNKNOWN)))
    assert judgement.outcome == "likely"
    proof = judgement.proof
    assert proof is not None and not find_faults(proof)
    assert [each.kind for each in proof.assumptions] == [AssumptionKind.NO_ALARM]
    assert judge(evidence(*members(CHILD_WAIT))).outcome == "deadlock"


def test_proof_without_a_word_about_alarms_does_not_stand() -> None:

    proof = judge(evidence(*members(CHILD_WAIT))).proof
    assert proof is not None
    kept = tuple(each for each in proof.conditions if each.name != "no-alarm")
    faults = find_faults(msgspec.structs.replace(proof, conditions=kept))
    assert faults == ("process 20: nothing says no-alarm",)


def test_poll_in_memory_that_others_can_change() -> None:
    poll = in_call(1, "poll", 0x7F00_0000_0000, 1, polled=polling(1, (3, 1)).polled)
    parent = process(poll, on_futex(2), descriptors=pipe_ends((3, "pipe:[1]", "r")))
    child = process(on_futex(20), parent=1, descriptors=pipe_ends((4, "pipe:[1]", "w")))
    (assumption,) = wait_of(index(evidence(parent, child)), 1).assumptions
    assert assumption.kind is AssumptionKind.NOT_TOUCHED
