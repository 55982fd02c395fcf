"""The report in the repository opens, and is judged again to the same verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import AssumptionKind, Verdict
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
            # An earlier version wrote it, which put less into a proof.
            assert result.judgement is not None
            assert judgement.proof is not None and result.judgement.proof is not None
            assert judgement.proof.kind is result.judgement.proof.kind
            assert not find_faults(judgement.proof)
            if judgement.outcome == "likely":  # nor did it ask for alarms
                assert {each.kind for each in judgement.proof.assumptions} == {
                    AssumptionKind.NO_ALARM
                }
                deadlocks += result.verdict is Verdict.DEADLOCK
                continue
            assert judgement.outcome == result.judgement.outcome
        verdict, why = conclude(observation, judgement)
        assert verdict is result.verdict
        if verdict is not Verdict.DEADLOCK:
            assert why == result.why
        deadlocks += verdict is Verdict.DEADLOCK
    assert deadlocks == 2  # the control, and the model created after a fork
