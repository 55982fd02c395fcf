"""How much a number of runs says about a hang that does not come every time.

Two guarantees, both held by `tests/unit/test_statistics.py`:

- `interval_of` covers the true rate in at least 95 of 100 repetitions: Clopper and Pearson's exact
  interval never covers less, whatever the rate. It holds for a number of runs that was decided
  before the first of them, so a run that was made until something hung must not be counted.
- `is_cured` says "cured" of a remedy that does nothing in at most 5 of 100 cases. It is Fisher's
  exact test of "hangs no less often than before": before and after are both samples, so the test
  also accounts for what is unknown about the old rate. Comparing with the interval's lower end as
  if it were the old rate would be stricter than needed; with the observed rate, too lax.

If several remedies are tried, each may come out well by luck, so the 5 % are divided among them
(`level_for`), and hold for all of them together.
"""

from __future__ import annotations

from math import ceil, comb, log
from typing import Any

from deadlock_matrix.errors import MissingExtra
from deadlock_matrix.model.diagnosis import Interval, Rate

CONFIDENCE = 0.95
LEVEL = 1 - CONFIDENCE
MOST_RUNS = 10_000
_ROUNDING = 1e-12  # C(3, 3) / C(6, 3) is 0.05, not a little more


def interval_of(rate: Rate, confidence: float = CONFIDENCE) -> Interval:
    """Return the exact two-sided interval of the true rate; with no run, anything is possible."""
    if rate.runs == 0:
        return Interval(low=0.0, high=1.0, confidence=confidence)
    if rate.hangs in (0, rate.runs):  # both have a closed form, and scipy takes long to import
        tail = ((1.0 - confidence) / 2) ** (1 / rate.runs)
        low, high = (0.0, 1.0 - tail) if rate.hangs == 0 else (tail, 1.0)
        return Interval(low=low, high=high, confidence=confidence)
    betaincinv = _scipy("special").betaincinv  # scipy.stats would take a second to load
    hangs, clean, half = rate.hangs, rate.runs - rate.hangs, (1 - confidence) / 2
    low = float(betaincinv(hangs, clean + 1, half))
    high = float(betaincinv(hangs + 1, clean, 1 - half))
    return Interval(low=low, high=high, confidence=confidence)


def upper_bound(clean_runs: int, confidence: float = CONFIDENCE) -> float:
    """Return an upper bound of the true rate if none of ``clean_runs`` hung: 1 without a run."""
    return 1.0 if clean_runs == 0 else 1.0 - (1.0 - confidence) ** (1.0 / clean_runs)


def level_for(remedies: int) -> float:
    """Return the chance of a false cure that each of several remedies may have."""
    return LEVEL / max(1, remedies)


def chance_of_luck(before: Rate, clean_runs: int) -> float:
    """Return Fisher's one-sided p-value: that so many runs are clean although nothing changed.

    All choices of which runs hung, given how many of all did, are equally likely; the value is the
    share of those choices in which all hangs fall among the runs before.
    """
    return comb(before.runs, before.hangs) / comb(before.runs + clean_runs, before.hangs)


def runs_needed(before: Rate, level: float = LEVEL) -> int:
    """Return how many clean runs rule out that a remedy changes nothing; at most `MOST_RUNS`.

    Raises:
        ValueError: Nothing hung before, so no number of clean runs shows a cure.
    """
    if before.hangs == 0:
        raise ValueError("nothing hung before, so runs without a hang cannot show a cure")
    low, high = 0, 1
    while high < MOST_RUNS and chance_of_luck(before, high) > level + _ROUNDING:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if chance_of_luck(before, middle) > level + _ROUNDING:
            low = middle
        else:
            high = middle
    return min(high, MOST_RUNS)


def is_cured(before: Rate, after: Rate, level: float = LEVEL) -> bool:
    """Return whether a remedy cures: no run hung with it, and they are enough to rule out luck."""
    if before.hangs == 0 or after.hangs:
        return False
    return chance_of_luck(before, after.runs) <= level + _ROUNDING


def compare(before: Rate, after: Rate, level: float = LEVEL) -> int:
    """Return -1 if it hangs less often than before, 1 if more often, 0 if nothing shows either."""
    if not before.runs or not after.runs:
        return 0
    stats = _scipy("stats")
    table = [[after.hangs, after.runs - after.hangs], [before.hangs, before.runs - before.hangs]]
    if stats.fisher_exact(table, alternative="less").pvalue <= level:
        return -1
    return 1 if stats.fisher_exact(table, alternative="greater").pvalue <= level else 0


def runs_to_see(rate: Rate, confidence: float = CONFIDENCE) -> int:
    """Return how many runs show a hang at least once, at this confidence and the observed rate."""
    if rate.hangs == 0:
        raise ValueError("nothing hung, so no number of runs is sure to show a hang")
    if rate.hangs == rate.runs:
        return 1
    share = rate.hangs / rate.runs
    return ceil(log(1.0 - confidence) / log(1.0 - share))


def _scipy(part: str) -> Any:
    """Import a part of scipy, which is slow to import, and not in the small install.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        if part == "special":
            from scipy import special as found
        else:
            from scipy import stats as found
    except ImportError as error:
        raise MissingExtra.of("scipy", "diagnose") from error
    return found
