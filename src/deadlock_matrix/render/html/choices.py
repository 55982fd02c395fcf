"""The values of the axes, each once."""

from __future__ import annotations

from deadlock_matrix.model.cell import AXES, Axis, Cell
from deadlock_matrix.render.html.commands import choice
from deadlock_matrix.render.html.document import Choice


class Choices:
    """Numbers the values of each axis, in the order in which they are first seen."""

    def __init__(self) -> None:
        self._numbers: dict[Axis, dict[str, int]] = {axis: {} for axis in AXES}
        self._choices: dict[Axis, list[Choice]] = {axis: [] for axis in AXES}

    def add(self, cell: Cell, axis: Axis) -> int:
        """Return the number of the value that ``cell`` has on ``axis``."""
        numbers = self._numbers[axis]
        name: str = getattr(cell, axis).name
        if name not in numbers:
            numbers[name] = len(numbers)
            self._choices[axis].append(choice(cell, axis))
        return numbers[name]

    @property
    def values(self) -> dict[str, tuple[Choice, ...]]:
        """Return all values by axis and number."""
        return {axis: tuple(choices) for axis, choices in self._choices.items()}
