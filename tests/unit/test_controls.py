"""`controls`: one cell that must be found deadlocked, two that must not, per interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.controls import controls
from deadlock_matrix.matrix.repro import repro_root
from deadlock_matrix.model.cell import Interpreter, Profile, Role
from deadlock_matrix.model.verdict import Verdict

NAMES = ("one", "two")
BASELINE = Profile(name="baseline")
INTERPRETERS = [Interpreter(name=name, executable=f"/{name}/python") for name in NAMES]


def test_three_for_each_interpreter() -> None:
    cells = controls(INTERPRETERS, repro_root(), BASELINE)
    assert len({cell.id for cell in cells}) == len(cells)
    for name in NAMES:
        mine = [cell for cell in cells if cell.interpreter.name == name]
        assert [cell.role for cell in mine] == [
            Role.POSITIVE_CONTROL,
            Role.NEGATIVE_CONTROL,
            Role.NEGATIVE_CONTROL,
        ]
        assert Verdict.DEADLOCK in mine[0].expect
        assert Verdict.OK not in mine[0].expect
        if sys.platform == "linux":
            assert mine[0].expect == (Verdict.DEADLOCK,)
        assert all(cell.expect == (Verdict.OK,) for cell in mine[1:])


def test_they_are_complete() -> None:
    for cell in controls(INTERPRETERS, repro_root(), BASELINE):
        assert cell.profile.name == "baseline"
        assert cell.context.name == "main"
        assert all(Path(overlay).is_dir() for overlay in cell.layout.overlays)
        assert cell.entry.statement.startswith("import ")
        assert cell.deadline_s < 60


def test_under_another_profile() -> None:
    cells = controls(INTERPRETERS, repro_root(), Profile(name="mine"))
    assert {cell.profile.name for cell in cells} == {"mine"}


def test_without_scenarios(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        controls(INTERPRETERS, tmp_path, BASELINE)
