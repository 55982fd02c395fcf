"""Which arguments of an earlier run are used again when it is resumed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deadlock_matrix.cli.run_again import chosen_before
from deadlock_matrix.report.plan import begin
from tests.unit.test_report_samples import cell, plan

BEFORE = (
    "/venv/suite", "--deadlock-matrix=~/m.toml", "-n", "auto", "-p", "no:cacheprovider",
    "--rootdir", "~/project", "-c", os.devnull, "--preset=smoke", "--repeat", "3", "-n4",
    "--events", "e.jsonl", "-k", "eager", "--deadlock-matrix-report=run",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> str:
    begin(tmp_path, plan((cell(),), (), arguments=BEFORE))
    return str(tmp_path)


@pytest.mark.parametrize(
    "also",
    [
        (),
        ("-n", "2"),
        ("-n2", "-q"),
        ("--rerun=hung", "--fail-fast"),
        ("--dask=tcp://127.0.0.1:1", "--dask-wait", "5", "--jobs", "3"),
    ],
)
def test_they_choose_the_same_cells(folder: str, also: tuple[str, ...]) -> None:
    chosen = chosen_before(("--resume", folder, *also))
    assert chosen is not None
    assert chosen.switch == f"--deadlock-matrix={Path('~/m.toml').expanduser()}"
    assert chosen.arguments == ("--preset=smoke", "--repeat", "3", "-k", "eager")


@pytest.mark.parametrize("also", [("--preset=full",), ("-k", "lazy"), ("--repeat", "2")])
def test_not_if_the_new_ones_choose(folder: str, also: tuple[str, ...]) -> None:
    assert chosen_before((f"--resume={folder}", *also)) is None


def test_not_without_a_run_to_resume() -> None:
    assert chosen_before(("--preset=smoke",)) is None


def test_not_of_a_run_that_pytest_began(tmp_path: Path) -> None:
    begin(tmp_path, plan((cell(),), ()))
    assert chosen_before(("--resume", str(tmp_path))) is None
