"""Interpreters that are not what they were: versions, packages and native libraries."""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.model.comparison import Change, ChangeKind
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.report.compare.pairing import Paired
from deadlock_matrix.report.identity import Difference, differences

_TOLD = 6  # differences in a sentence; before and after have all of them


def compare_interpreter(pair: Paired) -> Iterator[Change]:
    """Yield what differs in an interpreter that both reports have."""
    if pair.before is None or pair.after is None:
        return
    name = pair.after.name
    if pair.before.name != name:
        yield Change(
            kind=ChangeKind.RENAMED_INTERPRETER,
            cell=name,
            before=pair.before.name,
            after=name,
            sentence=f"was called {pair.before.name}",
        )
    found = list(differences(pair.before.facts, pair.after.facts))
    if pair.before.platforms != pair.after.platforms:
        places = (" and ".join(seen.platforms) for seen in (pair.before, pair.after))
        found.insert(0, Difference(what="platform", before=next(places), after=next(places)))
    if found:
        told = "; ".join(each.sentence for each in found[:_TOLD])
        more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        yield _changed(
            name,
            "; ".join(f"{each.what} {each.before}".rstrip() for each in found if each.before),
            "; ".join(f"{each.what} {each.after}".rstrip() for each in found if each.after),
            f"{told}{more}",
        )
    yield from _identified(name, pair.before.facts, pair.after.facts)


def _identified(
    name: str, before: InterpreterFacts | None, after: InterpreterFacts | None
) -> Iterator[Change]:
    if before is None or after is None:
        return
    was, is_ = isinstance(before.fingerprint, Known), isinstance(after.fingerprint, Known)
    if was != is_:
        words = ("identified", "not identified") if was else ("not identified", "identified")
        sentence = f"{words[0]} before, {words[1]} now: whether it changed is not known"
        yield _changed(name, *words, sentence)


def _changed(name: str, before: str, after: str, sentence: str) -> Change:
    return Change(
        kind=ChangeKind.CHANGED_INTERPRETER,
        cell=name,
        before=before,
        after=after,
        sentence=sentence,
    )
