"""Known causes that fit some of a report's cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from deadlock_matrix.diagnosis.recognition.causes import Cause, Remedy
from deadlock_matrix.diagnosis.text import one_line, printable
from deadlock_matrix.render.causes import CONFIRMED, settings_of, surest_first
from deadlock_matrix.render.html.document import Detail, KnownCause, Recognised
from deadlock_matrix.render.html.document import Remedy as RemedyView


def known_causes(
    details: Sequence[Detail], rows: int, causes: Sequence[Cause]
) -> tuple[tuple[Detail, ...], tuple[KnownCause, ...]]:
    """Return the causes that fit at least one detail, and the details, referring to these alone.

    ``rows`` is how many of the details belong to cells; controls hang on purpose, so their details
    do not make a cause one of the report's.
    """
    fitting = [
        number
        for number in range(len(causes))
        if any(each.cause == number for detail in details for each in detail.causes)
    ]
    numbers = {cause: number for number, cause in enumerate(fitting)}
    changed = tuple(_renumbered(detail, numbers) for detail in details)
    views = (_view(causes[each], _seen_in(details[:rows], each)) for each in fitting)
    return changed, tuple(views)


def _renumbered(detail: Detail, numbers: dict[int, int]) -> Detail:
    if not detail.causes:
        return detail
    own = tuple(msgspec.structs.replace(each, cause=numbers[each.cause]) for each in detail.causes)
    return msgspec.structs.replace(detail, causes=own)


def _seen_in(details: Sequence[Detail], cause: int) -> Iterator[int]:
    for number, detail in enumerate(details):
        if any(_is(each, cause) for each in detail.causes):
            yield number


def _is(recognised: Recognised, cause: int) -> bool:
    return recognised.cause == cause and recognised.certainty == "recognised"


def _view(cause: Cause, rows: Iterator[int]) -> KnownCause:
    return KnownCause(
        name=cause.name,
        title=one_line(cause.title),
        explanation=one_line(cause.explanation),
        remedies=tuple(map(_remedy, surest_first(cause))),
        references=tuple(map(one_line, cause.references)),
        rows=tuple(rows),
    )


def _remedy(remedy: Remedy) -> RemedyView:
    return RemedyView(
        advice=one_line(remedy.advice),
        helps=remedy.helps,
        confirmed=CONFIRMED[remedy.confirmed],
        settings=tuple(settings_of(remedy)),
        code=printable(remedy.code).strip("\n"),
    )
