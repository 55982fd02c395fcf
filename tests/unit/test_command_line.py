"""Of a command line only what cannot be private is handed on."""

from __future__ import annotations

from pathlib import Path

import pytest

from deadlock_matrix.report.command_line import withhold_arguments


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["python", "-c", "login('hunter2')"], "python -c ***"),
        (["app", "--password", "hunter2"], "app --password ***"),
        (["app", "--password=hunter2", "-n", "4"], "app --password=*** -n 4"),
        (["mysql", "-phunter2"], "mysql ***"),
        (["python", "-m", "pytest", "-x", "-k", "hunter2"], "python -m pytest -x -k ***"),
        (["python", "-m", "not a module"], "python -m ***"),
        (["app", "alice@example.com", "x" * 5000, "nul\0"], "app *** *** ***"),
    ],
)
def test_values_are_withheld(words: list[str], shown: str) -> None:
    assert withhold_arguments(words) == shown


def test_files_that_are_there_are_named(tmp_path: Path) -> None:
    script = tmp_path / "my script.py"
    script.touch()
    shown = withhold_arguments(["python", str(script), f"{script}::test_one"])
    assert shown == f"python '{script}' '{script}::test_one'"
