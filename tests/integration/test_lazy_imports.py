"""The layout with the lazy imports of Python 3.15 (PEP 810), where they exist."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from pythons import interpreter

from deadlock_matrix.matrix.repro import repro_root
from deadlock_matrix.model.cell import Cell, Layout
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult, ProbeFacts
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace

pytestmark = pytest.mark.timeout(300)


Run = Callable[[str, str], CellResult]


@pytest.fixture
def imported(make_cell: Callable[..., Cell], tmp_path: Path) -> Run:
    """Run a statement on the package in one of its layouts."""

    def run(layout: str, statement: str) -> CellResult:
        root = repro_root() / "splitlearn_core"
        overlays = (str(root / "common"), str(root / "layouts" / layout))
        cell = msgspec.structs.replace(
            make_cell(statement, python=interpreter("3.15")),
            layout=Layout(name=layout, overlays=overlays),
        )
        with Workspace(tmp_path / "cache", tmp_path / "scratch") as workspace:
            return run_cell(cell, workspace)

    return run


def probed(result: CellResult) -> ProbeFacts:
    assert isinstance(result.observation, Known)
    probe = result.observation.value.probe
    assert isinstance(probe, Known), probe.reason
    return probe.value


@pytest.mark.parametrize(
    "statement", ["import splitlearn_core", "from splitlearn_core.factory import ModelFactory"]
)
def test_nothing_is_imported_before_it_is_used(imported: Run, statement: str) -> None:
    result = imported("pep810", statement)
    assert result.verdict is Verdict.OK, result.why
    probe = probed(result)
    assert "torch" not in probe.top_levels
    assert not any(each.startswith("splitlearn_core.models") for each in probe.own_modules)


@pytest.mark.parametrize(
    ("layout", "statement"),
    [
        ("pep810", "import splitlearn_core; splitlearn_core.models.gpt2"),
        ("eager", "import splitlearn_core"),
    ],
)
def test_the_first_use_imports_it(imported: Run, layout: str, statement: str) -> None:
    result = imported(layout, statement)
    if result.verdict is Verdict.OK:
        assert "torch" in probed(result).top_levels
    else:  # a Python without torch misses it at that moment
        assert result.verdict is Verdict.ERROR
        assert "No module named 'torch'" in result.why
