"""Who is visited: everybody in the census, and, if somebody was born, whoever is new."""

from __future__ import annotations

import os
import sys
import threading

import pytest
from msgspec.structs import replace

from deadlock_matrix.capture.census import Census, take_census, visit_processes
from deadlock_matrix.capture.tree import Process, read_entry

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_nobody_is_visited_twice_though_somebody_was_born() -> None:
    """The kernel counts threads as births too."""
    census = take_census()
    thread = threading.Thread(target=str)
    thread.start()
    thread.join()
    visited: list[int] = []
    visit_processes(census, lambda process: False, lambda p: visited.append(p.pid) is None)
    assert not census.is_complete()
    assert os.getpid() in visited and len(visited) == len(set(visited))


def test_who_is_skipped_is_asked_again_if_the_number_is_another_s() -> None:
    """The census says of our own number that it belongs to somebody who began earlier."""
    census = take_census()
    me = read_entry(os.getpid())
    assert me is not None
    earlier = replace(me, started=me.started - 1, has_ended=True)
    stale = Census(born=max(census.born - 1, 0), table={**census.table, me.pid: earlier})
    visited: list[Process] = []
    visit_processes(stale, lambda process: process.has_ended, lambda p: visited.append(p) is None)
    assert me.pid in [each.pid for each in visited]


def test_without_a_birth_nobody_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Process(pid=1 << 30, parent=1, started=5, state="S", is_kernel_thread=False)
    monkeypatch.setattr("deadlock_matrix.capture.census.births_of_processes", lambda: 7)
    visited: list[Process] = []
    census = Census(born=7, table={one.pid: one})
    visit_processes(census, lambda process: False, lambda p: visited.append(p) is None)
    assert visited == [one] and census.is_complete()


def test_births_that_nobody_counts_are_no_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deadlock_matrix.capture.census.births_of_processes", lambda: 0)
    assert not Census(born=0, table={}).is_complete()
