"""Locks of files: likely to be given back only by the processes that took them."""

from __future__ import annotations

import msgspec
import pytest
from unit.proof_factory import evidence, in_call, process

from deadlock_matrix.model.fact import known
from deadlock_matrix.model.process_facts import FileLock, ProcessFacts
from deadlock_matrix.model.thread_facts import NoTimeout
from deadlock_matrix.proof.check import find_faults
from deadlock_matrix.proof.judge import judge

UNLIMITED = known(NoTimeout(), "flock's wait for a file lock has no time limit")


def waits_for(pid: int, *locks: FileLock, call: str = "flock") -> ProcessFacts:
    facts = process(in_call(pid, call, 4, timeout=UNLIMITED), pid=pid)
    parent = 1 if pid != 1 else facts.parent
    return msgspec.structs.replace(facts, parent=parent, file_locks=known(locks, "/proc/locks"))


def lock(*holders: int, ended: tuple[int, ...] = ()) -> FileLock:
    return FileLock(path="/srv/db", kind="flock", holders=holders, ended=ended)


@pytest.mark.parametrize("call", ["flock", "fcntl"])
def test_a_circle_is_likely(call: str) -> None:
    found = judge(evidence(waits_for(1, lock(5), call=call), waits_for(5, lock(1), call=call)))
    assert found.outcome == "likely" and found.proof is not None
    assert not find_faults(found.proof)
    assumed = [each.detail for each in found.proof.assumptions]
    assert "only process 5, which took the flock lock of /srv/db, gives it back" in assumed
    assert [(each.held_by.pid, each.held_by.tid) for each in found.threads if each.held_by] == [
        (5, 5),
        (1, 1),
    ]


@pytest.mark.parametrize(
    "held", [(), (lock(),), (lock(-1),), (lock(77),), (lock(5, 77),), (lock(5), lock(5))]
)
def test_nothing_is_likely_where_a_holder_is_not_seen(held: tuple[FileLock, ...]) -> None:
    found = judge(evidence(waits_for(1, *held), waits_for(5, lock(1))))
    assert found.outcome == "not-proved"
    assert any("lock" in gap.detail for gap in found.gaps)


def test_a_process_that_gave_the_lock_to_its_child_counts_with_it() -> None:
    both = lock(1, 5)
    found = judge(evidence(waits_for(1, both), waits_for(5, both)))
    assert found.outcome == "likely" and found.proof is not None
    assert not find_faults(found.proof)
