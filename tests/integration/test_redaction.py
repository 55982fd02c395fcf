"""Real cells in a planted home with a planted token: no file of the run holds either."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from deadlock_matrix.cli.report_validate import validate
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fact import Known, unknown
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.observation import CellResult, Observation
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.host import describe_host, describe_tool
from deadlock_matrix.report.journal import Journal
from deadlock_matrix.report.plan import Plan, begin, run_id, timestamp
from deadlock_matrix.report.private import make_redaction, redact_plan
from deadlock_matrix.report.redaction import HIDDEN
from deadlock_matrix.report.store import assemble, write_report
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace

USER = "zaphodbeeblebrox"
HOST = "heartofgold"
TOKEN = "plant-5up3r-s3cr3t-4f9a"
PLANTS = (USER, HOST, TOKEN)

SPEAKS = """
import os, sys
told = " ".join(os.environ[name] for name in ("HOME", "USER", "HOSTNAME", "PLANTED_TOKEN"))
print(told, flush=True)
print(told, __file__, file=sys.stderr)
"""
RAISES = f"{SPEAKS}\nraise ValueError(told)\n"
HANGS = f"""{SPEAKS}
import threading
lock = threading.Lock()
lock.acquire()
lock.acquire()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "homes" / USER
    folder.mkdir(parents=True)
    for name, value in (
        ("HOME", str(folder)),
        ("USER", USER),
        ("HOSTNAME", HOST),
        ("PLANTED_TOKEN", TOKEN),
        ("MKL_PLANT", f"{folder}/mkl"),
    ):
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def cells(home: Path, make_cell: Callable[..., Cell]) -> tuple[Cell, ...]:
    """One that is well, one that raises, one that hangs; all of them talk too much."""
    package = home / "src"
    package.mkdir()
    for name, text in (("speaks", SPEAKS), ("raises", RAISES), ("hangs", HANGS)):
        (package / f"{name}.py").write_text(text)

    def make(name: str, variables: dict[str, str]) -> Cell:
        statement = f"here = {str(home)!r}; import {name}"
        made = make_cell(statement, overlay=package, variables=variables)
        return replace(made, entry=replace(made.entry, name=name))

    return (
        make("speaks", {}),
        make("raises", {"HF_TOKEN": "short"}),
        make("hangs", {"LD_LIBRARY_PATH": f"{home}/lib"}),
    )


def run_all(folder: Path, cells: tuple[Cell, ...], workspace: Workspace) -> list[CellResult]:
    """What a run does: plan, journal, report. The results are as they were before all that."""
    plan = Plan(
        tool=describe_tool(),
        host=describe_host(),
        run=run_id(),
        started=timestamp(),
        arguments=("--interpreter", cells[0].interpreter.executable, f"--secret={TOKEN}"),
        interpreters=(
            InterpreterFacts(
                name="python",
                executable=cells[0].interpreter.executable,
                fingerprint=unknown(f"{TOKEN} was not asked"),
            ),
        ),
        controls=(),
        cells=cells,
    )
    redaction = make_redaction(plan)
    begin(folder, redact_plan(plan, redaction))
    results = [run_cell(cell, workspace) for cell in cells]
    with Journal(folder, "main") as journal:
        for result in results:
            journal.append(redaction.apply(result))
    write_report(assemble(folder), folder)
    return results


def observed(result: CellResult) -> Observation:
    assert isinstance(result.observation, Known), result.why
    return result.observation.value


def test_no_file_of_a_run_holds_what_was_planted(
    home: Path, cells: tuple[Cell, ...], workspace: Workspace, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    results = run_all(folder, cells, workspace)
    assert [each.verdict for each in results] == [Verdict.OK, Verdict.ERROR, Verdict.DEADLOCK]
    for result in results:  # the plants were there, or this test would find nothing
        assert all(plant in observed(result).stdout.kept for plant in (*PLANTS, str(home)))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"plan.json", "main.jsonl", "report.json"}
    assert [path for path in files if path.parent.name == "evidence"]
    for path in files:
        text = path.read_text()
        assert not [plant for plant in (*PLANTS, str(home)) if plant in text], path
    # Nor any other variable of the environment than those that may be there.
    names = {name for each in assemble(folder).cells for name in observed(each).environment}
    assert "MKL_PLANT" in names
    assert not {"HOME", "USER", "HOSTNAME", "PLANTED_TOKEN", "PATH"} & names


def test_what_is_left_is_judged_alike(
    cells: tuple[Cell, ...], workspace: Workspace, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    before = run_all(folder, cells, workspace)
    done = CliRunner().invoke(validate, [str(folder)])
    assert "1 judged again" in done.output
    # There were no controls, which is not the report's fault.
    assert done.exit_code == 0, done.output
    after = assemble(folder).cells
    assert sorted(each.verdict for each in after) == sorted(each.verdict for each in before)
    by_entry = {each.cell.entry.name: each for each in after}
    raised = observed(by_entry["raises"]).raised
    assert raised is not None
    assert raised.message == f"~ USER HOST {HIDDEN}"
    assert by_entry["raises"].cell.profile.set["HF_TOKEN"] == HIDDEN
    assert by_entry["speaks"].cell.layout.overlays == ("~/src",)
    assert isinstance(observed(by_entry["hangs"]).evidence, Known)
