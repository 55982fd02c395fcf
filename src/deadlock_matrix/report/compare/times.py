"""Whether an entry takes longer than before, beyond the variation among runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

import msgspec

from deadlock_matrix.model.comparison import Change, ChangeKind, Limits
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Host
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.compare.pairing import Point
from deadlock_matrix.report.compare.statistics import runs_needed, shift_beyond, smallest_chance
from deadlock_matrix.report.compare.verdicts import ROUNDING


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that the entry took in each run that was ok, before and now."""

    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def comparable(self) -> bool:
        """Whether there is something to compare."""
        return bool(self.before and self.after)

    def too_few(self, limits: Limits) -> bool:
        """Return whether so many runs are too few to show a difference, however large."""
        smallest = smallest_chance(len(self.before), len(self.after))
        return smallest > limits.alpha + ROUNDING


def times_of(point: Point) -> Times:
    """Return the times of one cell's runs that finished ok."""
    return Times(before=_seconds(point.before), after=_seconds(point.after))


def compare_times(point: Point, limits: Limits) -> Iterator[Change]:
    """Yield a change if the cell is slower or faster, or seems so and cannot be decided."""
    times = times_of(point)
    if not times.comparable:
        return
    old, new = median(times.before), median(times.after)
    grew = _beyond(old, new, limits)
    if not grew and not _beyond(new, old, limits):
        return
    apart = _hosts_apart(point)
    if apart or times.too_few(limits):
        needed = runs_needed(limits.alpha)
        why = apart or f"a difference needs {needed} runs in each report at least"
        sentence = f"looks {_factor(old, new)}, which proves nothing: {why}"
        yield _change(ChangeKind.UNDECIDED_TIME, point, times, sentence)
        return
    low, high = (times.before, times.after) if grew else (times.after, times.before)
    chance = shift_beyond(low, high, limits.ratio, limits.difference_s)
    if chance <= limits.alpha + ROUNDING:
        kind = ChangeKind.SLOWER if grew else ChangeKind.FASTER
        sentence = f"{_factor(old, new)} (p = {chance:.2g})"
        yield _change(kind, point, times, sentence)


def _beyond(low: float, high: float, limits: Limits) -> bool:
    return high >= low * limits.ratio and high >= low + limits.difference_s


def _seconds(results: Sequence[CellResult]) -> tuple[float, ...]:
    return tuple(
        result.probe.entry_s
        for result in results
        if result.verdict is Verdict.OK and result.probe is not None
    )


def _hosts_apart(point: Point) -> str:
    """Return why times on these machines do not compare; empty if they do."""
    before, after = (_speeds(hosts) for hosts in (point.hosts_before, point.hosts_after))
    if before == after:
        return ""
    return f"it ran on {' and '.join(before)} before, on {' and '.join(after)} now"


def _speeds(hosts: Sequence[Host]) -> tuple[str, ...]:
    machines = {
        f"{host.system} {host.machine} with {host.cores} core{'s' if host.cores != 1 else ''}"
        for host in hosts
    }
    return tuple(sorted(machines))


def _factor(old: float, new: float) -> str:
    word, low, high = ("slower", old, new) if new > old else ("faster", new, old)
    return f"{_digits(high / low)} x {word}" if low else word


def _change(kind: ChangeKind, point: Point, times: Times, sentence: str) -> Change:
    return Change(
        kind=kind,
        cell=point.id,
        before=_summary(times.before),
        after=_summary(times.after),
        sentence=sentence,
    )


def _summary(seconds: Sequence[float]) -> str:
    middle = median(seconds)
    told = f"{_digits(middle)} s" if middle >= 1 else f"{_digits(middle * 1000)} ms"
    return f"{told} (median of {len(seconds)})"


def _digits(value: float) -> str:
    """Format with three digits: no clock is better than that."""
    return f"{float(f'{value:.3g}'):.15g}"
