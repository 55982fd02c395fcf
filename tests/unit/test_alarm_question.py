"""Whose answer it is: a process is asked for its alarm by an id that may have changed hands."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from unit.proof_factory import UNKNOWN, evidence, in_call, on_futex, process

from deadlock_matrix.capture.tree import read_entry
from deadlock_matrix.model.fact import Known, Unknown, known
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.run.alarms import AlarmQuestion
from deadlock_matrix.run.process import Supervisor

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


class Answers:
    """Says of whoever it is asked that there is no alarm."""

    def alarms(
        self, pids: Sequence[int], within_s: float
    ) -> dict[int, Known[tuple[float, ...]] | Unknown]:
        return {pid: known((), "getitimer") for pid in pids}


@pytest.mark.parametrize(("later", "outcome"), [(0, "deadlock"), (-1, "likely")])
def test_an_answer_of_a_process_that_has_the_id_only_now(later: int, outcome: str) -> None:
    entry = read_entry(os.getpid())
    assert entry is not None
    started = entry.started + later
    child = process(on_futex(os.getpid()), parent=1, started=started, alarms=UNKNOWN)
    seen = evidence(process(in_call(1, "wait4", os.getpid())), child)
    judgement = judge(seen)
    assert judgement.outcome == "likely"
    question = AlarmQuestion(cast(Supervisor, Answers()))
    assert question.complete(seen, judgement)[1].outcome == outcome
