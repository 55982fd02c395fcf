"""How sure an answer is: the obstacles to a proof, or the proof's steps and conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.diagnosis.text import count, listed, one_line
from deadlock_matrix.model.verdict import Gap, Proof
from deadlock_matrix.render.page import Line

MOST_SUBJECTS = 3

_KINDS = {
    "owner": "owner proof: each of these waits can be ended by one thread alone, and they form a "
    "closed circle",
    "closed-world": "closed-world proof: everything that could end one of these waits is waiting "
    "too",
}


def gap_lines(gaps: Sequence[Gap], *, of_more: bool) -> Iterator[Line]:
    """Yield what stands in the way of a proof: each obstacle once, with all threads it concerns.

    Args:
        gaps: The obstacles.
        of_more: Whether a proof of less exists already.
    """
    if not gaps:
        return
    yield Line("what stands in the way of " + ("proving more" if of_more else "a proof"), "bold")
    about: dict[tuple[str, str], list[str]] = {}
    for gap in gaps:
        about.setdefault((gap.kind, gap.detail), []).append(one_line(gap.subject))
    for (kind, detail), subjects in about.items():
        unknown = "not known: " if kind == "unknown" else ""
        yield Line(f"  {_listed(subjects)}: {unknown}{one_line(detail)}", prose=True)


def proof_lines(proof: Proof) -> Iterator[Line]:
    """Yield each step with its source, each condition, and each assumption with its evidence."""
    labels = {node.id: one_line(node.label) for node in proof.nodes}
    yield Line(_KINDS[proof.kind.value], "bold")
    yield Line("who waits for whom, and where it was read")
    for edge in proof.edges:
        if edge.relation != "consists of":
            yield Line(f"  {labels[edge.tail]} {edge.relation} {labels[edge.head]}")
            yield Line(f"      read in {one_line(edge.source)}", "dim")
    if proof.assumptions:
        yield Line("what is assumed, because it cannot be read")
    for assumption in proof.assumptions:
        subject = labels.get(assumption.subject, assumption.subject)
        yield Line(f"  {subject}: {assumption.kind.value}: {one_line(assumption.detail)}")
        yield Line(f"      evidence read in {one_line(assumption.source)}", "dim")
    yield Line("what the proof requires, and what was found")
    for condition in proof.conditions:
        if not condition.assumes:
            subject = labels.get(condition.subject, condition.subject)
            yield Line(f"  {subject}: {condition.name}: {one_line(condition.detail)}")


def _listed(subjects: Sequence[str]) -> str:
    if len(subjects) > MOST_SUBJECTS:
        rest = count(len(subjects) - MOST_SUBJECTS + 1, "more", "more")
        return listed([*subjects[: MOST_SUBJECTS - 1], rest])
    return listed(subjects)
