"""The largest set of threads that nobody outside it can wake."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.proof_factory import (
    evidence,
    in_call,
    on_futex,
    on_mutex,
    on_robust_mutex,
    process,
    running,
    sleeping,
)

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import known
from deadlock_matrix.model.thread_facts import ThreadFacts
from deadlock_matrix.proof.closure import find_stuck, reachable, read_all
from deadlock_matrix.proof.world import index


def stuck(what: Evidence) -> set[int]:
    return {tid for _, tid in find_stuck(read_all(index(what))).waits}


@pytest.mark.parametrize(
    ("threads", "expected"),
    [
        ([on_mutex(1, 1)], {1}),
        ([on_mutex(1, 1), on_futex(2)], {1, 2}),
        ([on_mutex(1, 1), sleeping(2)], set()),  # who could unlock it as well
        ([on_robust_mutex(1, 1), sleeping(2)], {1}),  # whose owner alone unlocks it
        ([on_mutex(1, 2), on_mutex(2, 1)], {1, 2}),
        ([on_mutex(1, 2), on_mutex(2, 3), on_mutex(3, 1)], {1, 2, 3}),
        ([on_mutex(1, 2), on_mutex(2, 1), sleeping(3)], {1, 2}),
        ([on_mutex(1, 2), on_mutex(2, 1), on_mutex(3, 1)], {1, 2, 3}),
        ([on_mutex(1, 2), on_mutex(2, 3), sleeping(3)], set()),
        ([on_mutex(1, 2), running(2)], set()),
        ([on_futex(1)], {1}),
        ([on_futex(1), on_futex(2)], {1, 2}),
        ([on_futex(1), sleeping(2)], set()),
        ([on_futex(1), on_mutex(2, 3), on_mutex(3, 2)], {1, 2, 3}),
        ([on_futex(1), on_mutex(2, 3), on_mutex(3, 2), sleeping(4)], {2, 3}),
        ([on_mutex(1, 2), on_futex(2)], {1, 2}),
        ([on_mutex(1, 2), on_futex(2), running(3)], set()),
        ([sleeping(1)], set()),
    ],
)
def test_one_process(threads: list[ThreadFacts], expected: set[int]) -> None:
    assert stuck(evidence(process(*threads))) == expected


@pytest.mark.parametrize(
    ("parent", "child", "expected"),
    [
        ([in_call(1, "wait4", 10)], [on_futex(10)], {1, 10}),
        ([in_call(1, "wait4", 10)], [on_mutex(10, 10)], {1, 10}),
        ([in_call(1, "wait4", 10)], [sleeping(10)], set()),
        ([in_call(1, "wait4", 10), sleeping(2)], [on_robust_mutex(10, 10)], {10}),  # could kill it
        ([on_robust_mutex(1, 1)], [sleeping(10)], {1}),  # a child that is none of its business
        ([sleeping(1)], [on_robust_mutex(10, 10)], {10}),
        # What has no owner could be between processes: one writes into the memory of the other.
        ([on_futex(1)], [sleeping(10)], set()),
        ([sleeping(1)], [on_futex(10)], set()),
    ],
)
def test_parent_and_child(
    parent: list[ThreadFacts], child: list[ThreadFacts], expected: set[int]
) -> None:
    assert stuck(evidence(process(*parent), process(*child, parent=1))) == expected


def test_process_that_can_be_reached_frees_only_waits_without_owner() -> None:
    threads = [on_mutex(1, 2), on_mutex(2, 1), on_futex(3)]
    assert stuck(evidence(process(*threads))) == {1, 2, 3}
    assert stuck(evidence(process(*threads, tracer=known(99, "status")))) == {1, 2}


def test_nearest_first() -> None:
    threads = [on_mutex(1, 3), on_mutex(2, 1), on_mutex(3, 2), on_mutex(4, 1)]
    found = find_stuck(read_all(index(evidence(process(*threads)))))
    assert [tid for _, tid in reachable(found, [(1, 1)])] == [1, 3, 2]
    assert [tid for _, tid in reachable(found, [(1, 4)])] == [4, 1, 3, 2]


# --- against brute force ------------------------------------------------------------------------

Model = dict[int, frozenset[int] | None]
"""Who can wake each thread; None: it may move by itself."""


@st.composite
def trees(draw: st.DrawFn) -> tuple[Evidence, Model]:
    """A parent and perhaps a child, with up to six threads between them, and what they wait for."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=2).filter(lambda s: sum(s) <= 6))
    groups = [[10 * (n + 1) + i for i in range(size)] for n, size in enumerate(sizes)]
    everybody = frozenset(chain.from_iterable(groups))
    model: Model = {}
    processes = []
    for number, group in enumerate(groups):
        threads = []
        kinds = ["moves", "futex", "mutex"]
        if number == 0 and len(groups) == 2:
            kinds.append("child")
        for tid in group:
            kind = draw(st.sampled_from(kinds))
            if kind == "mutex":
                owner = draw(st.sampled_from(group))
                threads.append(on_mutex(tid, owner))
                # A mutex that a thread locks twice may be unlocked by anybody.
                model[tid] = everybody if owner == tid else frozenset([owner])
            elif kind == "futex":
                threads.append(on_futex(tid))
                model[tid] = everybody
            elif kind == "child":
                threads.append(in_call(tid, "wait4", groups[1][0]))
                model[tid] = everybody
            else:
                threads.append(draw(st.sampled_from([sleeping, running]))(tid))
                model[tid] = None
        processes.append(process(*threads, parent=groups[0][0] if number else 0))
    return evidence(*processes), model


def is_closed(some: frozenset[int], model: Model) -> bool:
    return all((wakers := model[tid]) is not None and wakers <= some for tid in some)


@given(trees())
def test_is_the_largest_closed_set(tree: tuple[Evidence, Model]) -> None:
    what, model = tree
    subsets = chain.from_iterable(combinations(model, size) for size in range(len(model) + 1))
    closed = [frozenset(subset) for subset in subsets if is_closed(frozenset(subset), model)]
    assert stuck(what) == max(closed, key=len)
    assert all(subset <= max(closed, key=len) for subset in closed)


@given(trees())
def test_everybody_is_accounted_for(tree: tuple[Evidence, Model]) -> None:
    what, model = tree
    found = find_stuck(read_all(index(what)))
    told = [*found.waits, *found.free, *found.gaps]
    assert sorted(tid for _, tid in told) == sorted(model)
