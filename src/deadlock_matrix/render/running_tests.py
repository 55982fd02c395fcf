"""The tests that hang, by the names that their runner gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from deadlock_matrix.diagnosis.text import one_line
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.stack_facts import RunningTest
from deadlock_matrix.render.looked_at import LookedAt
from deadlock_matrix.render.page import Line

MOST_TOLD = 8


def test_lines(looked: LookedAt) -> Iterator[Line]:
    """Yield ``in the call of test_store.py::test_compaction (pytest)`` for each test concerned.

    If threads are stuck, that is the test of their process, or of the nearest process above it that
    runs one; otherwise it is every test of the tree, one of which is where it hangs.
    """
    tests = _tests(looked)
    stuck = {each.pid for each in looked.found.threads if each.stuck or each.likely}
    pids = dict.fromkeys(_nearest(looked, tests, stuck) if stuck else tests)
    with_process = len(pids) > 1
    for pid in list(pids)[:MOST_TOLD]:
        test = tests[pid]
        told = f"{test.doing} {test.test} ({test.runner}" + (
            f", process {pid})" if with_process else ")"
        )
        yield Line(f"  {one_line(told)}", "bold")
    if len(pids) > MOST_TOLD:
        yield Line(f"  and {len(pids) - MOST_TOLD} more")


def _tests(looked: LookedAt) -> dict[int, RunningTest]:
    """Return tests by process, in the order of the snapshot, parents first."""
    found: dict[int, RunningTest] = {}
    for (pid, _), stack in looked.python.items():
        if isinstance(stack.test, Known):
            found.setdefault(pid, stack.test.value)
    return {pid: found[pid] for pid in looked.processes if pid in found}


def _nearest(
    looked: LookedAt, tests: Mapping[int, RunningTest], pids: Iterable[int]
) -> Iterator[int]:
    for pid in sorted(pids):
        while pid in looked.processes and pid not in tests:
            pid = looked.processes[pid].parent
        if pid in tests:
            yield pid
