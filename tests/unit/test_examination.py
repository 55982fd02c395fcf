"""What is left of an examination when the time is up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from deadlock_matrix.errors import OutOfTime
from deadlock_matrix.model.evidence import Evidence, Machine
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.process_facts import Snapshot
from deadlock_matrix.model.stack_facts import StackFacts
from deadlock_matrix.run.examination import examine
from tests.unit.proof_factory import evidence, on_mutex, process, stack, stacks

CROSSED = evidence(
    process(on_mutex(100, owner=101), on_mutex(101, owner=100)),
    stacks=(stacks(100, stack(100), stack(101)),),
)


class Collector:
    """Gives the same again and again, until the time is up after so many snapshots."""

    def __init__(self, found: Evidence, snapshots: int) -> None:
        self.found = found
        self.left = snapshots

    def machine(self, pid: int) -> Machine:
        return self.found.machine

    def snapshot(self, roots: Sequence[int]) -> Snapshot:
        if not self.left:
            raise OutOfTime("process 100 cannot be inspected: there was no time left for it.")
        self.left -= 1
        return self.found.before if self.left else self.found.after

    def python_stacks(self, pids: Sequence[int], awaited: object = ()) -> tuple[StackFacts, ...]:
        return self.found.stacks


def test_two_snapshots_are_enough() -> None:
    _, judgement = examine(Collector(CROSSED, 2), lambda: (100,))  # type: ignore[arg-type]
    assert judgement.outcome == "deadlock"


def test_one_snapshot_is_shown_and_proves_nothing() -> None:
    found, judgement = examine(Collector(CROSSED, 1), lambda: (100,))  # type: ignore[arg-type]
    assert judgement.outcome == "not-proved"
    assert "no time for a second look" in judgement.gaps[0].detail
    assert {each.tid for each in judgement.threads} == {100, 101}
    assert isinstance(found.stacks[0].stacks, Known)


def test_without_any_snapshot_there_is_nothing_to_show() -> None:
    with pytest.raises(OutOfTime):
        examine(Collector(CROSSED, 0), lambda: (100,))  # type: ignore[arg-type]
