"""How often each point of the matrix hangs, if it was run more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from deadlock_matrix.diagnosis.endings import rate_of
from deadlock_matrix.diagnosis.grouping import SEVERITY
from deadlock_matrix.diagnosis.statistics import (
    CONFIDENCE,
    interval_of,
    upper_bound,
)
from deadlock_matrix.diagnosis.text import count
from deadlock_matrix.model.diagnosis import Interval, Rate
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict

TITLE = "How often"
_SHOWN = 20


class PointRate(msgspec.Struct, frozen=True, kw_only=True):
    """A point with all its runs; ``id`` is that of its first cell."""

    id: str
    verdicts: dict[Verdict, int]
    rate: Rate
    interval: Interval

    @property
    def steady(self) -> bool:
        """Whether every run came out ok."""
        return set(self.verdicts) == {Verdict.OK}


def point_rates(results: Iterable[CellResult]) -> tuple[PointRate, ...]:
    """Return each point that was run more than once, those that hang most often first."""
    points: dict[tuple[str, str, str, str, str], list[CellResult]] = {}
    for result in results:
        cell = result.cell
        names = (
            cell.interpreter.name, cell.profile.name, cell.layout.name,
            cell.entry.name, cell.context.name,
        )  # fmt: skip
        points.setdefault(names, []).append(result)
    found = []
    intervals: dict[tuple[int, int], Interval] = {}
    for names, group in points.items():
        counts = Counter(each.verdict for each in group)
        if len(group) < 2 or set(counts) == {Verdict.UNAVAILABLE}:
            continue
        rate = rate_of(group)
        key = rate.hangs, rate.runs
        if key not in intervals:
            intervals[key] = interval_of(rate)
        ordered = {verdict: counts[verdict] for verdict in SEVERITY if counts[verdict]}
        found.append(
            PointRate(id="/".join(names), verdicts=ordered, rate=rate, interval=intervals[key])
        )
    return tuple(sorted(found, key=lambda each: (-_share(each.rate), each.steady, each.id)))


def rate_lines(results: Iterable[CellResult], shown: int = _SHOWN) -> Iterator[str]:
    """Yield a line for each point that was not ok in every run, and one for all that were.

    Args:
        results: The results of a report.
        shown: How many points may have their own line.
    """
    rates = point_rates(results)
    odd = [each for each in rates if not each.steady]
    for each in odd[:shown]:
        others = [f"{verdict.value} {number}" for verdict, number in each.verdicts.items()]
        told = f" ({', '.join(others)})" if len(others) > 1 else ""
        yield f"{each.id}: {rate_text(each.rate, each.interval)}{told}"
    if len(odd) > shown:
        yield f"and {count(len(odd) - shown, 'point')} more that were not ok every time"
    steady = [each for each in rates if each.steady]
    if steady:
        least = min(each.rate.runs for each in steady)
        yield (
            f"{count(len(steady), 'point')} ok in every run, at least {least} runs each: if one "
            "hangs "
            f"at all, then in fewer than {_percent(upper_bound(least))} of runs "
            f"({CONFIDENCE:.0%} confidence)"
        )


def rate_text(rate: Rate, interval: Interval | None = None) -> str:
    """Return ``hung in 3 of 20 runs: the rate is between 3.2 % and 38 % (95 % confidence)``."""
    told = f"hung in {rate.hangs} of {count(rate.runs, 'run')}"
    if rate.runs < 2:
        return told
    found = interval or interval_of(rate)
    low, high = _percent(found.low), _percent(found.high)
    return f"{told}: the rate is between {low} and {high} ({found.confidence:.0%} confidence)"


def _share(rate: Rate) -> float:
    return rate.hangs / rate.runs if rate.runs else 0.0


def _percent(share: float) -> str:
    return f"{float(f'{100 * share:.2g}'):g} %"
