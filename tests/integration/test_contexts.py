"""The contexts that ship with the tool, on the real torch where there is one."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from deadlock_matrix.app.configuration import load_configuration
from deadlock_matrix.matrix.expansion import expand
from deadlock_matrix.matrix.selection import Selection
from deadlock_matrix.model.cell import Cell, Interpreter
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult, Stopped
from deadlock_matrix.model.verdict import ProofKind, Verdict
from deadlock_matrix.run.capacity import cores
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="a fork of torch hangs on Linux"),
    pytest.mark.timeout(600),
]

WITH_TORCH = importlib.util.find_spec("torch") and importlib.util.find_spec("transformers")


def cell_of(tmp_path: Path, profile: str, context: str) -> Cell:
    """The built-in cell that builds a GPT-2 in the lazy layout."""
    this = Interpreter(name="this", executable=sys.executable)
    chosen = (f"profile={profile}", "layout=lazy", "entry=create-gpt2", f"context={context}")
    configuration = load_configuration(None, tmp_path, "splitlearn")
    (cell,) = expand(configuration, (this,), Selection(include=chosen, coverage="full"))
    return cell


@pytest.fixture
def run_built_in(workspace: Workspace, tmp_path: Path) -> Callable[[str, str], CellResult]:
    """Run it."""

    def build_and_run(profile: str, context: str) -> CellResult:
        cell = cell_of(tmp_path, profile, context)
        return run_cell(msgspec.structs.replace(cell, deadline_s=60.0), workspace)

    return build_and_run


@pytest.mark.skipif(not WITH_TORCH, reason="no torch in this interpreter")
@pytest.mark.skipif(cores() < 2, reason="on one core torch starts no threads")
def test_torch_hangs_in_a_child_forked_after_its_parent_has_computed(
    run_built_in: Callable[[str, str], CellResult],
) -> None:
    result = run_built_in("baseline", "fork-after-parallel")
    assert result.verdict is Verdict.DEADLOCK, result.why
    assert result.verdict in result.cell.expect
    assert result.judgement is not None and result.judgement.proof is not None
    assert result.judgement.proof.kind is ProofKind.CLOSED_WORLD
    assert isinstance(result.observation, Known)
    seen = result.observation.value
    assert seen.end == Stopped(reason="proved") and seen.phase == "entry"
    assert isinstance(seen.evidence, Known)
    parent, child = seen.evidence.value.after.processes
    # Other threads may be there: scipy's BLAS starts its own in the child.
    assert child.parent == parent.pid and child.threads
    # Native stacks are for people, and may not come in time on a busy machine.
    libraries = {
        thread.code.value.library.rpartition("/")[2]
        for thread in child.threads
        if isinstance(thread.code, Known)
    }
    assert any(name.startswith(("libgomp", "libiomp")) for name in libraries), libraries
    assert "OMP_NUM_THREADS" not in seen.environment


@pytest.mark.skipif(not WITH_TORCH, reason="no torch in this interpreter")
def test_torch_passes_with_one_thread(run_built_in: Callable[[str, str], CellResult]) -> None:
    result = run_built_in("threads-1", "fork-after-parallel")
    assert result.verdict is Verdict.OK, result.why
    assert isinstance(result.observation, Known)
    assert result.observation.value.environment["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize("context", ["main", "thread", "two-threads", "spawn"])
def test_what_the_built_in_contexts_mean(tmp_path: Path, context: str) -> None:
    cell = cell_of(tmp_path, "baseline", context)
    assert cell.context.calling.value == context
    assert (cell.context.prelude, cell.expect) == ("", (Verdict.OK,))


def test_a_fork_whose_prelude_cannot_run_is_an_error(
    run_built_in: Callable[[str, str], CellResult],
) -> None:
    if WITH_TORCH:
        pytest.skip("the prelude can run here")
    result = run_built_in("baseline", "fork-after-parallel")
    assert result.verdict is Verdict.ERROR
    assert "in the prelude" in result.why and "torch" in result.why
