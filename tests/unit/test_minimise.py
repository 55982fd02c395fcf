"""Delta debugging: what is left is enough, and nothing of it can be left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deadlock_matrix.diagnosis.investigation.minimise import Minimiser, OutOfTime

Test = Callable[[tuple[int, ...]], bool]


def one_minimal(kept: tuple[int, ...], test: Test) -> bool:
    return not any(test(tuple(x for x in kept if x != leave)) for leave in kept)


@given(st.integers(1, 24), st.data())
def test_all_that_is_needed_is_kept_and_nothing_else(size: int, data: st.DataObject) -> None:
    needed = data.draw(st.sets(st.integers(0, size - 1)))

    def test(kept: tuple[int, ...]) -> bool:
        return needed <= set(kept)

    minimiser = Minimiser(range(size), test)
    assert minimiser.run() == tuple(sorted(needed))
    assert minimiser.whole


@given(st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=5))
def test_of_several_ways_one_is_found_of_which_nothing_can_go(ways: list[set[int]]) -> None:
    def test(kept: tuple[int, ...]) -> bool:
        return any(way <= set(kept) for way in ways)

    kept = Minimiser(range(10), test).run()
    assert test(kept)
    assert one_minimal(kept, test)


@given(st.integers(0, 2**32))
def test_a_test_that_is_not_monotone_still_gives_a_one_minimal_part(seed: int) -> None:
    def test(kept: tuple[int, ...]) -> bool:
        return len(kept) == 8 or hash((seed, kept)) % 3 == 0

    kept = Minimiser(range(8), test).run()
    assert test(kept)
    assert one_minimal(kept, test)


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_nothing_is_asked_twice_nor_about_everything(size: int) -> None:
    asked: list[tuple[int, ...]] = []

    def test(kept: tuple[int, ...]) -> bool:
        asked.append(kept)
        return 0 in kept and size - 1 in kept

    minimiser = Minimiser(range(size), test)
    minimiser.run()
    assert len(asked) == len(set(asked)) == minimiser.probes
    assert tuple(range(size)) not in asked


def test_the_order_is_kept() -> None:
    assert Minimiser("edcba", lambda kept: {"e", "a"} <= set(kept)).run() == ("e", "a")


def test_equal_elements_are_told_apart() -> None:
    assert Minimiser("aab", lambda kept: kept.count("a") >= 2).run() == ("a", "a")


def test_no_element_at_all() -> None:
    minimiser = Minimiser((), lambda kept: pytest.fail("asked"))
    assert minimiser.run() == ()
    assert minimiser.whole


def test_out_of_time_gives_the_smallest_so_far() -> None:
    asked = 0

    def test(kept: tuple[int, ...]) -> bool:
        nonlocal asked
        asked += 1
        if asked > 2:
            raise OutOfTime
        return 0 in kept

    minimiser = Minimiser(range(16), test)
    assert minimiser.run() == (0, 1, 2, 3)
    assert not minimiser.whole
