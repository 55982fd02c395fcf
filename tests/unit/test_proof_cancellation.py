"""Cancelled threads: what tells of them with which C library, and what is said of it."""

from __future__ import annotations

import pytest
from unit.proof_factory import catching, evidence, on_futex, process

from deadlock_matrix.model.verdict import Condition
from deadlock_matrix.proof.cancellation import not_cancelled
from deadlock_matrix.proof.world import index

SIGCANCEL_OF_GLIBC, SIGCANCEL_OF_MUSL = 32, 33
NEVER = "no thread was ever cancelled"


def condition(libc: str, *caught: int) -> Condition:
    signals = catching(*caught)
    return not_cancelled(index(evidence(process(on_futex(1), signals=signals), libc=libc)), (1, 1))


@pytest.mark.parametrize(
    ("libc", "number"),
    [
        ("glibc 2.34", SIGCANCEL_OF_GLIBC),
        ("glibc 2.41", SIGCANCEL_OF_GLIBC),
        ("musl", SIGCANCEL_OF_MUSL),
        ("musl 1.2.5", SIGCANCEL_OF_MUSL),
    ],
)
def test_signal_that_only_who_cancels_catches(libc: str, number: int) -> None:
    quiet = condition(libc)
    assert NEVER in quiet.detail and not quiet.assumes
    other = SIGCANCEL_OF_GLIBC + SIGCANCEL_OF_MUSL - number  # of a timer, of a change of user
    assert condition(libc, other) == quiet
    assert condition(libc, number).assumes


@pytest.mark.parametrize("libc", ["glibc 2.28", "glibc 2.33"])
def test_an_old_glibc_does_not_tell_and_nothing_is_said_of_it(libc: str) -> None:
    for caught in ((), (SIGCANCEL_OF_GLIBC,), (SIGCANCEL_OF_GLIBC, SIGCANCEL_OF_MUSL)):
        found = condition(libc, *caught)
        assert not found.assumes
        assert found.detail == "no library of the process names pthread_cancel"


@pytest.mark.parametrize("libc", ["unknown: static", ""])
def test_of_an_unknown_library_either_signal_is_a_doubt(libc: str) -> None:
    assert NEVER not in condition(libc).detail
    for number in (SIGCANCEL_OF_GLIBC, SIGCANCEL_OF_MUSL):
        assert condition(libc, number).assumes
