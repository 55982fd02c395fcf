"""Recognised causes as lines: what each is, where it was seen, what helps and who says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.recognition.causes import Cause, Confirmation, Remedy
from deadlock_matrix.diagnosis.recognition.recognise import NO_FINGERPRINT, Recognition, recognise
from deadlock_matrix.diagnosis.text import count, listed, one_line, printable
from deadlock_matrix.model.report import Report

CONFIRMED = {
    Confirmation.HERE: "confirmed by this project",
    Confirmation.REPORTED: "reported",
    Confirmation.DERIVED: "derived, not tried",
}


def cause_lines(recognitions: Sequence[Recognition]) -> Iterator[str]:
    """Yield all of it, a paragraph for each cause; nothing if no cause is known."""
    for number, recognition in enumerate(recognitions):
        if number:
            yield ""
        yield title(recognition)
        yield from explanation_lines(recognition.cause)
        yield from sighting_lines(recognition)
        yield from remedy_lines(recognition.cause)
        if recognition.cause.references:
            yield f"  see {listed([one_line(text) for text in recognition.cause.references])}"


def known_causes(report: Report, causes: Sequence[Cause]) -> Iterator[str]:
    """Yield the causes that were recognised in a report, each once, with its cells."""
    fingerprints = report.fingerprints
    first: dict[str, Recognition] = {}
    cells: dict[str, list[str]] = {}
    for result in report.cells:
        fingerprint = fingerprints.get(result.cell.interpreter.name, NO_FINGERPRINT)
        for recognition in recognise(result, fingerprint, causes):
            if recognition.certainty == "recognised":
                first.setdefault(recognition.cause.name, recognition)
                cells.setdefault(recognition.cause.name, []).append(result.cell.id)
    for name, recognition in first.items():
        yield from short_cause_lines([recognition])
        rest = f" and {count(len(cells[name]) - 1, 'more cell')}" if len(cells[name]) > 1 else ""
        yield f"  seen in {one_line(cells[name][0])}{rest}"


def short_cause_lines(recognitions: Sequence[Recognition]) -> Iterator[str]:
    """Yield two lines for each cause: what it is, and the first thing that helps."""
    for recognition in recognitions:
        yield title(recognition)
        for remedy in [each for each in surest_first(recognition.cause) if each.helps][:1]:
            advice, settings = _advice(remedy), ", ".join(settings_of(remedy))
            joint = " " if advice.endswith(".") else "; "
            yield "  " + (f"{advice}{joint}{settings}" if settings else advice)


def title(recognition: Recognition) -> str:
    """Return ``known cause: ... (python-lock-held-over-fork)``."""
    word = "known cause" if recognition.certainty == "recognised" else "possible cause"
    return f"{word}: {one_line(recognition.cause.title)} ({recognition.cause.name})"


def explanation_lines(cause: Cause) -> Iterator[str]:
    """Yield why it hangs, in the lines of its file."""
    yield from (f"  {line}" for line in printable(cause.explanation).strip().splitlines())


def sighting_lines(recognition: Recognition) -> Iterator[str]:
    """Yield what was seen and where, and what nobody could look at."""
    for sighting in recognition.seen:
        where = f" ({one_line(sighting.detail)})" if sighting.detail else ""
        yield f"  seen: {one_line(sighting.what)}{where}"
    for sighting in recognition.unknown:
        yield f"  could not be checked: {one_line(sighting.what)} ({one_line(sighting.detail)})"


def remedy_lines(cause: Cause) -> Iterator[str]:
    """Yield what helps, the surest first, and then what does not."""
    for remedy in surest_first(cause):
        yield f"  {_advice(remedy)}"
        yield from (f"      {text}" for text in settings_of(remedy))
        code = printable(remedy.code).strip("\n").splitlines()
        yield from (f"      | {line}" for line in code)


def surest_first(cause: Cause) -> list[Remedy]:
    """Put what helps before what does not; within each, what somebody confirmed before the rest."""
    order = list(Confirmation)
    return sorted(cause.remedy, key=lambda each: (not each.helps, order.index(each.confirmed)))


def _advice(remedy: Remedy) -> str:
    word = "remedy" if remedy.helps else "does not help"
    sources = f": {', '.join(map(one_line, remedy.references))}" if remedy.references else ""
    return f"{word} ({CONFIRMED[remedy.confirmed]}{sources}): {one_line(remedy.advice)}"


def settings_of(remedy: Remedy) -> Iterator[str]:
    """Yield what the remedy sets, a line each."""
    for name, value in remedy.set.items():
        yield one_line(f"{name}={value}")
    for name in remedy.unset:
        yield one_line(f"unset {name}")
    for name, specifier in remedy.versions.items():
        yield one_line(f"{name}{specifier}")
    if remedy.layout:
        yield one_line(f"layout {remedy.layout}")
