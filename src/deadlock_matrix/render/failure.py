"""The text that a failing test shows: what came out, why, and where it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.recognition.recognise import Recognition
from deadlock_matrix.diagnosis.text import listed, one_line, seconds
from deadlock_matrix.model.fact import Unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import TITLES, Gap, Judgement
from deadlock_matrix.render.causes import short_cause_lines
from deadlock_matrix.render.last_words import said
from deadlock_matrix.render.stacks import innermost_import, short_stacks

_GAPS = 4


def failure(result: CellResult, recognitions: Sequence[Recognition] = ()) -> str:
    """Return a short text for a cell that is not as expected, without the cell's whole evidence.

    Args:
        result: The cell's result.
        recognitions: The known causes that were recognised in it.
    """
    return "\n".join(_lines(result, recognitions))


def reasons(result: CellResult) -> Iterator[str]:
    """Yield why a cell hung: the proof's sentence or what is missing for one, and where it hung.

    What the result's own sentence already says is left out.
    """
    if result.judgement is not None:
        yield from _judgement(result.judgement, result.why)
    if (innermost := innermost_import(result)) is not None:
        yield f"importing: {innermost}"


def _lines(result: CellResult, recognitions: Sequence[Recognition]) -> Iterator[str]:
    cell = result.cell
    expected = listed([verdict.value for verdict in cell.expect], "or")
    yield f"{result.verdict.value} (expected {expected}): {cell.id}"
    yield f"why: {one_line(result.why)}"
    yield f"entry: {one_line(cell.entry.statement)}"
    yield from reasons(result)
    yield from short_cause_lines(recognitions)
    if isinstance(result.observation, Unknown):
        yield f"not observed: {one_line(result.observation.reason)}"
        return
    observation = result.observation.value
    yield f"after: {seconds(observation.duration_s)}, in phase {observation.phase}"
    if result.detected_after_s is not None:
        yield f"proved: {seconds(result.detected_after_s)} after the last progress"
    yield from said(observation)
    yield from short_stacks(result)
    if isinstance(observation.evidence, Unknown) and result.judgement is not None:
        yield f"no evidence: {one_line(observation.evidence.reason)}"
    if observation.leftovers.alive:
        alive = ", ".join(map(one_line, observation.leftovers.alive))
        yield f"could not be ended: {alive}"


def _judgement(judgement: Judgement, why: str) -> Iterator[str]:
    proof = judgement.proof
    if proof is not None and proof.sentence not in why:
        word = "proof" if judgement.outcome == "deadlock" else TITLES[judgement.outcome]
        yield f"{word}: {one_line(proof.sentence)}"
    if judgement.outcome == "deadlock":
        return
    gaps = [gap for gap in judgement.gaps if gap.detail not in why]
    if gaps:
        yield f"no proof: {'; '.join(map(_gap, gaps[:_GAPS]))}"
    if len(gaps) > _GAPS:
        yield f"  and {len(gaps) - _GAPS} more"


def _gap(gap: Gap) -> str:
    text = f"{gap.subject}: {gap.detail}"
    return one_line(f"{text} is not known" if gap.kind == "unknown" else text)


def skipped(result: CellResult) -> str:
    """Return the reason for a cell that could not be run."""
    return f"unavailable: {one_line(result.why)}"
