"""A run that is killed at any moment is gone on with: nothing lost, nothing twice, nothing left."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from deadlock_matrix.model.outcome import RunOutcome
from deadlock_matrix.model.report import Report
from deadlock_matrix.report.store import read_report
from tests.integration.killed_runs import KilledRun

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are told by procfs")

REPEATS = 12
LONGEST_S = 12.0

Moment = Callable[[KilledRun], bool]


def after_s(seconds: float) -> Moment:
    until: list[float] = []

    def come(run: KilledRun) -> bool:
        until.append(time.monotonic() + seconds)
        return time.monotonic() >= until[0]

    return come


def after_results(number: int) -> Moment:
    before: list[int] = []

    def come(run: KilledRun) -> bool:
        before.append(run.lines().total())
        return before[-1] - before[0] >= number

    return come


def planned(run: KilledRun) -> bool:
    return (run.run / "plan.json").exists()


def kill_and_resume(folder: Path, moments: Sequence[Moment]) -> list[float]:
    """Kill a run at each moment, and go on with it; seconds until nothing was left, each time."""
    run = KilledRun(folder, REPEATS)
    gone, begun, kills = [], False, 0
    for moment in moments:
        before = run.lines()
        process = run.start(*(("--resume=run", "--jobs=2", "-q") if begun else ()))
        while process.poll() is None and not moment(run):
            time.sleep(0.01)
        process.kill()
        process.wait()
        kills += 1
        seconds, left = run.gone_after()
        assert not left, left
        gone.append(seconds)
        now = run.lines()
        assert not before - now, "a finished cell is lost"
        begun = (run.run / "plan.json").exists()
    process = run.start(*(("--resume=run", "--jobs=2", "-q") if begun else ()))
    process.wait(500)
    assert not run.left_behind()
    counts = run.ids()
    assert set(counts.values()) == {1}, {id_: n for id_, n in counts.items() if n > 1}
    report = read_report(run.run)
    # Not the outcome: on a busy machine, a control that is run beside this may be late.
    assert report.summary.complete, (folder / "out.txt").read_text()[-3000:]
    assert report.summary.verdicts == {"ok": 2 * REPEATS}
    executed = run.counts.read_text().split()
    assert 2 * REPEATS <= len(executed) <= 2 * REPEATS + 2 * kills
    return gone


@pytest.mark.timeout(600)
def test_a_few_moments(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, [planned, after_results(1), after_results(5), after_s(0.3)])


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_many_moments(pytestconfig: pytest.Config) -> None:
    """As many runs as ``--runs`` says, each killed ten times at random: ten for a hundred."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    gone: list[float] = []
    for _ in range(pytestconfig.getoption("--runs")):
        with tempfile.TemporaryDirectory(prefix="killed-") as folder:
            gone += kill_and_resume(
                Path(folder), [after_s(moments.uniform(0.1, LONGEST_S)) for _ in range(10)]
            )
        print(f"{len(gone)} kills; nothing left after {max(gone):.2f} s at most", flush=True)


# --- what still holds -----------------------------------------------------------------------------


TWO_LAYOUTS = """
statement = "import pack"

[[layout]]
name = "one"
overlays = ["one"]

[[layout]]
name = "two"
overlays = ["two"]
"""


class Matrix:
    """A folder with two layouts of a package; each run is a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "matrix.toml").write_text(TWO_LAYOUTS)
        for name in ("one", "two"):
            (folder / name / "pack").mkdir(parents=True)
            self.write(name, "")

    def write(self, layout: str, text: str) -> None:
        (self.folder / layout / "pack" / "__init__.py").write_text(text)

    def run(self, *arguments: str, status: int = 0) -> str:
        environment = {**os.environ, "DEADLOCK_MATRIX_CACHE": str(self.folder / "cache")}
        done = subprocess.run(
            [sys.executable, "-m", "deadlock_matrix", "run", *arguments, "-n0", "-q"],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == status, done.stdout[-3000:] + done.stderr[-1000:]
        return done.stdout + done.stderr

    def report(self, name: str) -> Report:
        return read_report(self.folder / name)

    def taken(self, name: str) -> dict[str, bool]:
        return {
            each.cell.layout.name: bool(each.taken_from)
            for each in (*self.report(name).cells, *self.report(name).controls)
        }


FIRST = (
    *("--config=matrix.toml", "--profile=baseline", "--context=main"),
    "--deadlock-matrix-report=first",
)


@pytest.mark.timeout(600)
def test_only_what_changed_is_run_again(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path)
    matrix.run(*FIRST)
    matrix.write("two", "edited = True")
    said = matrix.run("--resume=first", status=4)
    assert "content of this/baseline/two/import/main changed: add --only-changed" in said
    matrix.run("--resume=first", "--only-changed", "--deadlock-matrix-report=second")
    assert matrix.report("second").outcome is RunOutcome.AS_EXPECTED
    taken = matrix.taken("second")
    assert (taken.pop("one"), taken.pop("two")) == (True, False)
    assert not any(taken.values())  # controls stand beside what is run
    matrix.run("--resume=second/report.json", "--only-changed", "--deadlock-matrix-report=third")
    assert all(matrix.taken("third").values())
    runs = {each.taken_from for each in matrix.report("third").cells}
    assert runs == {matrix.report(name).run for name in ("first", "second")}


@pytest.mark.timeout(600)
def test_what_was_not_expected_is_run_again_and_told_as_it_happens(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path)
    matrix.write("one", "import os\nif os.path.exists('/proc'): raise ImportError('broken')")
    matrix.run(*FIRST, "--fail-fast", "--events=events.jsonl", status=75)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [each["event"] for each in events] == ["begin", *["start", "result"] * 4, "end"]
    assert events[0]["cells"] == 2
    last = events[-2]
    assert (last["verdict"], last["as_expected"]) == ("error", False)
    assert "broken" in last["why"]
    assert (events[-1]["outcome"], events[-1]["unexpected"]) == ("incomplete", 1)
    matrix.run("--resume=first", status=1)  # what is missing, and nothing else
    assert matrix.report("first").summary.verdicts == {"ok": 1, "error": 1}
    again = ("--resume=first", "--rerun=unexpected", "--deadlock-matrix-report=second")
    matrix.run(*again, status=1)
    assert (matrix.taken("second")["one"], matrix.taken("second")["two"]) == (False, True)
