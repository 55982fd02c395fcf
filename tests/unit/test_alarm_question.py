"""Whose answer it is: a process is asked for its alarm by an id that may have changed hands."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from unit.proof_factory import UNKNOWN, catching, evidence, in_call, on_futex, process

from deadlock_matrix.capture.tree import read_entry
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.run.alarms import AlarmQuestion
from deadlock_matrix.run.process import Supervisor

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


class Answers:
    """Says of whoever it is asked that there is no alarm, or what it was given."""

    def __init__(self, answer: Known[tuple[float, ...]] | Unknown | None = None) -> None:
        self.answer = answer if answer is not None else known((), "getitimer")
        self.asked = 0

    def alarms(
        self, pids: Sequence[int], within_s: float
    ) -> dict[int, Known[tuple[float, ...]] | Unknown]:
        self.asked += 1
        return dict.fromkeys(pids, self.answer)


def waiting_for_us(**facts: Any) -> Evidence:
    """A process that waits for this very one, of which it is not known whether it has an alarm."""
    entry = read_entry(os.getpid())
    assert entry is not None
    facts = {"started": entry.started, **facts}
    child = process(on_futex(os.getpid()), parent=1, alarms=UNKNOWN, **facts)
    return evidence(process(in_call(1, "wait4", os.getpid())), child)


def asked_at(monkeypatch: pytest.MonkeyPatch, answers: Answers, seen: Evidence) -> list[float]:
    """At which of the first twenty seconds, in steps of a tenth, it asks."""
    now, times = 100.0, []
    monkeypatch.setattr("deadlock_matrix.run.alarms.time.monotonic", lambda: now)
    question, judgement = AlarmQuestion(cast(Supervisor, answers)), judge(seen)
    for step in range(200):
        now, before = 100.0 + step / 10, answers.asked
        question.complete(seen, judgement)
        if answers.asked > before:
            times.append(step / 10)
    return times


def test_who_does_not_answer_is_asked_again_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = asked_at(monkeypatch, Answers(unknown("it did not stop in time")), waiting_for_us())
    assert times == pytest.approx([0, 0.5, 1.5, 3.5, 7.5, 15.5], abs=0.15)


def test_who_has_an_alarm_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    times = asked_at(monkeypatch, Answers(known((60.0,), "getitimer")), waiting_for_us())
    assert times == pytest.approx([0, 10], abs=0.15)


def test_nobody_is_asked_where_sigalrm_has_a_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers()
    seen = waiting_for_us(signals=catching(14))
    assert judge(seen).outcome == "likely"
    assert asked_at(monkeypatch, answers, seen) == []


@pytest.mark.parametrize(("later", "outcome"), [(0, "deadlock"), (-1, "likely")])
def test_an_answer_of_a_process_that_has_the_id_only_now(later: int, outcome: str) -> None:
    entry = read_entry(os.getpid())
    assert entry is not None
    seen = waiting_for_us(started=entry.started + later)
    judgement = judge(seen)
    assert judgement.outcome == "likely"
    question = AlarmQuestion(cast(Supervisor, Answers()))
    assert question.complete(seen, judgement)[1].outcome == outcome
