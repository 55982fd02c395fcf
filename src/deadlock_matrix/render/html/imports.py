"""Import chains joined into one tree: who imported whom, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deadlock_matrix.diagnosis.text import one_line
from deadlock_matrix.model.observation import ImportStep
from deadlock_matrix.render.html.document import Branch, Step
from deadlock_matrix.render.html.pool import Pools


def import_tree(
    chains: Mapping[str, Sequence[ImportStep]], imported_s: Mapping[str, float], pools: Pools
) -> tuple[tuple[Branch, ...], tuple[float | None, ...]]:
    """Return the tree's branches, parents first, and when they began, in milliseconds.

    Only of a chain's last module is it known when its import began.
    """
    numbers: dict[tuple[str, ...], int] = {}
    found: list[tuple[int, ImportStep]] = []
    begun: dict[int, float] = {}
    for name in sorted(chains, key=lambda name: imported_s.get(name, 0.0)):
        path: tuple[str, ...] = ()
        for step in chains[name]:
            parent = numbers.get(path, -1)
            path = (*path, step.module)
            if path not in numbers:
                numbers[path] = len(found)
                found.append((parent, step))
        if path and name in imported_s:
            begun.setdefault(numbers[path], imported_s[name])
    branches = tuple(Branch(step=_number(step, pools), parent=parent) for parent, step in found)
    return branches, tuple(_milliseconds(begun.get(own)) for own in range(len(found)))


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _number(step: ImportStep, pools: Pools) -> int:
    where = pools.text(f"{step.file}:{step.line}")
    return pools.steps.add(
        Step(module=one_line(step.module), importer=one_line(step.importer), where=where)
    )
