"""Claims, and what was measured about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from deadlock_matrix.diagnosis.study.claims import Outcome, Shared, Tested
from deadlock_matrix.diagnosis.text import one_line

_STYLES = {Outcome.CONFIRMED: "green", Outcome.REFUTED: "red", Outcome.NOT_TESTABLE: "bright_black"}


def claim_lines(claims: Iterable[Tested]) -> Iterator[RenderableType]:
    """Yield each claim that could be tested, with its outcomes by interpreter; then the others.

    A claim that no interpreter could test takes one line, with the reasons.
    """
    for each in claims:
        if each.tested:
            yield Text(one_line(each.claim.statement))
            yield from map(_line, each.answers)
            continue
        yield Text(one_line(f"not testable here: {each.claim.statement}"), style="bright_black")
        reasons = dict.fromkeys(answer.sentence for answer in each.answers)
        yield Padding(Text(one_line("; ".join(reasons))), (0, 0, 0, 4))


def _line(answer: Shared) -> RenderableType:
    line = Text()
    line.append(answer.outcome.value, style=_STYLES[answer.outcome])
    line.append(" " + one_line(f"on {', '.join(answer.interpreters)}: {answer.sentence}"))
    return Padding(line, (0, 0, 0, 4))
