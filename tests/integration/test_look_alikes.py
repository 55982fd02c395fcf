"""No healthy program is called a deadlock, however much it looks like one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from integration.cells import THIS, Outcome, of_kind, run_all
from integration.looked_at import look_at_all
from integration.soak import MODES, soak
from scenarios.document import ScenarioKind

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="proofs are made on Linux"),
    pytest.mark.timeout(600),
]
AT_ONCE = 20
"""They sleep nearly all the time; what they cost is their start."""

BATCHES = 2
LOOK_ALIKES = of_kind(ScenarioKind.LOOK_ALIKE)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_look_alikes(batch: int, tmp_path: Path) -> None:
    todo = [(scenario, THIS) for scenario in LOOK_ALIKES[batch::BATCHES]]
    outcomes = run_all(todo, AT_ONCE, lambda: Workspace(tmp_path / "cache", tmp_path / "scratch"))
    assert len(outcomes) == len(todo)
    problems = [problem for outcome in outcomes if (problem := outcome.problem())]
    assert not problems, "\n".join(problems)
    if not any(outcome.result for outcome in outcomes):
        pytest.skip(_why(outcomes))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_what_is_said_of_them_while_they_run(batch: int) -> None:
    said = look_at_all(LOOK_ALIKES[batch::BATCHES], THIS, AT_ONCE)
    assert sum(times for each in said for times in each.times.values()) > len(said)
    problems = [problem for each in said for problem in each.problems()]
    assert not problems, "\n".join(problems)


def _why(outcomes: list[Outcome]) -> str:
    return "; ".join(sorted({outcome.unavailable for outcome in outcomes}))


# --- disturbed at the worst moment --------------------------------------------------------------

LEAVES_AN_ORPHAN = """
import os, signal, threading, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends is gone at once
stuck = os.fork()
if stuck == 0:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(3)
        os.kill(stuck, signal.SIGKILL)
        os._exit(0)
    while not os.path.exists(%r):
        time.sleep(0.0005)
    os._exit(0)
try:
    os.waitpid(stuck, 0)
except ChildProcessError:
    pass
"""


@pytest.mark.parametrize("number", [1, 2, 3])
def test_process_orphaned_just_before_a_snapshot(
    number: int,
    tmp_path: Path,
    make_cell: Callable[..., Cell],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is nobody's child for a moment, and will kill the one that is waited for."""
    go = tmp_path / "go"
    with Workspace(tmp_path / "cache", tmp_path / "scratch") as workspace:
        take = workspace.collector.snapshot
        taken: list[Snapshot] = []

        def let_the_parent_end_and_take(roots: Sequence[int]) -> Snapshot:
            if len(taken) == number - 1:
                go.touch()
                time.sleep(0.05)
            taken.append(take(roots))
            return taken[-1]

        monkeypatch.setattr(workspace.collector, "snapshot", let_the_parent_end_and_take)
        result = run_cell(make_cell(LEAVES_AN_ORPHAN % str(go)), workspace)
    assert len(taken) >= number
    assert result.verdict is Verdict.OK, result.why


@pytest.mark.soak
@pytest.mark.timeout(24 * 3600)
@pytest.mark.parametrize("mode", MODES)
def test_look_alikes_many_times(mode: str, soaked: dict[str, Any]) -> None:
    problems = soak(ScenarioKind.LOOK_ALIKE, mode, **soaked)
    assert not problems, "\n".join(problems)
