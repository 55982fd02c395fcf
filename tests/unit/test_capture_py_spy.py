"""What py-spy tells, in the words that are used here."""

from __future__ import annotations

import sys

import pytest

from deadlock_matrix.capture import stack_tools
from deadlock_matrix.capture.py_spy import PySpyFailed, _frame
from deadlock_matrix.model.fact import unknown
from deadlock_matrix.model.stack_facts import ThreadStack

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the readers of Linux")


@pytest.mark.parametrize(
    ("told", "function"),
    [
        ("Thread._wait_for_tstate_lock", "_wait_for_tstate_lock"),
        ("main.<locals>.größe", "größe"),
        ("Класс.метод", "метод"),
        ("f.<locals>.<lambda>", "<lambda>"),
        ("<module>", "<module>"),
        ("join", "join"),
    ],
)
def test_a_function_has_its_plain_name(told: str, function: str) -> None:
    frame = {"name": told, "filename": "/app/проект.py", "line": 7, "locals": None}
    assert _frame(frame).function == function


def stack(tid: int) -> ThreadStack:
    return ThreadStack(tid=tid, name="", python=(), native=(), holds_gil=unknown("not asked"))


@linux_only
@pytest.mark.parametrize(
    ("ids", "told", "seen"),
    [
        ({700: 700, 701: 701}, (700, 701), (700, 701)),  # no container
        ({1: 700, 8: 701}, (1, 8), (700, 701)),  # the container's ids
        ({1: 700, 8: 701}, (700, 701), (700, 701)),  # ours
        ({1: 2, 2: 1}, (1, 2), None),  # either
        ({1: 700, 8: 701}, (9,), None),  # nobody's
    ],
)
def test_threads_have_the_observer_s_ids(
    monkeypatch: pytest.MonkeyPatch,
    ids: dict[int, int],
    told: tuple[int, ...],
    seen: tuple[int, ...] | None,
) -> None:
    monkeypatch.setattr(stack_tools, "_ids", lambda pid: ids)
    threads = tuple(map(stack, told))
    if seen is None:
        with pytest.raises(PySpyFailed, match="ids"):
            stack_tools._as_seen_here(7, threads)
    else:
        assert tuple(t.tid for t in stack_tools._as_seen_here(7, threads)) == seen
