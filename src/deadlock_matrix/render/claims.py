"""Claims and what was measured of them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from deadlock_matrix.diagnosis.claims import CLAIMS, Answer, Outcome, examine
from deadlock_matrix.model.report import Report
from deadlock_matrix.render.plain import one_line

_STYLES = {Outcome.CONFIRMED: "green", Outcome.REFUTED: "red", Outcome.NOT_TESTABLE: "bright_black"}


def claim_lines(report: Report) -> Iterator[RenderableType]:
    """Each claim that could be tested, with its outcome on every interpreter; then the others.

    A claim that no interpreter could test is told in one line, with the reasons.
    """
    answers: dict[str, list[Answer]] = {}
    for answer in examine(report):
        answers.setdefault(answer.claim, []).append(answer)
    testable = {
        name: each
        for name, each in answers.items()
        if any(answer.outcome is not Outcome.NOT_TESTABLE for answer in each)
    }
    if not testable:
        return
    for claim in CLAIMS:
        if claim.name in testable:
            yield Text(one_line(claim.statement))
            yield from map(_line, _alike(testable[claim.name]))
    for claim in CLAIMS:
        if claim.name not in testable:
            yield Text(one_line(f"not testable here: {claim.statement}"), style="bright_black")
            reasons = dict.fromkeys(answer.sentence for answer in answers.get(claim.name, ()))
            yield Padding(Text(one_line("; ".join(reasons))), (0, 0, 0, 4))


def _alike(answers: list[Answer]) -> list[tuple[Outcome, str, list[str]]]:
    """Answers, of which those that say the same share a line."""
    groups: dict[tuple[Outcome, str], list[str]] = {}
    for answer in answers:
        groups.setdefault((answer.outcome, answer.sentence), []).append(answer.interpreter)
    return [(outcome, sentence, names) for (outcome, sentence), names in groups.items()]


def _line(group: tuple[Outcome, str, list[str]]) -> RenderableType:
    outcome, sentence, interpreters = group
    line = Text()
    line.append(outcome.value, style=_STYLES[outcome])
    line.append(" " + one_line(f"on {', '.join(interpreters)}: {sentence}"))
    return Padding(line, (0, 0, 0, 4))
