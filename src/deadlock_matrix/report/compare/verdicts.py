"""Verdicts that are new, cured, changed, more frequent or less frequent than before.

Verdicts are ordered by how bad they are for whoever imports: something that does not return is
worse than something that fails, and whether a hang could be proved to be a deadlock changes nothing
for them. A verdict that was never seen before is new, however rare: the cell can come out that way,
and was never seen to. The exception is a cell whose every earlier run came out as badly or worse. A
verdict that was seen before is a change only if the rates differ by more than chance alone would
rarely cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.model.comparison import Change, ChangeKind, Limits
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.compare.pairing import Point
from deadlock_matrix.report.compare.proof_shape import shapes
from deadlock_matrix.report.compare.statistics import rate_grew
from deadlock_matrix.report.points import definition, tally

RANK: dict[Verdict, int] = {
    Verdict.OK: 0,
    Verdict.SLOW: 1,
    Verdict.ERROR: 2,
    Verdict.CRASH: 3,
    Verdict.HANG: 4,
    Verdict.DEADLOCK: 4,
}
"""How bad each is; verdicts that are missing here say nothing about the import."""

ROUNDING = 1e-9  # one in twenty is 0.05, not a little more
_LONGEST = 160  # characters of an error's message


def compare_verdicts(point: Point, limits: Limits) -> Iterator[Change]:
    """Yield how the verdicts of one cell changed."""
    before, after = told(point.before), told(point.after)
    if not point.before or not point.after:
        yield from _come_or_gone(point)
        return
    if not before or not after:
        yield from _availability(point, before, after)
        return
    worse = list(_worse(point, before, after, limits))
    yield from worse or _not_worse(point, before, after, limits)


def compare_definitions(point: Point) -> Iterator[Change]:
    """Yield a change if the same id means another experiment."""
    if not point.before or not point.after:
        return
    before, after = (definition(side[0].cell) for side in (point.before, point.after))
    for key, old in before.items():
        if old != after[key]:
            sentence = f"its {key} has changed: the two are not the same experiment"
            yield _change(ChangeKind.REDEFINED_CELL, point, sentence, before=old, after=after[key])


def told(results: Sequence[CellResult]) -> tuple[CellResult, ...]:
    """Return the results that say something about the import."""
    return tuple(result for result in results if result.verdict in RANK)


def _come_or_gone(point: Point) -> Iterator[Change]:
    if not point.after:
        sentence = f"no longer run; {tally(point.before)} before"
        yield _change(ChangeKind.MISSING_CELL, point, sentence)
    else:
        yield _change(ChangeKind.NEW_CELL, point, f"not run before; {tally(point.after)} now")


def _availability(
    point: Point, before: Sequence[CellResult], after: Sequence[CellResult]
) -> Iterator[Change]:
    if before:
        sentence = f"cannot be run any more: {point.after[0].why}"
        yield _change(ChangeKind.UNAVAILABLE_NOW, point, sentence)
    elif after:
        sentence = f"could not be run before; {tally(after)} now"
        yield _change(ChangeKind.AVAILABLE_NOW, point, sentence)


def _worse(
    point: Point, before: Sequence[CellResult], after: Sequence[CellResult], limits: Limits
) -> Iterator[Change]:
    ranks = sorted({RANK[result.verdict] for result in after} - {0}, reverse=True)
    for rank in ranks:
        old, new = _as_bad(before, rank), _as_bad(after, rank)
        verdicts = [each for each in Verdict if RANK.get(each) == rank and _has(after, each)]
        seen = any(RANK[result.verdict] == rank for result in before)
        if not old or (not seen and len(old) < len(before)):
            for verdict in verdicts:
                sentence = f"{tally(after)} now, {tally(before)} before: {_why(after, verdict)}"
                yield _change(ChangeKind(f"new-{verdict.value}"), point, sentence)
            continue
        if len(new) * len(before) <= len(old) * len(after):
            continue  # not more frequent
        chance = rate_grew((len(old), len(before)), (len(new), len(after)))
        if chance <= limits.alpha + ROUNDING:
            sentence = (
                f"{_rate(verdicts, new, after)} now, {len(old)} of {len(before)} before "
                f"(p = {chance:.2g})"
            )
            yield _change(ChangeKind.MORE_OFTEN, point, sentence)
            return


def _not_worse(
    point: Point, before: Sequence[CellResult], after: Sequence[CellResult], limits: Limits
) -> Iterator[Change]:
    """Yield changes where something failed, before or now or both, and it is not worse."""
    bad, still = _as_bad(before, 1), _as_bad(after, 1)
    if not bad:
        return
    verdict = _worst(bad)
    if len(bad) < len(before) or 0 < len(still) < len(after):
        yield from _flaky(point, verdict, limits, before, after)
    elif not still:
        sentence = f"{tally(before)} before, {tally(after)} now"
        yield _change(ChangeKind(f"cured-{verdict.value}"), point, sentence)
    elif _verdicts(before) != _verdicts(after):
        sentence = f"{tally(before)} before, {tally(after)} now: {_why(after, _worst(after))}"
        yield _change(ChangeKind.CHANGED_VERDICT, point, sentence)
    else:
        yield from _proofs(point, before, after)


def _flaky(
    point: Point,
    verdict: Verdict,
    limits: Limits,
    before: Sequence[CellResult],
    after: Sequence[CellResult],
) -> Iterator[Change]:
    """Handle a failure that came and went, before or now: is it rarer, or is that chance?"""
    bad, still = _as_bad(before, 1), _as_bad(after, 1)
    rates = (
        f"not ok in {len(bad)} of {len(before)} before ({tally(before)}), "
        f"in {len(still)} of {len(after)} now ({tally(after)})"
    )
    # "Rarer now" is the same test as "more frequent before".
    chance = rate_grew((len(still), len(after)), (len(bad), len(before)))
    if chance <= limits.alpha + ROUNDING:
        kind = ChangeKind.LESS_OFTEN if still else ChangeKind(f"cured-{verdict.value}")
        yield _change(kind, point, f"{rates} (p = {chance:.2g})")
    else:
        sentence = f"{rates}: these rates do not differ enough to decide"
        yield _change(ChangeKind.FLAKY, point, sentence)


def _proofs(
    point: Point, before: Sequence[CellResult], after: Sequence[CellResult]
) -> Iterator[Change]:
    old, new = shapes(before), shapes(after)
    if old and new and not set(old) & set(new):
        was, now = old[0].sentence, new[0].sentence
        sentence = f"still a deadlock, but in another way: {now}; before: {was}"
        yield _change(ChangeKind.CHANGED_PROOF, point, sentence, before=was, after=now)


def _change(
    kind: ChangeKind, point: Point, sentence: str, before: str | None = None, after: str = ""
) -> Change:
    if before is None:
        before, after = tally(point.before), tally(point.after)
    return Change(kind=kind, cell=point.id, before=before, after=after, sentence=sentence)


def _as_bad(results: Sequence[CellResult], rank: int) -> list[CellResult]:
    return [result for result in results if RANK[result.verdict] >= rank]


def _has(results: Sequence[CellResult], verdict: Verdict) -> bool:
    return any(result.verdict is verdict for result in results)


def _verdicts(results: Sequence[CellResult]) -> set[Verdict]:
    return {result.verdict for result in results}


def _worst(results: Sequence[CellResult]) -> Verdict:
    # A proved hang says more than an unproved one, so it comes first among the worst.
    return max(
        (result.verdict for result in results),
        key=lambda verdict: (RANK[verdict], verdict is Verdict.DEADLOCK),
    )


def _rate(verdicts: Sequence[Verdict], bad: Sequence[CellResult], of: Sequence[CellResult]) -> str:
    return f"{' or '.join(each.value for each in verdicts)} in {len(bad)} of {len(of)} runs"


def _why(results: Sequence[CellResult], verdict: Verdict) -> str:
    """Return what the proof says, without one process's numbers; else the result's own sentence."""
    found = shapes(results) if verdict is Verdict.DEADLOCK else ()
    if found and found[0].steps:
        return found[0].sentence
    why = " ".join(next(each.why for each in results if each.verdict is verdict).split())
    return why if len(why) <= _LONGEST else f"{why[:_LONGEST]}..."
