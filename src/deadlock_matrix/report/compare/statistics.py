"""Tests that tell a change from chance, exact where they can be.

Each is applied to one cell; `Limits.alpha` is the chance of a false alarm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from deadlock_matrix.errors import MissingExtra


def rate_grew(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Return the chance that a rate as high as ``after``'s, or higher, comes from an unchanged one.

    Fisher's exact test, one-sided. Both are (how often, of how many runs).
    """
    stats = _scipy_stats()
    table = [[after[0], after[1] - after[0]], [before[0], before[1] - before[0]]]
    return float(stats.fisher_exact(table, alternative="greater").pvalue)


def shift_beyond(
    before: Sequence[float], after: Sequence[float], ratio: float, difference: float
) -> float:
    """Return the chance of values as large as ``after``'s if they grew by no more than the limits.

    The one-sided rank test of Mann and Whitney, of ``after`` against ``before`` enlarged by the
    ratio and the difference: a difference within the limits does not count.
    """
    stats = _scipy_stats()
    enlarged = [max(value * ratio, value + difference) for value in before]
    chance = float(stats.mannwhitneyu(after, enlarged, alternative="greater", method="auto").pvalue)
    return 1.0 if math.isnan(chance) else chance


def smallest_chance(before: int, after: int) -> float:
    """Return the smallest result of `shift_beyond` for so many runs: all of one side are above."""
    return 1 / math.comb(before + after, before)


def runs_needed(alpha: float) -> int:
    """Return how many runs each side needs at least before any shift can be shown."""
    runs = 1
    while smallest_chance(runs, runs) > alpha:
        runs += 1
    return runs


def _scipy_stats() -> Any:
    """Import scipy's statistics, which is slow to import, and not in the small install.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import scipy.stats as stats
    except ImportError as error:
        raise MissingExtra.of("scipy", "compare") from error
    return stats
