"""What a reader of a merged report must know: renamed interpreters, contradictions, runs' notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Part
from deadlock_matrix.report.identity import differences
from deadlock_matrix.report.names import Names
from deadlock_matrix.report.points import definition, point_id, tally

_TOLD = 4  # differences between two interpreters


def renamings(names: Names) -> Iterator[str]:
    """Yield interpreters whose name meant several things, and how they differ."""
    for old, new in names.split().items():
        first, *others = new
        yield f"{old} is not the same interpreter in all runs: it is now {', '.join(new)}"
        for other in others:
            found = differences(names.facts.get(first), names.facts.get(other))
            told = "; ".join(each.sentence for each in found[:_TOLD])
            if told:
                more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
                yield f"from {first} to {other}: {told}{more}"


def contradictions(parts: Sequence[Part], cells: Sequence[CellResult]) -> Iterator[str]:
    """Yield cells whose results differ between runs, and ids that mean different things."""
    run_of = {id_: part.run for part in parts for id_ in part.repeats}
    points: dict[str, dict[str, list[CellResult]]] = {}
    for result in cells:
        runs = points.setdefault(point_id(result.cell), {})
        runs.setdefault(run_of[result.cell.id], []).append(result)
    order = [part.run for part in parts]
    for point, runs in sorted(points.items()):
        by_run = sorted(runs.items(), key=lambda item: order.index(item[0]))
        outcomes = {frozenset(each.verdict for each in results) for _, results in by_run}
        if len(outcomes) > 1:
            told = "; ".join(f"{tally(results)} in run {run}" for run, results in by_run)
            yield f"{point} is contradicted: {told}"
        yield from _redefined(point, {run: results[0].cell for run, results in by_run})


def own_notes(parts: Sequence[Part]) -> Iterator[str]:
    """Yield the notes of the runs, each with its run."""
    for part in parts:
        yield from (f"run {part.run}: {note}" for note in part.notes)


def _redefined(point: str, cells: dict[str, Cell]) -> Iterator[str]:
    (first, reference), *others = ((run, definition(cell)) for run, cell in cells.items())
    for run, other in others:
        keys = [key for key in reference if reference[key] != other[key]]
        if keys:
            yield f"{point} is not the same experiment in runs {first} and {run}: {', '.join(keys)}"
