"""Turn a judgement on a process or a command into an inspection, which every answer shows."""

from __future__ import annotations

import shlex
from typing import Literal

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.verdict import Judgement, Outcome
from deadlock_matrix.proof.conclude import reasons
from deadlock_matrix.report.host import describe_tool
from deadlock_matrix.run.watchdog import Watched

NOT_WATCHED = unknown("it was not watched from its start")


def of_command(watched: Watched, arguments: tuple[str, ...]) -> Inspection:
    """Describe a command that was ended by a proof or at its deadline."""
    judgement = watched.judgement
    detected: Known[float] | Unknown = unknown("nothing was proved")
    if watched.detected_after_s is not None:
        detected = known(watched.detected_after_s, "the last progress of the main thread")
    moving = isinstance(watched.progressing, Known) and watched.progressing.value
    return _make(
        shlex.join(arguments),
        judgement,
        watched.evidence,
        detected,
        unmoved_s=_unmoved(watched),
        otherwise="slow" if moving else "hang",
    )


def _unmoved(watched: Watched) -> Known[float] | Unknown:
    """How long the main thread had not moved at the last look."""
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
) -> Inspection:
    proof = judgement.proof if judgement is not None else None
    proved = judgement is not None and judgement.outcome == "deadlock"
    outcome: Outcome = judgement.outcome if judgement is not None else "not-proved"
    sentence = proof.sentence if proof is not None else reasons(judgement)
    return Inspection(
        tool=describe_tool(),
        subject=subject,
        verdict="deadlock" if proved else otherwise,
        partial=outcome in ("partial", "likely-partial"),
        sentence=sentence,
        proof=proof,
        gaps=judgement.gaps if judgement is not None else (),
        threads=judgement.threads if judgement is not None else (),
        libraries=_libraries(evidence),
        detected_after_s=detected_after_s,
        evidence=evidence,
        outcome=outcome,
        unmoved_s=unmoved_s,
        likely=judgement.likely if judgement is not None else None,
    )


def _libraries(evidence: Known[Evidence] | Unknown) -> tuple[str, ...]:
    if not isinstance(evidence, Known):
        return ()
    paths = {
        library.path
        for process in evidence.value.after.processes
        if isinstance(process.libraries, Known)
        for library in process.libraries.value
    }
    return tuple(sorted(paths))
