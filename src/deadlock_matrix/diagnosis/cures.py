"""Which profiles make a hang go away: cells that differ only in their profile, side by side."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from deadlock_matrix.diagnosis.endings import HANGS
from deadlock_matrix.model.cell import Role
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict

BASELINE = "baseline"


class Cures(msgspec.Struct, frozen=True, kw_only=True):
    """One place that hangs under the baseline, and what each other profile does to it.

    Profiles in ``cured`` came out ok in every run, those in ``uncured`` hung in at least one, those
    in ``otherwise`` did neither. ``runs`` counts the baseline's runs, ``hung`` those that hung.
    """

    interpreter: str
    layout: str
    entry: str
    context: str
    runs: int
    hung: int
    cured: tuple[str, ...]
    uncured: tuple[str, ...]
    otherwise: tuple[str, ...]

    @property
    def place(self) -> str:
        """``interpreter/layout/entry/context``."""
        return f"{self.interpreter}/{self.layout}/{self.entry}/{self.context}"

    @property
    def tried(self) -> tuple[tuple[str, ...], ...]:
        """What cured it, what did not, and what did something else; empty if nothing was tried."""
        told = self.cured, self.uncured, self.otherwise
        return told if any(told) else ()


def cures(results: Iterable[CellResult]) -> tuple[Cures, ...]:
    """Say which profiles cure each place that hangs under the baseline, and which do not.

    Places are sorted; one that ran only under the baseline is listed too, with nothing tried.
    """
    return tuple(
        _cures(place, by_profile)
        for place, by_profile in _by_place(results)
        if any(verdict in HANGS for verdict in by_profile.get(BASELINE, ()))
    )


def harms(results: Iterable[CellResult]) -> tuple[Cures, ...]:
    """Say which profiles make places hang that are ok under the baseline.

    They are the ``uncured`` of the result; ``cured`` came out ok as before.
    """
    found = (
        _cures(place, by_profile)
        for place, by_profile in _by_place(results)
        if set(by_profile.get(BASELINE, ())) == {Verdict.OK}
    )
    return tuple(each for each in found if each.uncured)


def _by_place(
    results: Iterable[CellResult],
) -> list[tuple[tuple[str, str, str, str], dict[str, list[Verdict]]]]:
    places: dict[tuple[str, str, str, str], dict[str, list[Verdict]]] = {}
    for result in results:
        cell = result.cell
        if cell.role is Role.MATRIX and result.verdict is not Verdict.UNAVAILABLE:
            place = cell.interpreter.name, cell.layout.name, cell.entry.name, cell.context.name
            by_profile = places.setdefault(place, {})
            by_profile.setdefault(cell.profile.name, []).append(result.verdict)
    return sorted(places.items())


def _cures(place: tuple[str, str, str, str], by_profile: dict[str, list[Verdict]]) -> Cures:
    interpreter, layout, entry, context = place
    others = {name: verdicts for name, verdicts in by_profile.items() if name != BASELINE}
    cured = [name for name, verdicts in others.items() if set(verdicts) == {Verdict.OK}]
    uncured = [name for name, verdicts in others.items() if set(verdicts) & set(HANGS)]
    baseline = by_profile[BASELINE]
    return Cures(
        interpreter=interpreter,
        layout=layout,
        entry=entry,
        context=context,
        runs=len(baseline),
        hung=sum(verdict in HANGS for verdict in baseline),
        cured=tuple(sorted(cured)),
        uncured=tuple(sorted(uncured)),
        otherwise=tuple(sorted(set(others) - set(cured) - set(uncured))),
    )
