"""What another plugin or a conftest may take over while the matrix is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from deadlock_matrix.model.cell import Cell
    from deadlock_matrix.model.observation import CellResult


@pytest.hookspec(firstresult=True)
def pytest_deadlock_matrix_run_cell(
    cell: Cell, config: pytest.Config, ended: Callable[[], None]
) -> CellResult | None:  # pragma: no cover
    """Run one cell somewhere else, such as in a container; return ``None`` to run it here.

    The call may block; it must be bounded and return a result for the cell it was given. It may
    call ``ended`` as soon as the cell's processes have ended, if it has still something to do then:
    the next cell starts at once.
    """


@pytest.hookspec
def pytest_deadlock_matrix_cell_started(cell: str, nodeid: str) -> None:  # pragma: no cover
    """Note that a cell has started whose test runs when it is over; ``cell`` is its id."""
