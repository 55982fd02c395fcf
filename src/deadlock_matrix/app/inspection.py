"""Turn a judgement on a process or a command into an inspection, which every answer shows."""

from __future__ import annotations

import shlex
from functools import cache
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.observation import End, Exited, Signalled
from deadlock_matrix.model.signals import signal_name
from deadlock_matrix.model.verdict import Judgement, Outcome
from deadlock_matrix.proof.conclude import reasons
from deadlock_matrix.report.host import describe_tool

if TYPE_CHECKING:
    from deadlock_matrix.diagnosis.recognition.causes import Cause
    from deadlock_matrix.diagnosis.recognition.recognise import Recognition
    from deadlock_matrix.run.watchdog import Watched

NOT_WATCHED = unknown("it was not watched from its start")
NOTHING_FOUND = unknown("it was not found hanging")
GOES_ON = unknown("it had not ended when it was looked at")


def of_command(watched: Watched, arguments: tuple[str, ...]) -> Inspection:
    """Describe a command that was ended by a proof or at its deadline."""
    judgement = watched.judgement
    detected: Known[float] | Unknown = unknown("nothing was proved")
    if watched.detected_after_s is not None:
        detected = known(watched.detected_after_s, "the last progress of the main thread")
    moving = watched.progressing.or_else(False)
    return _make(
        shlex.join(arguments),
        judgement,
        watched.evidence,
        detected,
        unmoved_s=_unmoved(watched),
        otherwise="slow" if moving else "hang",
        end=known(watched.end, "the watch"),
    )


def of_ended_command(
    watched: Watched, arguments: tuple[str, ...], found: Inspection | None
) -> Inspection:
    """Describe a command that ended by itself, or was interrupted.

    Args:
        watched: How it ended.
        arguments: The command.
        found: What was last found stuck in it while it went on, if anything was.
    """
    match watched.end:
        case Exited(status=status):
            sentence = f"the command ended with status {status}"
        case Signalled(signal=number):
            sentence = f"the command was ended by {signal_name(number)}"
        case _:
            sentence = "the command was interrupted"
    if found is None:
        found = _make(
            shlex.join(arguments), None, watched.evidence, NOTHING_FOUND, otherwise="not-proved"
        )
    else:
        sentence += f"; before that: {found.sentence}"
    end = known(watched.end, "the watch")
    return replace(found, verdict="ended", sentence=sentence, end=end)


def with_causes(found: Inspection) -> Inspection:
    """Add the known causes that are recognised in it, and what helps."""
    from deadlock_matrix.app.known import known_cause

    return replace(found, causes=tuple(map(known_cause, recognise_causes(found))))


def recognise_causes(found: Inspection) -> tuple[Recognition, ...]:
    """Return the known causes that are recognised in what threads did."""
    if not isinstance(found.evidence, Known):
        return ()
    from deadlock_matrix.diagnosis.recognition.recognise import recognise_inspected

    return recognise_inspected(found, learn_causes())


@cache
def learn_causes() -> tuple[Cause, ...]:
    """Return the known causes.

    Call it early to have them by the time they are needed: reading them takes longer than anything
    else in the last part of an answer.
    """
    from deadlock_matrix.causes import load_causes

    return load_causes()


def _unmoved(watched: Watched) -> Known[float] | Unknown:
    """Return how long the main thread had not moved at the last look."""
    if watched.progressing.or_else(False):
        return unknown("the main thread was moving")
    if not isinstance(watched.evidence, Known):
        return watched.evidence
    looked_s = watched.evidence.value.after.ended_s - watched.began_s
    unmoved_s = max(looked_s - watched.last_progress_s, 0.0)
    return known(unmoved_s, "the last progress of the main thread")


def of_living_command(
    arguments: tuple[str, ...], judgement: Judgement, evidence: Evidence
) -> Inspection:
    """Describe a command that goes on, although threads of it are deadlocked or likely to be."""
    return _make(
        shlex.join(arguments),
        judgement,
        known(evidence, "two snapshots that agree"),
        unknown("the command goes on"),
        otherwise="not-proved",
    )


def of_process(pid: int, judgement: Judgement, evidence: Evidence) -> Inspection:
    """Describe a process that was looked at once."""
    return _make(
        f"process {pid}",
        judgement,
        known(evidence, "two snapshots"),
        NOT_WATCHED,
        otherwise="not-proved",
    )


def _make(
    subject: str,
    judgement: Judgement | None,
    evidence: Known[Evidence] | Unknown,
    detected_after_s: Known[float] | Unknown,
    *,
    unmoved_s: Known[float] | Unknown = NOT_WATCHED,
    otherwise: Literal["hang", "slow", "not-proved"],
    end: Known[End] | Unknown = GOES_ON,
) -> Inspection:
    seen = evidence.or_else(None)
    proof = judgement.proof if judgement is not None else None
    proved = judgement is not None and judgement.outcome == "deadlock"
    outcome: Outcome = judgement.outcome if judgement is not None else "not-proved"
    sentence = proof.sentence if proof is not None else reasons(judgement, evidence)
    return Inspection(
        tool=describe_tool(),
        subject=subject,
        verdict="deadlock" if proved else otherwise,
        partial=outcome in ("partial", "likely-partial"),
        sentence=sentence,
        proof=proof,
        gaps=judgement.gaps if judgement is not None else (),
        threads=judgement.threads if judgement is not None else (),
        libraries=tuple(sorted(seen.after.libraries())) if seen is not None else (),
        detected_after_s=detected_after_s,
        evidence=evidence,
        outcome=outcome,
        unmoved_s=unmoved_s,
        tasks=judgement.tasks if judgement is not None else (),
        likely=judgement.likely if judgement is not None else None,
        end=end,
    )
