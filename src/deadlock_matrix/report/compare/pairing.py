"""Which interpreter and which cell of the new report is which of the old one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import msgspec

from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Host, Report
from deadlock_matrix.report.identity import identify
from deadlock_matrix.report.points import group


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter as one report shows it: what it is, where it ran, what its runs called it."""

    name: str
    facts: InterpreterFacts | None
    hosts: tuple[Host, ...]
    own_names: tuple[str, ...]

    @property
    def platforms(self) -> tuple[str, ...]:
        """System and machine of each host: ``Linux x86_64``."""
        return tuple(sorted({f"{host.system} {host.machine}" for host in self.hosts}))


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """One interpreter in both reports; ``None`` where a report does not have it."""

    before: Seen | None
    after: Seen | None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A cell with all its runs in both reports; ``id`` is that of the new report if it has it."""

    id: str
    before: tuple[CellResult, ...]
    after: tuple[CellResult, ...]
    hosts_before: tuple[Host, ...]
    hosts_after: tuple[Host, ...]


def pair_interpreters(before: Report, after: Report) -> tuple[Paired, ...]:
    """Match interpreters by name, else by what they are, else by the name in their own run.

    The last two need the same system and machine, and a single candidate on each side: a merged
    report may have given another name to an interpreter that the other report has, too.
    """
    old, new = list(_seen(before)), list(_seen(after))
    pairs: list[Paired] = []
    keys: tuple[Callable[[Seen], object], ...] = (
        lambda seen: seen.name,
        lambda seen: (seen.platforms, identify(seen.facts) if seen.facts else object()),
        lambda seen: (seen.platforms, seen.own_names),
    )
    for key in keys:
        matched = list(_match(old, new, key))
        pairs += [Paired(before=one, after=other) for one, other in matched]
        old = [seen for seen in old if all(seen is not one for one, _ in matched)]
        new = [seen for seen in new if all(seen is not other for _, other in matched)]
    pairs += [Paired(before=seen, after=None) for seen in old]
    pairs += [Paired(before=None, after=seen) for seen in new]
    return tuple(sorted(pairs, key=_name))


def pair_cells(before: Report, after: Report, pairs: Sequence[Paired]) -> tuple[Point, ...]:
    """Return all matrix cells of both reports by what they are in the new one, sorted by id."""
    renamed = {
        pair.before.name: pair.after.name
        for pair in pairs
        if pair.before is not None and pair.after is not None
    }
    hosts_before = {pair.before.name: pair.before.hosts for pair in pairs if pair.before}
    hosts_after = {pair.after.name: pair.after.hosts for pair in pairs if pair.after}
    old: dict[str, list[CellResult]] = {}
    for point, results in group(before.cells).items():
        name, slash, rest = point.partition("/")
        old[f"{renamed.get(name, name)}{slash}{rest}"] = results
    new = group(after.cells)
    return tuple(
        Point(
            id=point,
            before=tuple(old.get(point, ())),
            after=tuple(new.get(point, ())),
            hosts_before=hosts_before.get(_interpreter(old.get(point, ())), ()),
            hosts_after=hosts_after.get(_interpreter(new.get(point, ())), ()),
        )
        for point in sorted({*old, *new})
    )


def verdicts_of(report: Report, seen: Seen | None) -> dict[str, int]:
    """Count an interpreter's matrix cells by verdict."""
    if seen is None:
        return {}
    verdicts = (each.verdict for each in report.cells if each.cell.interpreter.name == seen.name)
    return {verdict.value: number for verdict, number in sorted(Counter(verdicts).items())}


def _seen(report: Report) -> Iterator[Seen]:
    facts = {each.name: each for each in report.interpreters}
    names = {each.cell.interpreter.name for each in report.cells} | set(facts)
    for name in sorted(names):
        own = {
            there
            for part in report.merged
            for there, here in part.interpreters.items()
            if here == name
        }
        hosts = [part.host for part in report.merged if name in part.interpreters.values()]
        yield Seen(
            name=name,
            facts=facts.get(name),
            hosts=tuple(dict.fromkeys(hosts)) or (report.host,),
            own_names=tuple(sorted(own)) or (name,),
        )


def _match(
    old: Sequence[Seen], new: Sequence[Seen], key: Callable[[Seen], object]
) -> Iterator[tuple[Seen, Seen]]:
    by_key: dict[object, tuple[list[Seen], list[Seen]]] = {}
    for side, each in enumerate((old, new)):
        for seen in each:
            by_key.setdefault(key(seen), ([], []))[side].append(seen)
    for ones, others in by_key.values():
        if len(ones) == len(others) == 1:
            yield ones[0], others[0]


def _name(pair: Paired) -> str:
    seen = pair.after or pair.before
    assert seen is not None
    return seen.name


def _interpreter(results: Sequence[CellResult]) -> str:
    return results[0].cell.interpreter.name if results else ""
