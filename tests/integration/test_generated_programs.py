"""Programs made at random, run for real, and judged as the one who made them knows they must be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import Phase, given, note, reject, settings
from hypothesis import strategies as st
from integration.programs import KINDS, LATE, Lock, Model, Program

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import Exited
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.workspace import Workspace

T = TypeVar("T")
MakeCell = Callable[..., Cell]
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="proofs are made on Linux"),
    pytest.mark.timeout(600),
]
WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each example is a real process: the plan that is printed has to do."""


class Dice:
    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def one_of(self, options: list[T]) -> T:
        return self._draw(st.sampled_from(options))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=2, max_size=4))
    model = Model(threads=draw(st.integers(2, 5)), locks=[Lock(kind) for kind in kinds])
    return model.make(Dice(draw), length=draw(st.integers(4, 16)))


def judge_for_real(program: Program, workspace: Workspace, make_cell: MakeCell) -> None:
    note(program.describe())
    hangs = program.verdict is Verdict.HANG
    deadline_s = program.lasts_s + 2.0 if hangs else program.lasts_s + 40.0
    result = run_cell(make_cell(program.statement(), deadline_s=deadline_s), workspace)
    note(f"{result.verdict.value}: {result.why}")
    assert isinstance(result.observation, Known)
    if result.observation.value.end == Exited(status=LATE):
        assert result.verdict is Verdict.ERROR
        reject()  # too busy a machine for this plan
    note(result.observation.value.stderr.kept)
    found = Verdict.HANG if result.verdict is Verdict.SLOW else result.verdict
    assert found is program.verdict
    if found is Verdict.DEADLOCK:
        assert result.judgement is not None and result.judgement.proof is not None
        assert find_faults(result.judgement.proof) == ()


@settings(max_examples=25, deadline=None, derandomize=True, phases=WITHOUT_SHRINKING)
@given(program=programs())
def test_generated_program(program: Program, workspace: Workspace, make_cell: MakeCell) -> None:
    judge_for_real(program, workspace, make_cell)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@settings(max_examples=1000, deadline=None, phases=WITHOUT_SHRINKING)
@given(program=programs())
def test_many_generated_programs(
    program: Program, workspace: Workspace, make_cell: MakeCell
) -> None:
    judge_for_real(program, workspace, make_cell)
