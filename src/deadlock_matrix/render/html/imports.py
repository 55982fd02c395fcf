"""Import chains put together to one tree: who imported whom, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deadlock_matrix.model.observation import ImportStep
from deadlock_matrix.render.html.document import Branch, Step
from deadlock_matrix.render.html.pool import Pools
from deadlock_matrix.render.plain import one_line


def import_tree(chains: Mapping[str, Sequence[ImportStep]], pools: Pools) -> tuple[Branch, ...]:
    """The branches of the tree; a parent stands before its children.

    The steps of a chain all carry the time at which its last module was begun, so a module has a
    time only where a chain ends with it.
    """
    numbers: dict[tuple[str, ...], int] = {}
    found: list[tuple[int, ImportStep]] = []
    begun: dict[int, float] = {}
    for chain in sorted(chains.values(), key=_time):
        path: tuple[str, ...] = ()
        for step in chain:
            parent = numbers.get(path, -1)
            path = (*path, step.module)
            if path not in numbers:
                numbers[path] = len(found)
                found.append((parent, step))
        if path:
            begun.setdefault(numbers[path], chain[-1].at_s)
    return tuple(
        Branch(step=_number(step, pools), parent=parent, milliseconds=_milliseconds(begun.get(own)))
        for own, (parent, step) in enumerate(found)
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _time(chain: Sequence[ImportStep]) -> float:
    return chain[-1].at_s if chain else 0.0


def _number(step: ImportStep, pools: Pools) -> int:
    where = pools.text(f"{step.file}:{step.line}")
    return pools.steps.add(
        Step(module=one_line(step.module), importer=one_line(step.importer), where=where)
    )
