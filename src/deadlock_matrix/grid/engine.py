"""What runs cells for a coordinator, which takes the results as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.observation import CellResult


class Started(NamedTuple):
    """A cell has started; ``cell`` is its id, ``host`` where, as reports call it."""

    cell: str
    host: str = ""


class Finished(NamedTuple):
    """A cell has its result, or the harness failed to run it."""

    cell: str
    result: CellResult | Exception


class Engine(Protocol):
    """Runs cells side by side; use it once."""

    def run(self, cells: Sequence[Cell]) -> Iterator[Started | Finished]:
        """Run all cells, roughly in their order. Each is finished exactly once.

        Leaving the iteration early gives up what is running.
        """
        ...

    def close(self) -> None:
        """End everything that is left; may be called at any time, and twice."""
        ...
