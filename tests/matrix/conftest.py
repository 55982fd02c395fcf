"""Without the matrix there are no cells: say how to switch it on."""

from __future__ import annotations

import pytest


@pytest.fixture
def cell() -> None:
    """Stands in for the cells that ``--deadlock-matrix`` brings."""
    pytest.skip("no cells: switch the matrix on with --deadlock-matrix")
