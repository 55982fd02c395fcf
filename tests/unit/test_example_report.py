"""The report in the repository opens, and is judged again to the same verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.conclude import conclude
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.render.terminal import text
from deadlock_matrix.report.store import read_report

EXAMPLE = Path(__file__).parents[2] / "reports" / "example"


@pytest.fixture(scope="module")
def report() -> Report:
    return read_report(EXAMPLE)


def test_it_is_a_valid_run(report: Report) -> None:
    assert report.controlled
    assert report.summary.complete
    assert text(report, 80).startswith("valid")


def test_every_result_is_concluded_again(report: Report) -> None:
    deadlocks = 0
    for result in (*report.cells, *report.controls):
        assert isinstance(result.observation, Known)
        observation = result.observation.value
        judgement = result.judgement
        if isinstance(observation.evidence, Known):
            judgement = judge(observation.evidence.value)
            assert judgement == result.judgement
            assert judgement.proof is not None
            assert not find_faults(judgement.proof)
        verdict, why = conclude(observation, judgement)
        assert verdict is result.verdict
        assert why == result.why
        deadlocks += verdict is Verdict.DEADLOCK
    assert deadlocks == 2  # the control, and the model created after a fork
