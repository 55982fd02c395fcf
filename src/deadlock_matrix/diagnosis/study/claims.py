"""What is said about hangs, put to the test: statements that can be false."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum

import msgspec

from deadlock_matrix.diagnosis.study.results import NotShown, Results
from deadlock_matrix.model.fact import Unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict


class Outcome(StrEnum):
    """What the measurements say about a claim, on one interpreter."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    NOT_TESTABLE = "not testable here"


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A statement, and the function that tells from results whether it holds.

    ``source`` is who says so. ``read`` returns whether it holds and one sentence with the figures;
    it raises `NotShown` if what was run does not show it.
    """

    name: str
    statement: str
    source: str
    read: Callable[[Results], tuple[bool, str]]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A claim on one interpreter; ``cells`` are the ids of those on which the answer rests."""

    claim: str
    interpreter: str
    outcome: Outcome
    sentence: str
    cells: tuple[str, ...]


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What the measurements say about a claim, on all interpreters for which they say the same."""

    outcome: Outcome
    sentence: str
    interpreters: tuple[str, ...]
    cells: tuple[str, ...]


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """A claim with its answers; ``tested`` says whether any interpreter could test it."""

    claim: Claim
    answers: tuple[Shared, ...]
    tested: bool


def put_to_the_test(report: Report, claims: Sequence[Claim], layout: str) -> tuple[Tested, ...]:
    """Return the claims that were tested, then the others; none if no claim was. See `examine`."""
    answers: dict[str, list[Answer]] = {}
    for answer in examine(report, claims, layout):
        answers.setdefault(answer.claim, []).append(answer)
    found = [
        Tested(
            claim=claim,
            answers=tuple(_shared(of_it := answers.get(claim.name, []))),
            tested=any(each.outcome is not Outcome.NOT_TESTABLE for each in of_it),
        )
        for claim in claims
    ]
    if not any(each.tested for each in found):
        return ()
    return tuple(sorted(found, key=lambda each: not each.tested))


def _shared(answers: Iterable[Answer]) -> Iterator[Shared]:
    groups: dict[tuple[Outcome, str], list[Answer]] = {}
    for answer in answers:
        groups.setdefault((answer.outcome, answer.sentence), []).append(answer)
    for (outcome, sentence), group in groups.items():
        yield Shared(
            outcome=outcome,
            sentence=sentence,
            interpreters=tuple(each.interpreter for each in group),
            cells=tuple(dict.fromkeys(cell for each in group for cell in each.cells)),
        )


def examine(report: Report, claims: Sequence[Claim], layout: str) -> tuple[Answer, ...]:
    """Test every claim on every interpreter on which something ran, in the order of the claims.

    Args:
        report: What was run.
        claims: What is claimed about it.
        layout: The layout that claims mean if they name none.
    """
    fingerprints = report.fingerprints
    nothing = Unknown(reason="the interpreter was not identified")
    alone = [
        Results(
            interpreter=name,
            fingerprint=fingerprints.get(name, nothing),
            results=tuple(results),
            layout=layout,
        )
        for name, results in _by_interpreter(report.cells).items()
    ]
    beside = [
        replace(each, others=tuple(other for other in alone if other is not each)) for each in alone
    ]
    return tuple(_answer(claim, each) for claim in claims for each in beside)


def _answer(claim: Claim, results: Results) -> Answer:
    looked_at = results.fresh()
    try:
        holds, sentence = claim.read(looked_at)
        outcome = Outcome.CONFIRMED if holds else Outcome.REFUTED
    except NotShown as reason:
        outcome, sentence = Outcome.NOT_TESTABLE, str(reason)
    return Answer(
        claim=claim.name,
        interpreter=results.interpreter,
        outcome=outcome,
        sentence=sentence,
        cells=tuple(dict.fromkeys(looked_at.used)),
    )


def _by_interpreter(results: Iterable[CellResult]) -> dict[str, list[CellResult]]:
    found: dict[str, list[CellResult]] = {}
    for result in results:
        found.setdefault(result.cell.interpreter.name, []).append(result)
    return {
        name: theirs
        for name, theirs in found.items()
        if any(result.verdict is not Verdict.UNAVAILABLE for result in theirs)
    }
