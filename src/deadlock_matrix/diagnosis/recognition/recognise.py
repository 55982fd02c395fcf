"""Recognise known causes in what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.recognition.gathering import of_inspection, of_result
from deadlock_matrix.diagnosis.recognition.match import Absent, Look, Seen, Unlooked
from deadlock_matrix.diagnosis.recognition.matchers import look_for
from deadlock_matrix.diagnosis.recognition.signs import AnySign
from deadlock_matrix.diagnosis.recognition.traces import Traces
from deadlock_matrix.model.fact import Known, Unknown, unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict

Certainty = Literal["recognised", "possible"]

NO_FINGERPRINT = unknown("the interpreter has no fingerprint here")


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One sign in words, and where it was seen, or why nobody could look."""

    what: str
    detail: str


class Recognition(msgspec.Struct, frozen=True, kw_only=True):
    """A cause that fits.

    ``recognised``: every sign that it needs was seen. ``possible``: some were, none is missing, and
    nobody could look for those in ``unknown``.
    """

    cause: Cause
    certainty: Certainty
    seen: tuple[Sighting, ...]
    unknown: tuple[Sighting, ...]


def recognise(
    result: CellResult,
    fingerprint: Known[Fingerprint] | Unknown,
    causes: Sequence[Cause],
) -> tuple[Recognition, ...]:
    """Return the known causes that fit a cell's result; none if it was ok or was not run.

    Returns:
        Recognised ones first, then possible ones, each in the order of ``causes``.
    """
    if result.verdict in (Verdict.OK, Verdict.UNAVAILABLE):
        return ()
    return recognise_in(of_result(result, fingerprint), causes)


def recognise_inspected(
    inspection: Inspection,
    causes: Sequence[Cause],
    fingerprint: Known[Fingerprint] | Unknown = NO_FINGERPRINT,
) -> tuple[Recognition, ...]:
    """Return the known causes that fit an inspected process; see `recognise`."""
    return recognise_in(of_inspection(inspection, fingerprint), causes)


def recognise_in(traces: Traces, causes: Iterable[Cause]) -> tuple[Recognition, ...]:
    """Return the known causes that fit some traces; see `recognise`."""
    found = [each for cause in causes if (each := _compare(cause, traces)) is not None]
    return tuple(sorted(found, key=lambda each: each.certainty == "possible"))


def _compare(cause: Cause, traces: Traces) -> Recognition | None:
    needed: list[tuple[AnySign, Look]] = []
    for sign in cause.all:
        look = look_for(sign, traces)
        if isinstance(look, Absent):
            return None
        needed.append((sign, look))
    choices = [(sign, look_for(sign, traces)) for sign in cause.any]
    if choices:
        chosen = [pair for pair in choices if isinstance(pair[1], Seen)]
        chosen = chosen or [pair for pair in choices if isinstance(pair[1], Unlooked)]
        if not chosen:
            return None
        needed += chosen
    if not any(sign.telling and isinstance(look, Seen) for sign, look in needed):
        return None
    doubts = [(sign, look_for(sign, traces)) for sign in cause.none]
    if any(isinstance(look, Seen) for _, look in doubts):
        return None
    extra = [(sign, look_for(sign, traces)) for sign in cause.also]
    seen = [_sighting(sign, look.where) for sign, look in (*needed, *extra)
            if isinstance(look, Seen)]  # fmt: skip
    unknown = [_sighting(sign, look.why) for sign, look in needed if isinstance(look, Unlooked)]
    unknown += [
        Sighting(what=f"not: {sign.what}", detail=look.why)
        for sign, look in doubts
        if isinstance(look, Unlooked)
    ]
    return Recognition(
        cause=cause,
        certainty="possible" if unknown else "recognised",
        seen=tuple(seen),
        unknown=tuple(unknown),
    )


def _sighting(sign: AnySign, detail: str) -> Sighting:
    return Sighting(what=sign.what, detail=detail)
