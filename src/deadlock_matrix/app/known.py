"""What is known beforehand, applied to one hang: known causes, and the questions of studies."""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.diagnosis.endings import Ending, ending
from deadlock_matrix.diagnosis.investigation.checklist import Measurements, checklist
from deadlock_matrix.diagnosis.investigation.clues import loaded_libraries
from deadlock_matrix.diagnosis.involved import involved_libraries
from deadlock_matrix.diagnosis.recognition.causes import Confirmation
from deadlock_matrix.diagnosis.recognition.recognise import Recognition
from deadlock_matrix.model.diagnosis import Check, KnownCause, KnownRemedy
from deadlock_matrix.studies import load_studies


def known_cause(found: Recognition) -> KnownCause:
    """Return a recognised cause for a reader; what this project has seen to help comes first."""
    helping = [remedy for remedy in found.cause.remedy if remedy.helps]
    helping.sort(key=lambda remedy: remedy.confirmed is not Confirmation.HERE)
    return KnownCause(
        name=found.cause.name,
        title=found.cause.title,
        certainty=found.certainty,
        explanation=" ".join(found.cause.explanation.split()),
        advice=tuple(remedy.advice for remedy in helping),
        references=found.cause.references,
        remedies=tuple(
            KnownRemedy(
                advice=remedy.advice,
                code=remedy.code.strip("\n"),
                confirmed=remedy.confirmed is Confirmation.HERE,
            )
            for remedy in helping
        ),
    )


def is_pool(path: str) -> bool:
    """Return whether a study knows a library as one that computes with threads of its own."""
    return any(study.is_pool(path) for study in load_studies())


def questions(measurements: Measurements) -> Iterator[Check]:
    """Yield questions about a hang in which thread pools wait, or nobody could look."""
    result = measurements.result
    if ending(result) is not Ending.HUNG:
        return
    runs = (result, *measurements.clean)
    if result.evidence is not None:
        paths = involved_libraries(result)
    else:
        paths = tuple(path for run in runs for path in loaded_libraries(run))
    if any(map(is_pool, paths)):
        for study in load_studies():
            yield from study.checks(measurements)
        yield from checklist(measurements)
