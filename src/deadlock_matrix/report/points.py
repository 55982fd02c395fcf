"""Points of the matrix: the cells that are one another's repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict


def point_id(cell: Cell) -> str:
    """The cell's id without the number of its repeat."""
    return cell.id if cell.repeat == 1 else msgspec.structs.replace(cell, repeat=1).id


def group(results: Iterable[CellResult]) -> dict[str, list[CellResult]]:
    """Results by point, in the order of their repeats."""
    points: dict[str, list[CellResult]] = {}
    for result in sorted(results, key=lambda each: each.cell.repeat):
        points.setdefault(point_id(result.cell), []).append(result)
    return points


def tally(results: Sequence[CellResult]) -> str:
    """``ok``, ``ok 3``, ``deadlock 1, ok 2``: how often each verdict came out."""
    counts = Counter(result.verdict for result in results)
    if len(results) == 1:
        return results[0].verdict.value
    return ", ".join(f"{verdict.value} {counts[verdict]}" for verdict in Verdict if counts[verdict])


def definition(cell: Cell) -> dict[str, str]:
    """What an id stands for: two cells with the same id and another definition are not alike.

    Not what a profile takes out of the environment, which changes with every other profile; nor
    paths, which differ from machine to machine.
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
