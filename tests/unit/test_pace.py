"""How much of a processor looking closely may take."""

from __future__ import annotations

import pytest

from deadlock_matrix.run.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("deadlock_matrix.run.pace.time", clock)
    return clock


def test_in_the_long_run_the_share_is_kept(clock: Clock) -> None:
    pace = Pace(share=0.02, saved_s=0.2)
    spent = 0.0
    for _ in range(100_000):
        if pace.may_look():
            with pace:
                clock.now += 0.3
            spent += 0.3
        clock.now += 0.025
    assert 0.018 < spent / (clock.now - 100) < 0.022


def test_small_looks_are_free_at_first(clock: Clock) -> None:
    pace = Pace(share=0.02, saved_s=0.2)
    for _ in range(10):
        assert pace.may_look()
        with pace:
            clock.now += 0.015


def test_what_is_saved_has_a_limit(clock: Clock) -> None:
    pace = Pace(share=0.02, saved_s=0.2)
    clock.now += 1e6
    assert pace.may_look()
    with pace:
        clock.now += 0.3
    assert not pace.may_look()
    clock.now += 6
    assert pace.may_look()
