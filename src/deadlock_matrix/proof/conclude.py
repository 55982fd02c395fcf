"""From what was observed and judged to a verdict, and one sentence that says why."""

from __future__ import annotations

import signal

from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.observation import Exited, Observation, Signalled
from deadlock_matrix.model.verdict import TITLES, Gap, Judgement, Verdict
from deadlock_matrix.proof.judge import describe_gap

MOST_REASONS = 3

_PHASES = {
    "start": "before its script began",
    "prelude": "in the prelude",
    "entry": "in the entry",
    "exit": "at exit, after the entry had finished",
    "ended": "after everything was done",
}


def conclude(observation: Observation, judgement: Judgement | None) -> tuple[Verdict, str]:
    """Name the verdict of one observation; it can be redone at any time from a report."""
    end = observation.end
    where = _PHASES[observation.phase]
    if isinstance(end, Signalled):
        ended = f"ended by {_signal_name(end.signal)} {where}"
        return Verdict.CRASH, ended + _last_words(observation)
    if isinstance(end, Exited):
        return _ended_by_itself(observation, end, where)
    if judgement is not None and judgement.outcome == "deadlock" and judgement.proof is not None:
        return Verdict.DEADLOCK, judgement.proof.sentence
    progressing, evidence = observation.progressing, observation.evidence
    if isinstance(progressing, Known) and progressing.value:
        moving = f"still moving {where} after {observation.duration_s:.1f} s"
        found = judgement is not None and judgement.proof is not None
        return Verdict.SLOW, f"{moving}; {reasons(judgement, evidence)}" if found else moving
    if judgement is not None and judgement.proof is not None:
        return Verdict.HANG, f"no progress {where}; {reasons(judgement, evidence)}"
    return Verdict.HANG, f"no progress {where}, and no proof: {reasons(judgement, evidence)}"


def _ended_by_itself(observation: Observation, end: Exited, where: str) -> tuple[Verdict, str]:
    raised = observation.raised
    if raised is not None:
        return Verdict.ERROR, f"the entry raised {raised.type}: {_first_line(raised.message)}"
    if end.status != 0:
        ended = f"ended with status {end.status} {where}"
        return Verdict.ERROR, ended + _last_words(observation)
    if not isinstance(observation.probe, Known):
        return Verdict.ERROR, f"ended with status 0 {where}: {observation.probe.reason}"
    return Verdict.OK, f"the entry took {observation.probe.value.entry_s:.2f} s"


def reasons(judgement: Judgement | None, evidence: object) -> str:
    """Say what was found short of a deadlock, or what stands in the way of a proof.

    Args:
        judgement: None if there was nothing to judge.
        evidence: As far as it was read; if it is unknown, its reason is given.
    """
    if judgement is None:
        why = f": {evidence.reason}" if isinstance(evidence, Unknown) else ""
        return f"no evidence could be read{why}"
    if judgement.proof is not None:
        return f"{TITLES[judgement.outcome]}: {judgement.proof.sentence}"
    return _join(judgement.gaps) or "it moved, or ended, while it was looked at"


def _join(gaps: tuple[Gap, ...]) -> str:
    told = [describe_gap(gap, "") for gap in gaps[:MOST_REASONS]]
    if len(gaps) > MOST_REASONS:
        told.append(f"and {len(gaps) - MOST_REASONS} more")
    return "; ".join(told)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:300]


def _last_words(observation: Observation) -> str:
    """Return the last line on standard error, or else on output, which libraries in C use, too."""
    if said := _last_line(observation.stderr.kept):
        return f": {said}"
    said = _last_line(observation.stdout.kept)
    return f": {said} (on standard output)" if said else ""


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2][:300]
