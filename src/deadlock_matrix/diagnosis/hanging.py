"""Where a run hangs and what cures it: places that have something in common, listed together.

A place is a point of the matrix without its profile. Nothing here knows what the entries do: the
traits that a caller passes read what else the cells of a group share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from deadlock_matrix.diagnosis.cures import BASELINE
from deadlock_matrix.diagnosis.endings import HANGS
from deadlock_matrix.model.cell import Profile
from deadlock_matrix.model.fact import Known, Unknown, unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict

Trait = Callable[[CellResult, Known[Fingerprint] | Unknown], str]
"""Something that a result may have in common with others, in words; empty if there is nothing."""

_NOT_IDENTIFIED = unknown("the interpreter was not identified")


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A profile, what it sets, and in how many of a group's places it was tried."""

    profile: str
    settings: tuple[str, ...]  # "OMP_NUM_THREADS=1"
    places: int


class Hanging(msgspec.Struct, frozen=True, kw_only=True):
    """Places that hang in one context, with the same traits.

    They hang under ``profiles``: the baseline, or else only those that cause the hang. ``cured``
    are profiles under which every place where they were tried came out ok, ``uncured`` those under
    which at least one hung. ``spared_*`` are the layouts and interpreters in which the same entries
    came out ok in the same context, under the same profile.
    """

    context: str
    summary: str  # of the context
    statements: tuple[str, ...]  # of the entries
    traits: tuple[str, ...]
    profiles: tuple[str, ...]
    entries: tuple[str, ...]
    layouts: tuple[str, ...]
    interpreters: tuple[str, ...]
    places: int
    cured: tuple[Tried, ...]
    uncured: tuple[Tried, ...]
    spared_layouts: tuple[str, ...]
    spared_interpreters: tuple[str, ...]

    @property
    def at_baseline(self) -> bool:
        """Whether it hangs without any variable being set."""
        return BASELINE in self.profiles


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of matrix cells that were run, of those that hung, and of those proved to hang.

    ``calm`` are the contexts in which no cell hung, with how many cells ran in each.
    """

    ran: int
    hung: int
    proved: int
    groups: tuple[Hanging, ...]  # those with the most places first, those at the baseline before
    calm: dict[str, int]


Place = tuple[str, str, str, str]  # interpreter, layout, entry, context
Runs = dict[Place, dict[str, list[CellResult]]]  # results of each profile


def answer(report: Report, traits: Sequence[Trait] = ()) -> Answer:
    """Return whether the cells of a report hang, where, and under which profiles they do not."""
    ran = [each for each in report.cells if each.verdict is not Verdict.UNAVAILABLE]
    runs = _runs(ran)
    hung = [each for each in ran if each.verdict in HANGS]
    stirred = {each.cell.context.name for each in hung}
    calm: dict[str, int] = {}
    for each in ran:
        if each.cell.context.name not in stirred:
            calm[each.cell.context.name] = calm.get(each.cell.context.name, 0) + 1
    groups = _grouped(report, runs, traits)
    found = [_hanging(key, places, runs) for key, places in groups.items()]
    return Answer(
        ran=len(ran),
        hung=len(hung),
        proved=sum(each.verdict is Verdict.DEADLOCK for each in hung),
        groups=tuple(sorted(found, key=lambda each: (not each.at_baseline, -each.places))),
        calm=calm,
    )


_Key = tuple[str, tuple[str, ...], bool]  # context, traits, whether at the baseline
_Places = dict[Place, set[str]]  # with the profiles under which it hangs


def _grouped(report: Report, runs: Runs, traits: Sequence[Trait]) -> dict[_Key, _Places]:
    facts = report.fingerprints
    groups: dict[_Key, _Places] = {}
    for place, by_profile in runs.items():
        hangs = {name: found for name, each in by_profile.items() if (found := _first_hung(each))}
        if BASELINE in hangs:
            hangs = {BASELINE: hangs[BASELINE]}
        for profile, result in hangs.items():
            fingerprint = facts.get(place[0], _NOT_IDENTIFIED)
            told = tuple(filter(None, (trait(result, fingerprint) for trait in traits)))
            key = place[3], told, profile == BASELINE
            groups.setdefault(key, {}).setdefault(place, set()).add(profile)
    return groups


def _hanging(key: _Key, places: _Places, runs: Runs) -> Hanging:
    profiles = {name for each in places.values() for name in each}
    cells = [next(iter(runs[place].values()))[0].cell for place in places]
    tried: dict[str, list[list[CellResult]]] = {}
    for place in places:
        for profile, results in runs[place].items():
            if profile not in profiles:
                tried.setdefault(profile, []).append(results)
    layouts, interpreters = _spared(places, runs)
    return Hanging(
        context=key[0],
        summary=cells[0].context.summary,
        statements=tuple(dict.fromkeys(cell.entry.statement for cell in cells)),
        traits=key[1],
        profiles=_sorted(profiles),
        entries=_sorted(place[2] for place in places),
        layouts=_sorted(place[1] for place in places),
        interpreters=_sorted(place[0] for place in places),
        places=len(places),
        cured=_tried(tried, lambda results: all(map(_is_ok, results)), every=True),
        uncured=_tried(tried, lambda results: _first_hung(results) is not None, every=False),
        spared_layouts=layouts,
        spared_interpreters=interpreters,
    )


def _tried(
    tried: dict[str, list[list[CellResult]]],
    holds: Callable[[list[CellResult]], bool],
    *,
    every: bool,
) -> tuple[Tried, ...]:
    chosen = all if every else any
    found = (
        Tried(profile=name, settings=_settings(places[0][0].cell.profile), places=len(places))
        for name, places in tried.items()
        if chosen(map(holds, places))
    )
    return tuple(sorted(found, key=lambda each: (-each.places, len(each.settings), each.profile)))


def _spared(places: _Places, runs: Runs) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return layouts and interpreters in which a place that hangs elsewhere does not hang."""
    layouts: set[str] = set()
    interpreters: set[str] = set()
    for interpreter, layout, entry, context in places:
        profiles = places[interpreter, layout, entry, context]
        for other, by_profile in runs.items():
            if other[2:] != (entry, context):
                continue
            results = [each for name in profiles for each in by_profile.get(name, ())]
            if not results or not all(map(_is_ok, results)):
                continue
            if other[0] == interpreter:
                layouts.add(other[1])
            elif other[1] == layout:
                interpreters.add(other[0])
    return (
        _sorted(layouts - {place[1] for place in places}),
        _sorted(interpreters - {place[0] for place in places}),
    )


def _runs(results: Iterable[CellResult]) -> Runs:
    runs: Runs = {}
    for result in results:
        cell = result.cell
        place = cell.interpreter.name, cell.layout.name, cell.entry.name, cell.context.name
        runs.setdefault(place, {}).setdefault(cell.profile.name, []).append(result)
    return runs


def _settings(profile: Profile) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in sorted(profile.set.items()))


def _first_hung(results: Iterable[CellResult]) -> CellResult | None:
    return next((each for each in results if each.verdict in HANGS), None)


def _is_ok(result: CellResult) -> bool:
    return result.verdict is Verdict.OK


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
