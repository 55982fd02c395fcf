"""Known causes that fit some of a report's cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from deadlock_matrix.diagnosis.causes import Cause, Confirmation, Remedy
from deadlock_matrix.render.html.document import Detail, KnownCause, Recognised
from deadlock_matrix.render.html.document import Remedy as RemedyView
from deadlock_matrix.render.plain import one_line, printable

_CONFIRMED = {
    Confirmation.HERE: "confirmed by this project",
    Confirmation.REPORTED: "reported",
    Confirmation.DERIVED: "derived, not tried",
}


def known_causes(
    details: Sequence[Detail], rows: int, causes: Sequence[Cause]
) -> tuple[tuple[Detail, ...], tuple[KnownCause, ...]]:
    """The causes that fit at least one detail, and the details, referring to these alone.

    ``rows`` is how many of the details belong to cells; those of controls, which hang on purpose,
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
    order = list(Confirmation)
    surest = sorted(cause.remedy, key=lambda each: (not each.helps, order.index(each.confirmed)))
    return KnownCause(
        name=cause.name,
        title=one_line(cause.title),
        explanation=one_line(cause.explanation),
        remedies=tuple(map(_remedy, surest)),
        references=tuple(map(one_line, cause.references)),
        rows=tuple(rows),
    )


def _remedy(remedy: Remedy) -> RemedyView:
    settings = [f"{name}={value}" for name, value in remedy.set.items()]
    settings += [f"unset {name}" for name in remedy.unset]
    settings += [f"{name}{specifier}" for name, specifier in remedy.versions.items()]
    settings += [f"layout {remedy.layout}"] * bool(remedy.layout)
    return RemedyView(
        advice=one_line(remedy.advice),
        helps=remedy.helps,
        confirmed=_CONFIRMED[remedy.confirmed],
        settings=tuple(map(one_line, settings)),
        code=printable(remedy.code).strip("\n"),
    )
