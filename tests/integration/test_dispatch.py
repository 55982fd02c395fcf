"""Cells from one process: the same report as one after the other, and stopped when asked."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deadlock_matrix.errors import RunError
from deadlock_matrix.grid.engine import Finished, Started
from deadlock_matrix.grid.local import LocalEngine
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fact import unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.outcome import RunOutcome
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.store import read_report
from tests.unit.test_report_samples import cell

SUITE = Path(__file__).parent.parent / "matrix" / "test_imports.py"
MATRIX = """
target = "json"
deadline-s = 60

[[entry]]
name = "right"
statement = "import json"

[[entry]]
name = "wrong"
statement = "import nothing_of_this_name"

[[entry]]
name = "long"
statement = "open('{begun}', 'w').close(); import time; time.sleep({long})"
"""
ON = ("--profile=baseline", "--context=main", "--deadlock-matrix=matrix.toml")


def write(folder: Path, long: float) -> Path:
    begun = folder / "begun"
    (folder / "matrix.toml").write_text(MATRIX.format(begun=begun, long=long))
    shutil.copy(SUITE, folder)
    (folder / "test_other.py").write_text("def test_other(): pass\n")
    return begun


def run(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", *ON, "-p", "no:cacheprovider", *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, text=True, stdout=pipe, stderr=subprocess.STDOUT)


@pytest.mark.timeout(300)
def test_the_same_report_as_one_after_the_other(tmp_path: Path) -> None:
    write(tmp_path, 0.5)
    verdicts = {}
    for name, options in (("one", ()), ("four", ("--jobs=4", "--events=events.jsonl"))):
        process = run(tmp_path, f"--deadlock-matrix-report={name}", *options)
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 1, out
        assert "1 failed, 6 passed" in out
        report = read_report(tmp_path / name)
        results = (*report.cells, *report.controls)
        verdicts[name] = {each.cell.id: each.verdict for each in results}
        assert report.outcome is RunOutcome.UNEXPECTED
    assert verdicts["one"] == verdicts["four"]
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    kinds = [each["event"] for each in events]
    assert (kinds.count("start"), kinds.count("result")) == (6, 6)
    assert kinds[1:4] == ["start"] * 3  # side by side


@pytest.mark.timeout(300)
def test_ctrl_c_ends_what_is_running(tmp_path: Path) -> None:
    begun = write(tmp_path, 55)
    process = run(tmp_path, "--jobs=2", "-k", "long", "--deadlock-matrix-report=run")
    while not begun.exists():
        assert process.poll() is None
        time.sleep(0.02)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert time.monotonic() - asked < 30
    assert process.returncode == 130
    report = read_report(tmp_path / "run")
    assert report.outcome is RunOutcome.INTERRUPTED
    assert report.cells == ()
    assert len(report.controls) >= 1


# --- the engine alone -----------------------------------------------------------------------------


def answer(of: Cell) -> CellResult:
    return CellResult(cell=of, verdict=Verdict.OK, why="", observation=unknown("by script"))


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_no_more_at_once_than_asked_for_and_each_once(calls: int) -> None:
    cells = [cell(entry=f"e{number}") for number in range(50)]
    running, most, lock = 0, 0, threading.Lock()

    def busy(of: Cell, ended: Callable[[], None]) -> CellResult:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.001)
        with lock:
            running -= 1
        for _ in range(calls):
            ended()
        return answer(of)

    engine = LocalEngine(busy, 3)
    told = list(engine.run(cells))
    engine.close()
    assert [each.cell for each in told if isinstance(each, Started)] == [each.id for each in cells]
    assert sorted(each.cell for each in told if isinstance(each, Finished)) == sorted(
        each.id for each in cells
    )
    assert most == 3


def test_the_next_one_starts_as_soon_as_the_processes_of_one_have_ended() -> None:
    started = threading.Event()

    def run(of: Cell, ended: Callable[[], None]) -> CellResult:
        if of.entry.name == "first":
            ended()
            assert started.wait(20)
        started.set()
        return answer(of)

    engine = LocalEngine(run, 1)
    told = list(engine.run([cell(entry="first"), cell(entry="second")]))
    engine.close()
    results = [each.result for each in told if isinstance(each, Finished)]
    assert len(results) == 2 and all(isinstance(each, CellResult) for each in results)


def test_a_failing_harness_is_told_where_the_result_is() -> None:
    def fail(of: Cell, ended: Callable[[], None]) -> CellResult:
        raise RunError("the helper is gone")

    engine = LocalEngine(fail, 2)
    (finished,) = [each for each in engine.run([cell()]) if isinstance(each, Finished)]
    engine.close()
    assert isinstance(finished.result, RunError)


def test_one_that_never_comes_back_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deadlock_matrix.grid.local.MARGIN_S", 0.2)
    monkeypatch.setattr("deadlock_matrix.grid.local._LOOK_S", 0.05)
    forever = threading.Event()

    def hang(of: Cell, ended: Callable[[], None]) -> CellResult:
        if of.entry.name == "lost":
            forever.wait()
        return answer(of)

    engine = LocalEngine(hang, 1, forever.set)
    cells = [cell(entry="lost", deadline_s=0.1), cell(entry="next", deadline_s=0.1)]
    found = {each.cell: each.result for each in engine.run(cells) if isinstance(each, Finished)}
    engine.close()
    assert isinstance(found[cells[0].id], RunError)
    assert isinstance(found[cells[1].id], CellResult)


def test_giving_up_ends_what_is_running_and_begins_nothing() -> None:
    let_go, begun = threading.Event(), []

    def wait(of: Cell, ended: Callable[[], None]) -> CellResult:
        begun.append(of.id)
        let_go.wait(30)
        return answer(of)

    engine = LocalEngine(wait, 2, let_go.set)
    told = engine.run([cell(entry=f"e{number}") for number in range(10)])
    next(told)
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 5
    assert len(begun) <= 2
