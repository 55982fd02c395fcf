"""The first question of a reader: does it hang, where, and what cures it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from deadlock_matrix.diagnosis.grouping import grouped, interpreter_of
from deadlock_matrix.diagnosis.hanging import Answer, Hanging, Tried, answer
from deadlock_matrix.diagnosis.study.study import Study
from deadlock_matrix.diagnosis.text import count, listed, one_line
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.markup import clipped

TITLE = "Does it hang, where, and what cures it"
_GROUPS = 6
_NAMES = 8
_WIDEST = 120  # characters of a statement
_CURES = 3  # for this many, show what they set


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence, and the lines that belong to it."""

    sentence: str
    lines: tuple[str, ...] = ()


def told(report: Report, studies: Sequence[Study] = ()) -> list[Told]:
    """Say whether it hangs, in which groups of places, and what hangs nowhere.

    A report in which no cell ran says nothing.
    """
    found = answer(report, [trait for study in studies for trait in study.traits])
    if not found.ran:
        return []
    parts = [Told(sentence=_first(found, report.summary.complete))]
    parts += map(_group, found.groups[:_GROUPS])
    if len(found.groups) > _GROUPS:
        rest = sum(each.places for each in found.groups[_GROUPS:])
        parts.append(Told(sentence=f"and in {count(rest, 'more place')}, listed below"))
    if found.calm and found.hung:
        where = listed([f"{name} ({count(ran, 'cell')})" for name, ran in found.calm.items()])
        parts.append(Told(sentence=one_line(f"nothing hung in {where}")))
    return parts


def unavailable(report: Report) -> Iterator[str]:
    """Yield a line for each reason why cells could not be run: where, how many, and why.

    An interpreter on which no cell could run is named alone, without a count.
    """
    by_interpreter = grouped(report.cells, interpreter_of)
    reasons: dict[str, list[str]] = {}
    for name, results in by_interpreter.items():
        missing = [each for each in results if each.verdict is Verdict.UNAVAILABLE]
        for why, group in grouped(missing, lambda each: one_line(each.why)).items():
            whole = len(group) == len(results)
            reasons.setdefault(why, []).append(
                name if whole else f"{name} ({count(len(group), 'cell')})"
            )
    for why, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        yield one_line(f"{', '.join(names)}: {why}")


def never_ran(report: Report) -> frozenset[str]:
    """Return the interpreters on which every cell is unavailable."""
    return frozenset(
        name
        for name, results in grouped(report.cells, interpreter_of).items()
        if all(each.verdict is Verdict.UNAVAILABLE for each in results)
    )


def _first(found: Answer, complete: bool) -> str:
    ran = f"{count(found.ran, 'cell')} that {'was' if found.ran == 1 else 'were'} run"
    ran += "" if complete else " so far"
    if not found.hung:
        return f"no: none of the {ran} hung"
    if found.proved == found.hung:
        proved = "a proved deadlock" if found.hung == 1 else "all of them proved deadlocks"
    else:
        proved = f"{found.proved} of them proved"
    return f"yes: {found.hung} of the {ran} hung, {proved}"


def _group(group: Hanging) -> Told:
    traits = f", on {listed(group.traits)}" if group.traits else ""
    sentence = f"in {group.context}{traits}: {_names(group.entries)}"
    return Told(sentence=one_line(sentence), lines=tuple(map(one_line, _lines(group))))


def _lines(group: Hanging) -> Iterator[str]:
    if group.summary:
        yield f"{group.context}: {group.summary}"
    if len(group.statements) == 1:
        yield f"{group.entries[0]}: {clipped(group.statements[0], _WIDEST)}"
    spared = group.spared_interpreters
    yield f"interpreters: {_names(group.interpreters)}" + _but(spared)
    spared = group.spared_layouts
    if spared or len(group.layouts) > 1:
        yield f"layouts: {_names(group.layouts)}" + _but(spared)
    if not group.at_baseline:
        yield f"only under {_profiles_of(group)}"
    elif group.cured:
        yield from (f"cured by {line}" for line in _profiles(group.cured, group.places))
    else:
        yield "nothing that was tried cures it" if group.uncured else "no cure was tried"
    if group.at_baseline and group.uncured:
        yield f"not by {_names([each.profile for each in group.uncured])}"


def _but(spared: Sequence[str]) -> str:
    return f"; not: {_names(spared)}" if spared else ""


def _profiles_of(group: Hanging) -> str:
    ok = [each.profile for each in group.cured]
    rest = f"; it is ok under {_names(ok)}" if ok else ""
    return f"{_names(group.profiles)}{rest}"


def _profiles(tried: Sequence[Tried], places: int) -> Iterator[str]:
    """Yield a line for each profile, with what it sets; those for the most places come first."""
    for each in tried[:_CURES]:
        what = f" ({', '.join(each.settings)})" if each.settings else ""
        part = f", tried in {each.places} of {places} places" if each.places < places else ""
        yield f"{each.profile}{what}{part}"
    if len(tried) > _CURES:
        yield _names([each.profile for each in tried[_CURES:]])


def _names(names: Sequence[str]) -> str:
    if len(names) <= _NAMES:
        return listed(list(names))
    return f"{', '.join(names[:_NAMES])} and {len(names) - _NAMES} more"
