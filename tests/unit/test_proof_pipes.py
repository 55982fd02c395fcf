"""Waits on pipes: followed only as long as every other end lies inside the tree."""

from __future__ import annotations

from typing import Literal

import pytest
from unit.proof_factory import UNKNOWN, evidence, in_call, pipe_ends, polling, process, sleeping

from deadlock_matrix.model.evidence import Descriptor, PipeHolder, SystemCall, ThreadFacts
from deadlock_matrix.model.fact import Known, Unknown, known
from deadlock_matrix.model.verdict import Gap
from deadlock_matrix.proof.pipes import PipeWait, waited_for
from deadlock_matrix.proof.world import index

POLLIN, POLLPRI, POLLOUT, POLLERR = 1, 2, 4, 8
ENDS = pipe_ends(
    (3, "pipe:[1]", "r"),
    (4, "pipe:[2]", "w"),
    (5, "socket:[3]", "rw"),
    (6, "/dev/pts/0", "rw"),
    (7, "fifo:[4]", "r"),
    (8, "anon_inode:[eventfd]", "rw"),
)
OTHER_ENDS = pipe_ends((9, "pipe:[1]", "w"), (10, "pipe:[2]", "r"))

Holders = Known[tuple[PipeHolder, ...]] | Unknown


def held(target: str, access: Literal["r", "w", "rw"]) -> Holders:
    return known((PipeHolder(pid=99, target=target, access=access),), "/proc/*/fd")


def look(
    waiter: ThreadFacts,
    holders: Holders | None = None,
    others: Known[tuple[Descriptor, ...]] | Unknown = OTHER_ENDS,
    **facts: object,
) -> PipeWait | Gap:
    """What thread 1 waits for; a child has the other ends of its pipes."""
    facts = {"descriptors": ENDS, **facts}
    child = process(sleeping(20), parent=1, descriptors=others)
    found = index(evidence(process(waiter, **facts), child, holders=holders))
    assert isinstance(waiter.activity, Known) and isinstance(waiter.activity.value, SystemCall)
    return waited_for(found, (1, 1), waiter.activity.value)


def detail(answer: PipeWait | Gap, kind: str) -> str:
    assert isinstance(answer, Gap) and answer.kind == kind, answer
    return answer.detail


@pytest.mark.parametrize(
    ("waiter", "phrase"),
    [
        (in_call(1, "read", 3), "waits to read from pipe:[1]"),
        (in_call(1, "readv", 3), "waits to read from pipe:[1]"),
        (in_call(1, "read", 0xFFFF_FFFF_0000_0003), "waits to read from pipe:[1]"),
        (in_call(1, "write", 4), "waits to write to pipe:[2]"),
        (in_call(1, "writev", 4), "waits to write to pipe:[2]"),
        (polling(1, (3, POLLIN)), "waits to read from pipe:[1]"),
        (polling(1, (3, POLLIN), (4, POLLOUT)), "waits to read from pipe:[1] or pipe:[2]"),
        (polling(1, (3, 0)), "waits to read from pipe:[1]"),  # for the other end to be closed
        (polling(1, (3, POLLPRI)), "waits to read from pipe:[1]"),
    ],
)
def test_inside_the_tree(waiter: ThreadFacts, phrase: str) -> None:
    wait = look(waiter)
    assert isinstance(wait, PipeWait) and wait.phrase == phrase
    assert [condition.name for condition in wait.conditions] == ["no-outside-end"]


@pytest.mark.parametrize(
    ("descriptor", "target"),
    [(5, "socket:[3]"), (6, "/dev/pts/0"), (7, "fifo:[4]"), (8, "anon_inode:[eventfd]")],
)
@pytest.mark.parametrize("name", ["read", "write"])
def test_what_is_no_anonymous_pipe(name: str, descriptor: int, target: str) -> None:
    assert target in detail(look(in_call(1, name, descriptor)), "does-not-hold")


def test_one_of_many_polled_is_no_pipe() -> None:
    assert "socket" in detail(look(polling(1, (3, POLLIN), (5, POLLIN))), "does-not-hold")


def test_poll_on_nothing_waits_for_a_signal() -> None:
    assert "for a signal" in detail(look(polling(1)), "does-not-hold")
    assert "for a signal" in detail(look(polling(1, (3, POLLERR))), "does-not-hold")


@pytest.mark.parametrize("waiter", [in_call(1, "read", 42), polling(1, (0xFFFF_FFFF, POLLIN))])
def test_descriptor_that_is_not_listed(waiter: ThreadFacts) -> None:
    assert "what its descriptor" in detail(look(waiter), "unknown")


def test_facts_that_could_not_be_read() -> None:
    read = in_call(1, "read", 3)
    assert "its descriptors" in detail(look(read, descriptors=UNKNOWN), "unknown")
    assert "it polls" in detail(look(in_call(1, "poll")), "unknown")
    assert "who else has pipe:[1] open" in detail(look(read, UNKNOWN), "unknown")


@pytest.mark.parametrize(
    "others", [pipe_ends(), pipe_ends((9, "pipe:[1]", "r"), (10, "pipe:[2]", "w")), UNKNOWN]
)
def test_other_end_that_nobody_is_seen_to_have(others: Known[tuple[Descriptor, ...]]) -> None:
    for waiter in (in_call(1, "read", 3), in_call(1, "write", 4), polling(1, (3, POLLIN))):
        assert "nobody seen" in detail(look(waiter, others=others), "unknown")


@pytest.mark.parametrize("access", ["w", "rw"])
def test_writer_outside_the_tree(access: Literal["w", "rw"]) -> None:
    answer = look(in_call(1, "read", 3), held("pipe:[1]", access))
    assert "written to by process 99" in detail(answer, "does-not-hold")


@pytest.mark.parametrize("access", ["r", "rw"])
def test_reader_outside_the_tree(access: Literal["r", "rw"]) -> None:
    answer = look(in_call(1, "write", 4), held("pipe:[2]", access))
    assert "read by process 99" in detail(answer, "does-not-hold")


@pytest.mark.parametrize(
    ("target", "access"), [("pipe:[1]", "r"), ("pipe:[2]", "w"), ("pipe:[9]", "rw")]
)
def test_stranger_who_cannot_end_the_wait(target: str, access: Literal["r", "w", "rw"]) -> None:
    assert isinstance(look(in_call(1, "read", 3), held(target, access)), PipeWait)


def test_both_directions_of_one_polled_pipe() -> None:
    both = pipe_ends((3, "pipe:[1]", "rw"))
    waiter = polling(1, (3, POLLIN | POLLOUT))
    assert isinstance(look(waiter, descriptors=both), PipeWait)
    for access in ("r", "w"):
        assert isinstance(look(waiter, held("pipe:[1]", access), descriptors=both), Gap)


def test_select_like_poll() -> None:
    polled = polling(1, (3, POLLIN)).polled
    assert isinstance(look(in_call(1, "pselect6", polled=polled)), PipeWait)
