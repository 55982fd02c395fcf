"""Waits on pipes: followed only as long as every other end lies inside the tree."""

from __future__ import annotations

from typing import Literal

import pytest
from unit.proof_factory import (
    UNKNOWN,
    change,
    evidence,
    in_call,
    pipe_ends,
    polling,
    process,
    sleeping,
)

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown, known
from deadlock_matrix.model.process_facts import Descriptor, Peer, PipeHolder
from deadlock_matrix.model.thread_facts import SystemCall, ThreadFacts
from deadlock_matrix.model.verdict import AssumptionKind, Gap
from deadlock_matrix.proof.pipes import PipeWait, waited_for
from deadlock_matrix.proof.world import index

POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLRDHUP = 1, 2, 4, 8, 16, 0x2000
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
NOBODY: Holders = known((), "/proc/*/fd")


def held(target: str, access: Literal["r", "w", "rw"]) -> Holders:
    return known((PipeHolder(pid=99, target=target, access=access),), "/proc/*/fd")


def look(
    waiter: ThreadFacts,
    holders: Holders | None = None,
    others: Known[tuple[Descriptor, ...]] | Unknown = OTHER_ENDS,
    holders_before: Holders | None = None,
    **facts: object,
) -> PipeWait | Gap:
    """What thread 1 waits for; a child has the other ends of its pipes."""
    facts = {"descriptors": ENDS, **facts}
    child = process(sleeping(20), parent=1, descriptors=others)
    what = evidence(process(waiter, **facts), child, holders=holders, holders_before=holders_before)
    return ask(what, waiter)


def ask(what: Evidence, waiter: ThreadFacts) -> PipeWait | Gap:
    found = index(what)
    assert isinstance(waiter.activity, Known) and isinstance(waiter.activity.value, SystemCall)
    return waited_for(found, (1, 1), waiter.activity.value)


def detail(answer: PipeWait | Gap, kind: str) -> str:
    assert isinstance(answer, Gap) and answer.kind == kind, answer
    return answer.detail


@pytest.mark.parametrize(
    ("waiter", "phrase"),
    [
        (in_call(1, "read", 3), "waits to read from pipe:[1], whose write end process 20 has"),
        (in_call(1, "readv", 3), "waits to read from pipe:[1], whose write end process 20 has"),
        (
            in_call(1, "read", 0xFFFF_FFFF_0000_0003),
            "waits to read from pipe:[1], whose write end process 20 has",
        ),
        (in_call(1, "write", 4), "waits to write to pipe:[2], whose read end process 20 has"),
        (in_call(1, "writev", 4), "waits to write to pipe:[2], whose read end process 20 has"),
        (polling(1, (3, POLLIN)), "waits to read from pipe:[1]"),
        (polling(1, (3, POLLIN), (4, POLLOUT)), "waits to read from pipe:[1] or pipe:[2]"),
        (polling(1, (3, 0)), "waits to read from pipe:[1]"),  # for the other end to be closed
        (polling(1, (3, POLLPRI)), "waits to read from pipe:[1]"),
        (polling(1, (3, POLLERR)), "waits to read from pipe:[1]"),
        (polling(1, (4, 0)), "waits to read from pipe:[2]"),
    ],
)
def test_inside_the_tree(waiter: ThreadFacts, phrase: str) -> None:
    wait = look(waiter)
    assert isinstance(wait, PipeWait) and wait.phrase == phrase
    names = [condition.name for condition in wait.conditions]
    polls = isinstance(waiter.polled, Known)
    polled = ["array-unchanged"] if polls else []
    assert names == ["no-outside-end", *polled, "between-processes"]
    assert not any(condition.assumes for condition in wait.conditions)


def test_pipe_that_the_waiting_process_alone_has_may_be_fed_from_outside() -> None:
    both = pipe_ends((3, "pipe:[1]", "r"), (4, "pipe:[1]", "w"))
    wait = look(in_call(1, "read", 3), others=known((), "fd"), descriptors=both)
    assert isinstance(wait, PipeWait)
    (assumption,) = (each for condition in wait.conditions for each in condition.assumes)
    assert assumption.kind is AssumptionKind.NOT_TOUCHED
    assert assumption.detail.startswith("nobody opens pipe:[1] by /proc/1/fd")


@pytest.mark.parametrize(
    ("descriptor", "target"),
    [(5, "socket:[3]"), (6, "/dev/pts/0"), (7, "fifo:[4]"), (8, "anon_inode:[eventfd]")],
)
@pytest.mark.parametrize("name", ["read", "write"])
def test_what_is_no_anonymous_pipe(name: str, descriptor: int, target: str) -> None:
    assert target in detail(look(in_call(1, name, descriptor)), "does-not-hold")


def test_one_of_many_polled_is_no_pipe() -> None:
    assert "socket" in detail(look(polling(1, (3, POLLIN), (5, POLLIN))), "does-not-hold")


@pytest.mark.parametrize("events", [0, POLLPRI, POLLERR, POLLHUP, POLLRDHUP])
def test_polled_descriptor_counts_whatever_is_asked_of_it(events: int) -> None:
    """A hang-up and an error end the wait too."""
    assert "socket" in detail(look(polling(1, (3, POLLIN), (5, events))), "does-not-hold")
    assert "socket" in detail(look(polling(1, (5, events))), "does-not-hold")
    stranger = held("pipe:[2]", "r")
    assert "process 99" in detail(look(polling(1, (4, events)), stranger), "does-not-hold")


def test_poll_on_nothing_waits_for_a_signal() -> None:
    assert "for a signal" in detail(look(polling(1)), "does-not-hold")


@pytest.mark.parametrize("waiter", [in_call(1, "read", 42), polling(1, (0xFFFF_FFFF, POLLIN))])
def test_descriptor_that_is_not_listed(waiter: ThreadFacts) -> None:
    assert "what its descriptor" in detail(look(waiter), "unknown")


def test_facts_that_could_not_be_read() -> None:
    read = in_call(1, "read", 3)
    assert "its descriptors" in detail(look(read, descriptors=UNKNOWN), "unknown")
    assert "it polls" in detail(look(in_call(1, "poll")), "unknown")
    for holders in ({"holders": UNKNOWN}, {"holders_before": UNKNOWN}):
        assert "who else has pipe:[1] open" in detail(look(read, **holders), "unknown")


@pytest.mark.parametrize(
    "others", [pipe_ends(), pipe_ends((9, "pipe:[1]", "r"), (10, "pipe:[2]", "w")), UNKNOWN]
)
def test_other_end_that_nobody_is_seen_to_have(others: Known[tuple[Descriptor, ...]]) -> None:
    for waiter in (in_call(1, "read", 3), in_call(1, "write", 4), polling(1, (3, POLLIN))):
        assert "nobody seen" in detail(look(waiter, others=others), "unknown")


def test_partner_is_who_has_the_end_that_is_not_polled() -> None:
    writing = polling(1, (4, POLLIN))
    assert isinstance(look(writing, others=pipe_ends((10, "pipe:[2]", "r"))), PipeWait)
    assert "nobody seen" in detail(
        look(writing, others=pipe_ends((10, "pipe:[2]", "w"))), "unknown"
    )


@pytest.mark.parametrize("access", ["r", "w", "rw"])
@pytest.mark.parametrize(
    ("waiter", "target"),
    [(in_call(1, "read", 3), "pipe:[1]"), (in_call(1, "write", 4), "pipe:[2]")],
)
@pytest.mark.parametrize("when", ["holders", "holders_before"])
def test_stranger_who_has_the_pipe_open(
    waiter: ThreadFacts, target: str, access: Literal["r", "w", "rw"], when: str
) -> None:
    """With either end: through /proc one can be opened again as the other."""
    holders = {"holders": NOBODY, "holders_before": NOBODY, when: held(target, access)}
    answer = look(waiter, **holders)
    assert "is open in process 99, which is outside" in detail(answer, "does-not-hold")


def test_stranger_who_has_another_pipe_open() -> None:
    for target in ("pipe:[2]", "pipe:[9]"):
        stranger = held(target, "rw")
        assert isinstance(look(in_call(1, "read", 3), stranger), PipeWait)


@pytest.mark.parametrize("whose", [1, 20])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("number", "kind"), [(known(1, "fdinfo"), "does-not-hold"), (UNKNOWN, "unknown")]
)
def test_descriptor_on_its_way(
    whose: int, when: str, number: Known[int] | Unknown, kind: str
) -> None:
    """In any process of the tree, in either snapshot."""
    waiter = in_call(1, "read", 3)
    parent = process(waiter, descriptors=ENDS)
    child = process(sleeping(20), parent=1, descriptors=OTHER_ENDS)
    quiet = (parent, child)
    flying = tuple(
        change(one, descriptors_in_flight=number) if one.pid == whose else one for one in quiet
    )
    before, after = (flying, quiet) if when == "before" else (quiet, flying)
    answer = ask(evidence(*after, before=before), waiter)
    assert f"process {whose}" in detail(answer, kind)


def test_both_directions_of_one_polled_pipe() -> None:
    both = pipe_ends((3, "pipe:[1]", "rw"))
    waiter = polling(1, (3, POLLIN | POLLOUT))
    assert isinstance(look(waiter, descriptors=both), PipeWait)
    for access in ("r", "w"):
        assert isinstance(look(waiter, held("pipe:[1]", access), descriptors=both), Gap)


def test_select_like_poll() -> None:
    polled = polling(1, (3, POLLIN)).polled
    assert isinstance(look(in_call(1, "pselect6", polled=polled)), PipeWait)


# --- pairs of sockets ---------------------------------------------------------------------------

PAIR = pipe_ends((3, "socket:[1]", "rw"), (4, "socket:[2]", "rw"), (5, "socket:[3]", "rw"),
                 (6, "pipe:[1]", "r"))  # fmt: skip
PEERS = known((Peer(socket="socket:[1]", protocol="UNIX", other="socket:[2]", pair=True),
               Peer(socket="socket:[3]", protocol="TCP", other="127.0.0.1:80")), "net")  # fmt: skip


def in_epoll(*numbers: int) -> ThreadFacts:
    return in_call(1, "epoll_wait", 9, polled=polling(1, *((each, 1) for each in numbers)).polled)


def look_at_pair(
    waiter: ThreadFacts, holders: Holders | None = None, **facts: object
) -> PipeWait | Gap:
    facts = {"descriptors": PAIR, "peers": PEERS, **facts}
    return ask(evidence(process(waiter, **facts), holders=holders), waiter)


@pytest.mark.parametrize("waiter", [in_epoll(3), polling(1, (3, POLLIN))])
def test_own_pair_of_sockets(waiter: ThreadFacts) -> None:
    wait = look_at_pair(waiter)
    assert isinstance(wait, PipeWait)
    assert wait.phrase.endswith("for nothing but its own self-pipe (socket:[1] and socket:[2])")
    names = [condition.name for condition in wait.conditions]
    assert names == ["no-outside-end", "array-unchanged", "between-processes"]
    assert not any(condition.assumes for condition in wait.conditions)


def test_pair_of_sockets_beside_a_pipe() -> None:
    child = process(sleeping(20), parent=1, descriptors=OTHER_ENDS)
    waiter = in_epoll(3, 6)
    what = evidence(process(waiter, descriptors=PAIR, peers=PEERS), child)
    wait = ask(what, waiter)
    assert isinstance(wait, PipeWait) and "socket:[2]" in wait.node.label
    assert "pipe:[1]" in wait.node.label


def test_socket_that_is_no_pair_of_the_tree() -> None:
    assert "socket:[3]" in detail(look_at_pair(in_epoll(3, 5)), "does-not-hold")
    one_end = pipe_ends((3, "socket:[1]", "rw"))
    assert "nobody seen" in detail(look_at_pair(in_epoll(3), descriptors=one_end), "unknown")
    for peers in (
        UNKNOWN,
        known((), "net"),
        known((Peer(socket="socket:[1]", protocol="UNIX", other="socket:[2]"),), "net"),
    ):
        answer = look_at_pair(in_epoll(3), peers=peers)
        assert "socket:[1]" in detail(answer, "does-not-hold")


@pytest.mark.parametrize("target", ["socket:[1]", "socket:[2]"])
def test_stranger_who_has_an_end_of_the_pair(target: str) -> None:
    assert "process 99" in detail(look_at_pair(in_epoll(3), held(target, "rw")), "does-not-hold")
    assert "who else has" in detail(look_at_pair(in_epoll(3), UNKNOWN), "unknown")


def test_pair_that_is_read_may_have_a_time_limit_of_its_own() -> None:
    """Only a poll is followed: SO_RCVTIMEO cannot be seen."""
    assert "socket:[1]" in detail(look_at_pair(in_call(1, "read", 3)), "does-not-hold")


def test_peers_that_differ_between_the_snapshots() -> None:
    waiter = in_epoll(3)
    now = process(waiter, descriptors=PAIR, peers=PEERS)
    other = known(
        (Peer(socket="socket:[1]", protocol="UNIX", other="socket:[7]", pair=True),), "net"
    )
    what = evidence(now, before=(change(now, peers=other),))
    assert "socket:[1]" in detail(ask(what, waiter), "does-not-hold")


def test_of_many_pipes_a_few_are_named() -> None:
    ends = pipe_ends(*((number, f"pipe:[{number}]", "r") for number in range(10, 20)))
    others = pipe_ends(*((number, f"pipe:[{number}]", "w") for number in range(10, 20)))
    wait = look(polling(1, *((number, POLLIN) for number in range(10, 20))), others=others,
                descriptors=ends)  # fmt: skip
    assert isinstance(wait, PipeWait)
    assert wait.phrase == "waits to read from pipe:[10] or pipe:[11] or 8 other pipes"
    assert "pipe:[19]" in wait.node.label
