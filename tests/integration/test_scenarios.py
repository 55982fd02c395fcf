"""Every real deadlock of the project is proved, with the kind of proof that it says."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
from integration.cells import THIS, observed, of_kind, run_scenario
from integration.soak import MODES, soak
from scenarios.document import ScenarioKind
from scenarios.scenario import Scenario

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.run.workspace import Workspace

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="proofs are made on Linux"),
    pytest.mark.timeout(600),
]


@pytest.mark.parametrize("scenario", of_kind(ScenarioKind.DEADLOCK), ids=lambda s: s.name)
def test_scenario(scenario: Scenario, workspace: Workspace) -> None:
    outcome = run_scenario(scenario, THIS, workspace)
    if outcome.result is None:
        pytest.skip(outcome.unavailable)
    problem = outcome.problem()
    if os.geteuid() != 0 and "its descriptors are not readable: Permission denied" in problem:
        pytest.skip(f"others keep starting processes on this machine: {problem}")
    assert not problem
    if outcome.result.verdict is not Verdict.DEADLOCK:
        return
    judgement, detected_s = outcome.result.judgement, outcome.result.detected_after_s
    assert judgement is not None and judgement.proof is not None
    assert find_faults(judgement.proof) == ()
    assert outcome.result.why == judgement.proof.sentence
    assert detected_s is not None
    evidence = observed(outcome.result).evidence
    assert isinstance(evidence, Known)
    assert judge(evidence.value) == judgement


@pytest.mark.soak
@pytest.mark.timeout(24 * 3600)
@pytest.mark.parametrize("mode", MODES)
def test_scenarios_many_times(mode: str, soaked: dict[str, Any]) -> None:
    problems = soak(ScenarioKind.DEADLOCK, mode, **soaked)
    assert not problems, "\n".join(problems)
