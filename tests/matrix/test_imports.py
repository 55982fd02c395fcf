"""Every cell of the matrix, and every control, in a fresh process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.failure import skipped


def test_import(
    cell: Cell, run_cell: Callable[[Cell], CellResult], explain: Callable[[CellResult], str]
) -> None:
    """The entry comes out as it is expected to."""
    result = run_cell(cell)
    if result.verdict is Verdict.UNAVAILABLE:
        pytest.skip(skipped(result))
    if not result.as_expected:
        pytest.fail(explain(result), pytrace=False)
