"""How many cells are handed out at once."""

from __future__ import annotations

from collections import Counter

from deadlock_matrix.grid.room import Room

A, B, C = "a", "b", "c"


def hand_out(room: Room, labels: list[str], enough: int = 100) -> Counter[str]:
    taken: Counter[str] = Counter()
    for label in labels * enough:
        taken[label] += room.take(label)
    return taken


def test_jobs_are_counted_once_for_a_worker_with_several_interpreters() -> None:
    taken = hand_out(Room([(frozenset({A, B}), 4)] * 2), [A, B])
    assert taken.total() == 8 + 2


def test_what_only_one_worker_has_leaves_the_others_busy() -> None:
    room = Room([(frozenset({A, B, C}), 2), (frozenset({C}), 2)])
    assert hand_out(room, [C, A, B]) == {A: 2, B: 1, C: 2}


def test_a_worker_that_can_do_little_is_filled_first() -> None:
    room = Room([(frozenset({A, B}), 1), (frozenset({A}), 1)])
    assert [room.take(A), room.take(B), room.take(A), room.take(A)] == [True, True, True, False]


def test_nobody_has_it() -> None:
    assert not Room([]).take(A)
    assert not Room([(frozenset({B}), 8)]).take(A)
