"""What a number of runs says: the guarantees, worked out exactly and seen in simulations."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from math import comb

import pytest

from deadlock_matrix.diagnosis.investigation.search import (
    ALWAYS_RUNS,
    DECIDING_RUNS,
    LONG_RUNS,
    SELDOM_RUNS,
)
from deadlock_matrix.diagnosis.statistics import (
    LEVEL,
    MOST_RUNS,
    chance_of_luck,
    compare,
    interval_of,
    is_cured,
    level_for,
    runs_needed,
    runs_to_see,
    upper_bound,
)
from deadlock_matrix.model.diagnosis import Interval, Rate

TRUE_RATES = [number / 100 for number in range(1, 101)]


def rate(hangs: int, runs: int) -> Rate:
    return Rate(hangs=hangs, runs=runs)


@cache
def interval(hangs: int, runs: int) -> Interval:
    return interval_of(rate(hangs, runs))


def binomial(runs: int, true: float) -> Iterator[tuple[int, float]]:
    """Every number of hangs, with its chance."""
    for hangs in range(runs + 1):
        yield hangs, comb(runs, hangs) * true**hangs * (1 - true) ** (runs - hangs)


def covers(found: Interval, true: float) -> bool:
    return found.low <= true <= found.high


@pytest.mark.parametrize("runs", [LONG_RUNS, ALWAYS_RUNS, SELDOM_RUNS])
def test_the_interval_covers_every_true_rate(runs: int) -> None:
    for true in TRUE_RATES:
        covered = sum(chance for hangs, chance in binomial(runs, true)
                      if covers(interval(hangs, runs), true))  # fmt: skip
        assert covered >= 0.95 - 1e-9, true


# How many runs decide, how many count if all of those hung, and how many if not.
PLANS = [
    (DECIDING_RUNS, ALWAYS_RUNS, SELDOM_RUNS),
    (DECIDING_RUNS, ALWAYS_RUNS, SELDOM_RUNS // 2),
    (0, LONG_RUNS, SELDOM_RUNS),
    (0, LONG_RUNS, SELDOM_RUNS // 2),
]


def measured(true: float, plan: tuple[int, int, int]) -> Iterator[tuple[int, int, float]]:
    """What `investigation.measure` can come to after a first run that hung, with its chance.

    If the runs that decide hang as well, few runs count; if one of those does not hang, and else
    at once, many others do.
    """
    decide, few, many = plan
    always = true ** (decide + few)
    yield few, few, always
    for hangs, chance in binomial(many, true):
        yield hangs, many, chance * (1 - always)


@pytest.mark.parametrize("plan", PLANS)
def test_the_interval_covers_although_the_number_of_runs_depends_on_what_was_seen(
    plan: tuple[int, int, int],
) -> None:
    for true in TRUE_RATES:
        covered = sum(chance for hangs, runs, chance in measured(true, plan)
                      if covers(interval(hangs, runs), true))  # fmt: skip
        assert covered >= 0.95 - 1e-9, true


def test_a_flaky_hang_of_30_percent_is_covered_in_95_of_100_repetitions() -> None:
    chance = random.Random(20260701)
    for _ in range(10):
        covered = 0
        for _ in range(100):
            hangs = sum(chance.random() < 0.3 for _ in range(SELDOM_RUNS))
            covered += covers(interval(hangs, SELDOM_RUNS), 0.3)
        assert covered >= 95


def test_an_interval_without_a_run_is_everything() -> None:
    assert interval_of(rate(0, 0)) == Interval(low=0.0, high=1.0, confidence=0.95)


def test_an_interval_of_what_always_hangs_ends_at_one() -> None:
    found = interval_of(rate(5, 5))
    assert found.high == 1.0
    assert found.low == pytest.approx(0.025 ** (1 / 5))


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("level", [LEVEL, LEVEL / 15])
def test_a_useless_remedy_is_called_a_cure_in_at_most_5_of_100_cases(
    level: float, plan: tuple[int, int, int]
) -> None:
    """Exactly, for every true rate and for every way in which the old rate is measured."""
    for true in TRUE_RATES:
        wrongly = sum(
            chance * (1 - true) ** runs_needed(rate(hangs, runs), level)
            for hangs, runs, chance in measured(true, plan)
            if hangs
        )
        assert wrongly <= level + 1e-9, true


def test_a_useless_remedy_is_seldom_called_a_cure_in_a_simulation() -> None:
    chance = random.Random(20260702)
    wrongly = 0
    for _ in range(1000):
        before = rate(sum(chance.random() < 0.3 for _ in range(10)), 10)
        if before.hangs:
            runs = runs_needed(before)
            after = rate(sum(chance.random() < 0.3 for _ in range(runs)), runs)
            wrongly += is_cured(before, after)
    assert wrongly <= 50


@pytest.mark.parametrize("before", [rate(5, 5), rate(3, 3), rate(6, 20), rate(1, 20), rate(1, 1)])
@pytest.mark.parametrize("level", [0.05, 0.004])
def test_runs_needed_is_the_smallest_number_that_cures(before: Rate, level: float) -> None:
    needed = runs_needed(before, level)
    assert is_cured(before, rate(0, needed), level)
    assert not is_cured(before, rate(0, needed - 1), level)


def test_runs_needed_by_hand() -> None:
    # 3 of 3 hung, 3 clean: one choice of 3 runs among 6 in 20 has all hangs before.
    assert chance_of_luck(rate(3, 3), 3) == pytest.approx(1 / 20)
    assert runs_needed(rate(3, 3)) == 3
    assert runs_needed(rate(5, 5)) == 2


def test_the_chance_of_luck_is_that_of_fishers_test() -> None:
    from scipy.stats import fisher_exact

    for hangs, runs, clean in [(6, 20, 11), (1, 4, 9), (5, 5, 2)]:
        table = [[0, clean], [hangs, runs - hangs]]
        expected = fisher_exact(table, alternative="less").pvalue
        assert chance_of_luck(rate(hangs, runs), clean) == pytest.approx(expected)


def test_nothing_is_cured_that_did_not_hang() -> None:
    assert not is_cured(rate(0, 20), rate(0, 1000))
    with pytest.raises(ValueError, match="nothing hung before"):
        runs_needed(rate(0, 20))


def test_one_hang_is_no_cure_however_many_runs() -> None:
    assert not is_cured(rate(20, 20), rate(1, 1000))


def test_a_level_nobody_can_reach_is_bounded() -> None:
    assert runs_needed(rate(1, 20), 1e-9) == MOST_RUNS


def test_the_level_is_divided_among_the_remedies() -> None:
    assert level_for(10) == pytest.approx(0.005)
    assert level_for(0) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("after", "expected"),
    [(rate(0, 20), -1), (rate(2, 20), -1), (rate(9, 20), 0), (rate(20, 20), 1), (rate(0, 0), 0)],
)
def test_more_seldom_or_more_often(after: Rate, expected: int) -> None:
    assert compare(rate(10, 20), after) == expected


@pytest.mark.parametrize("runs", [1, 10, 59])
def test_the_upper_bound_would_be_seen_in_19_of_20_cases(runs: int) -> None:
    assert (1 - upper_bound(runs)) ** runs == pytest.approx(0.05)


def test_without_a_run_there_is_no_bound() -> None:
    assert upper_bound(0) == 1.0


@pytest.mark.parametrize(
    ("seen", "expected"), [(rate(5, 5), 1), (rate(5, 10), 5), (rate(3, 10), 9)]
)
def test_runs_to_see_a_hang_again(seen: Rate, expected: int) -> None:
    assert runs_to_see(seen) == expected
    share = seen.hangs / seen.runs
    assert (1 - share) ** expected <= 0.05


def test_what_never_hung_cannot_be_seen_again() -> None:
    with pytest.raises(ValueError, match="nothing hung"):
        runs_to_see(rate(0, 5))
