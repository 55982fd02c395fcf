"""The table of blocking system calls: it is whole, and the only one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from unit.proof_factory import CHANNELS

from deadlock_matrix.capture.syscalls import NAMES
from deadlock_matrix.model.system_calls import BLOCKING, BlockingCall, Limit, WaitsFor, blocking

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "deadlock_matrix"
ROWS = pytest.mark.parametrize(("name", "row"), BLOCKING.items(), ids=BLOCKING)
POINTED = (Limit.MILLISECONDS, Limit.LENGTH, Limit.LENGTH_IN_MICROSECONDS, Limit.INSTANT)


@ROWS
def test_each_call_has_a_number(name: str, row: BlockingCall) -> None:
    assert any(name in table.values() for table in NAMES.values())


@ROWS
def test_a_limit_among_the_arguments_has_a_place(name: str, row: BlockingCall) -> None:
    assert (row.limit_at >= 0) is (row.limit in POINTED) or row.limit is Limit.BY_OPERATION
    assert row.limit_at < 6


@ROWS
def test_a_step_of_a_proof_has_somebody_who_ends_it(name: str, row: BlockingCall) -> None:
    assert bool(row.channels) is (row.ended_by != "not-followed")


@ROWS
def test_the_limit_of_a_descriptor_is_that_of_one(name: str, row: BlockingCall) -> None:
    assert len(row.descriptors_at) == 1 or row.limit is not Limit.OF_DESCRIPTOR


@ROWS
def test_what_its_reader_looks_at_is_named(name: str, row: BlockingCall) -> None:
    """`proof.pipes` follows the descriptors of a row, or those that are polled."""
    if row.ended_by == "other-ends":
        assert row.descriptors_at or row.arrays_at
        assert row.waits_for in (WaitsFor.READ, WaitsFor.WRITE) or row.polls
    if row.ended_by == "threads":
        assert row.waits_for is WaitsFor.WORD
    if row.ended_by == "child":
        assert row.waits_for is WaitsFor.CHILD


@ROWS
def test_what_polls_has_its_descriptors_somewhere(name: str, row: BlockingCall) -> None:
    assert row.polls is (bool(row.arrays_at) or row.waits_for is WaitsFor.EPOLL)
    assert (row.count_at >= 0) is bool(row.arrays_at)


@pytest.mark.parametrize("name", [name for name, row in BLOCKING.items() if row.channels])
def test_where_the_kernel_sleeps_was_seen(name: str) -> None:
    assert any(part in CHANNELS[name] for part in blocking(name).channels)


def test_a_call_that_is_not_listed_is_not_known() -> None:
    row = blocking("syscall_9999")
    assert row.limit is Limit.UNKNOWN
    assert not row.channels


OWN_TABLE = "model/system_calls.py"
WORDS = {"read", "write", "open", "poll", "select", "pause"}  # also used for other things
CALLS = "|".join(sorted(BLOCKING.keys() - WORDS))
SEVERAL = re.compile(rf'"({CALLS})"[^"\n]*,\s*\*?\(?"({CALLS})"')


def test_nobody_else_lists_them() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): match[0]
        for path in sorted(PACKAGE.rglob("*.py"))
        if (match := SEVERAL.search(path.read_text(encoding="utf-8")))
    }
    assert found.pop(OWN_TABLE)
    assert found == {}, "these list calls; let them ask the row of a call, `blocking(call.name)`"
