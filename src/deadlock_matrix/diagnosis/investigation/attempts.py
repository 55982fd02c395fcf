"""Remedies while they are being tried: what was run of each, and what that shows so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from deadlock_matrix.diagnosis.endings import Ending, ending, rate_of
from deadlock_matrix.diagnosis.investigation.minimise import Minimiser, OutOfTime
from deadlock_matrix.diagnosis.investigation.remedies import (
    added_variables,
    judge,
    rank,
    remedied,
    with_variables,
)
from deadlock_matrix.diagnosis.statistics import compare, runs_needed
from deadlock_matrix.model.cell import Cell, Profile
from deadlock_matrix.model.diagnosis import (
    Effect,
    Minimised,
    Rate,
    Remedy,
    RemedyKind,
    Target,
    Trial,
)
from deadlock_matrix.model.observation import CellResult


class Bench(Protocol):
    """Runs cells, some at once, and knows the time."""

    @property
    def jobs(self) -> int:
        """How many it runs at once."""

    def run(self, cells: Sequence[Cell]) -> Sequence[CellResult]:
        """Run all of them; return results in their order."""

    def left_s(self) -> float:
        """Return seconds left of the budget."""

    def tell(self, text: str) -> None:
        """Report progress to whoever waits."""


class Measured(NamedTuple):
    """How often a hang comes; ``cell`` is what was run, with a suitable deadline."""

    cell: Cell
    rate: Rate
    hung: CellResult


class Smaller(NamedTuple):
    """The smallest part of a remedy that cures, and what was left out."""

    trial: Trial
    variables: Minimised


class Attempts:
    """The remedies that were tried, with all their runs."""

    def __init__(self, measured: Measured, target: Target, bench: Bench, level: float) -> None:
        self._measured = measured
        self._target = target
        self._bench = bench
        self._level = level
        self._remedies: list[Remedy] = []
        self._results: dict[str, list[CellResult]] = {}
        self._weighed: dict[str, Effect] = {}
        self.needed = runs_needed(measured.rate, level)

    def once(self, remedies: Sequence[Remedy]) -> None:
        """Run each once; confirm the first that comes out clean before time runs out."""
        self._remedies += remedies
        for start in range(0, len(remedies), self._bench.jobs):
            batch = remedies[start : start + self._bench.jobs]
            if self._bench.left_s() <= 0:
                return
            self._bench.tell("trying " + ", ".join(remedy.name for remedy in batch))
            results = self._run(batch)
            for remedy, result in zip(batch, results, strict=True):
                self._results.setdefault(remedy.name, []).append(result)
            self._confirm_first(batch)

    def confirm(self, remedy: Remedy) -> bool:
        """Run it until it hangs, or has been clean as often as needed; return whether it cures."""
        while (trial := self.trial(remedy)).effect is Effect.CLEAN:
            if self._bench.left_s() <= 0:
                return False
            missing = min(self._bench.jobs, self.needed - trial.rate.runs)
            self._bench.tell(
                f"confirming {remedy.name}: {trial.rate.runs} of {self.needed} runs clean"
            )
            self._results[remedy.name] += self._run([remedy] * missing)
        return trial.effect is Effect.CURES

    def leave(self, remedies: Sequence[Remedy]) -> None:
        """Note what is not tried."""
        self._remedies += remedies

    def _confirm_first(self, remedies: Sequence[Remedy]) -> None:
        """Unless there is a cure already, look for one among remedies that came out clean."""
        if not any(trial.effect is Effect.CURES for trial in self.ranked()):
            for trial in rank(map(self.trial, remedies), self._target.profile):
                if self.confirm(trial.remedy):
                    return

    def cures(self, remedy: Remedy) -> bool:
        """Return whether a remedy cures, which need not be a candidate.

        Raises:
            OutOfTime: There is no time left to find out.
        """
        if self._bench.left_s() <= 0:
            raise OutOfTime
        if remedy.name not in self._results:
            self._results[remedy.name] = self._run([remedy])
        cured = self.confirm(remedy)
        if not cured and self.trial(remedy).effect is Effect.CLEAN:
            raise OutOfTime
        return cured

    def weigh(self) -> None:
        """Run anew what has hung: does it hang less, or more, often than without the remedy?"""
        runs = self._measured.rate.runs
        for remedy in self._remedies:
            if self.trial(remedy).effect is not Effect.NOTHING or self._bench.left_s() <= 0:
                continue
            self._bench.tell(
                f"{remedy.name}: {runs} runs, to see whether it changes how often it hangs"
            )
            fresh = self._run([remedy] * runs)
            change = compare(self._measured.rate, rate_of(fresh), self._level)
            if change:
                self._weighed[remedy.name] = Effect.HELPS if change < 0 else Effect.WORSE
            self._results[remedy.name] += fresh

    def trial(self, remedy: Remedy) -> Trial:
        """Return what is known about one so far."""
        results = self._results.get(remedy.name, [])
        measured = self._measured
        trial = judge(remedy, results, measured.hung, measured.rate, self.needed, self._level)
        if remedy.name in self._weighed:
            return replace(trial, effect=self._weighed[remedy.name])
        return trial

    def clean(self) -> tuple[CellResult, ...]:
        """Return all runs that ended well."""
        results = [each for results in self._results.values() for each in results]
        return tuple(each for each in results if ending(each) is Ending.CLEAN)

    def ranked(self) -> tuple[Trial, ...]:
        """Return the candidates, best first."""
        return rank(map(self.trial, self._remedies), self._target.profile)

    def _run(self, remedies: Sequence[Remedy]) -> list[CellResult]:
        cell, full_s = self._measured.cell, self._target.deadline_s
        results = list(self._bench.run([remedied(cell, remedy) for remedy in remedies]))
        for at, result in enumerate(results):
            # The deadline suits the hang; a run that gets past the hang may need longer.
            if ending(result) is Ending.MOVING and cell.deadline_s < full_s:
                (results[at],) = self._bench.run([replace(result.cell, deadline_s=full_s)])
        return results


def fewer_variables(target: Target, attempts: Attempts, bench: Bench) -> Smaller | None:
    """Leave variables out of the remedy that sets the most, of those that came out clean."""
    base = target.profile
    trials = [
        trial
        for trial in attempts.ranked()
        if trial.effect in (Effect.CURES, Effect.CLEAN) and added_variables(trial.remedy, base)
    ]
    if not trials:
        return None
    tried = {_variables(each.remedy, base): each.remedy for each in trials}
    largest = tried[max(tried, key=len)]

    def of(kept: tuple[str, ...]) -> Remedy:
        smaller = with_variables(largest, base, kept)
        return tried.setdefault(_variables(smaller, base), smaller)

    def still_cures(kept: tuple[str, ...]) -> bool:
        if not kept:
            return False  # without any of them it hangs: that was measured
        bench.tell(f"{largest.name} with {', '.join(kept)} alone")
        return attempts.cures(of(kept))

    cures = [_variables(each.remedy, base) for each in trials if each.effect is Effect.CURES]
    inside = [each for each in cures if each <= _variables(largest, base)]
    if not inside and not attempts.confirm(largest):
        return None
    # Another remedy may already have shown that a part of it is enough.
    start = min(inside, key=len, default=_variables(largest, base))
    names = tuple(name for name in added_variables(largest, base) if name in dict(start))
    minimised = replace(
        minimised_by(Minimiser(names, still_cures), largest.name),
        out_of=len(added_variables(largest, base)),
    )
    return Smaller(attempts.trial(of(minimised.elements)), minimised)


def _variables(remedy: Remedy, base: Profile) -> frozenset[tuple[str, str]]:
    return frozenset(added_variables(remedy, base).items())


def is_less(smaller: Trial, cure: Trial, base: Profile) -> bool:
    """Return whether a cure by variables asks less of the user than another cure does."""
    if smaller.effect is not Effect.CURES:
        return False
    if cure.remedy.kind is not RemedyKind.VARIABLES:
        return True
    return len(added_variables(smaller.remedy, base)) < len(added_variables(cure.remedy, base))


def minimised_by(minimiser: Minimiser[str], of: str) -> Minimised:
    """Let a minimiser run, and say what it found; ``of`` names what it began with."""
    everything = minimiser.smallest
    elements = minimiser.run()
    return Minimised(
        of=of,
        elements=elements,
        out_of=len(everything),
        probes=minimiser.probes,
        whole=minimiser.whole,
    )
