"""Points of the matrix: cells that are repeats of one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict


def point_id(cell: Cell) -> str:
    """Return the cell's id without the repeat number."""
    return cell.id if cell.repeat == 1 else msgspec.structs.replace(cell, repeat=1).id


def group(results: Iterable[CellResult]) -> dict[str, list[CellResult]]:
    """Return results by point, in the order of their repeats."""
    points: dict[str, list[CellResult]] = {}
    for result in sorted(results, key=lambda each: each.cell.repeat):
        points.setdefault(point_id(result.cell), []).append(result)
    return points


def tally(results: Sequence[CellResult]) -> str:
    """Return how often each verdict came out: ``ok``, ``ok 3``, ``deadlock 1, ok 2``."""
    counts = Counter(result.verdict for result in results)
    if len(results) == 1:
        return results[0].verdict.value
    return ", ".join(f"{verdict.value} {counts[verdict]}" for verdict in Verdict if counts[verdict])


def definition(cell: Cell) -> dict[str, str]:
    """Return what an id stands for: cells with the same id and another definition differ.

    It omits what a profile removes from the environment, which changes with every other profile,
    and paths, which differ from machine to machine.
    """
    context = cell.context
    return {
        "target": cell.target,
        "statement": cell.entry.statement,
        "variables": ", ".join(f"{key}={text}" for key, text in sorted(cell.profile.set.items())),
        "calling": context.calling.value,
        "standard input": context.stdin.value,
        "prelude": context.prelude,
        "deadline": f"{cell.deadline_s:g} s",
    }
