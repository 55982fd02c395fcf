"""Which threads can never be woken, because only they themselves could do it.

This is the greatest fixed point: begin with every thread whose wait has a complete list of those
who could end it, and, as long as there is one, remove a thread that somebody outside the set could
wake. What remains wakes nobody and is woken by nobody. A cycle of mutexes and a process all of
whose threads sleep are the same thing here; they differ only in who the wakers are.

It is computed from facts alone, and again, if wanted, with a set of assumptions allowed. A wait may
then have more than one reading; it is enough that one of them has nobody left who could end it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from functools import cached_property

import msgspec

from deadlock_matrix.model.verdict import Assumption, Condition, ConditionName, Gap
from deadlock_matrix.proof.conditions import NAMES, OF_EVERY_WAIT, Conditions, check_process
from deadlock_matrix.proof.wait import Open, Wait
from deadlock_matrix.proof.waits import read_wait
from deadlock_matrix.proof.world import Key, World


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """What every live thread waits for, and the conditions of every process, read once."""

    waits: dict[Key, Wait | Open]
    conditions: dict[int, Conditions]

    def assumptions(self) -> frozenset[Assumption]:
        """Everything that could be assumed."""
        of_processes = (
            condition.assumes
            for conditions in self.conditions.values()
            for condition in conditions.hold.values()
        )
        of_waits = (
            reading.assumptions for wait in self.waits.values() for reading in _readings(wait)
        )
        return frozenset(each for group in (*of_processes, *of_waits) for each in group)


class Stuck(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The threads that are stuck, and why the others are not."""

    waits: dict[Key, Wait]  # of the stuck threads alone
    gaps: dict[Key, tuple[Gap, ...]]  # of threads whose own wait may end, or is not understood
    free: dict[Key, Wait]  # of the rest: they wait for somebody who may move
    readings: Readings  # from which it was computed

    @cached_property
    def gil_holders(self) -> frozenset[Key]:
        """The holders of the GIL for which stuck threads wait."""
        waits = (wait for wait in self.waits.values() if wait.node.kind == "gil")
        return frozenset(holder for wait in waits for holder in wait.wakers)


def read_all(world: World) -> Readings:
    """Read the waits of all live threads, and the conditions of all processes."""
    return Readings(
        waits={key: read_wait(world, key) for key in world.everyone},
        conditions={pid: check_process(world, pid) for pid in world.after},
    )


def find_stuck(readings: Readings, allowed: Collection[Assumption] = frozenset()) -> Stuck:
    """Find the largest set of threads that nobody outside it can wake, given what is allowed."""
    problems: dict[object, tuple[Gap, ...]] = {}

    def why_not(key: Key, wait: Wait) -> tuple[Gap, ...]:
        if not all(each in allowed for each in wait.assumptions):
            return tuple(_as_gap(each) for each in wait.assumptions if each not in allowed)
        # Checked once per tree or process: thousands of waits rest on the same conditions.
        rests_on = "tree" if wait.scope == "tree" else (key[0], wait.interruptible)
        if rests_on not in problems:
            found = (
                gap
                for pid, names in conditions_needed(readings, key, wait)
                for gap in _problems(readings.conditions[pid], names, allowed)
            )
            problems[rests_on] = tuple(dict.fromkeys(found))
        return problems[rests_on]

    possible: dict[Key, list[Wait]] = {}
    gaps: dict[Key, tuple[Gap, ...]] = {}
    for key, read in readings.waits.items():
        if isinstance(read, Open):
            gaps[key] = (read.gap,)
        for reading in _readings(read):
            problem = why_not(key, reading)
            if not problem:
                possible.setdefault(key, []).append(reading)
            elif reading is read:
                gaps[key] = problem
        if key in possible:
            gaps.pop(key, None)

    candidates = set(possible)
    while True:
        # Most threads of a process share one set of wakers: check each set once.
        sets = {id(wait.wakers): wait.wakers for key in candidates for wait in possible[key]}
        closed = {identity for identity, wakers in sets.items() if wakers <= candidates}
        stuck = {
            key: wait
            for key in candidates
            for wait in reversed(possible[key])
            if id(wait.wakers) in closed
        }
        if len(stuck) == len(candidates):
            break
        candidates = set(stuck)
    return Stuck(
        waits=stuck,
        gaps=gaps,
        free={key: waits[0] for key, waits in possible.items() if key not in stuck},
        readings=readings,
    )


def _readings(read: Wait | Open) -> tuple[Wait, ...]:
    """Return all readings of a wait, the one by facts first."""
    return read.assuming if isinstance(read, Open) else (read, *read.assuming)


def _problems(
    conditions: Conditions, names: tuple[ConditionName, ...], allowed: Collection[Assumption]
) -> tuple[Gap, ...]:
    gaps = [conditions.gaps[name] for name in names if name in conditions.gaps]
    missing = (
        each
        for condition in conditions.wanted(names)
        for each in condition.assumes
        if each not in allowed
    )
    return (*gaps, *(_as_gap(each) for each in dict.fromkeys(missing)))


def _as_gap(assumption: Assumption) -> Gap:
    subject = assumption.subject.replace("-", " ", 1)
    return Gap(
        kind="does-not-hold",
        subject=subject,
        detail=f"would have to be assumed not to be woken: {assumption.detail}",
    )


def conditions_needed(
    readings: Readings, key: Key, wait: Wait
) -> tuple[tuple[int, tuple[ConditionName, ...]], ...]:
    """Return the processes on whose conditions the wait rests, and on which of them."""
    if wait.scope == "tree":
        return tuple((pid, NAMES) for pid in sorted(readings.conditions))
    return ((key[0], NAMES if wait.interruptible else OF_EVERY_WAIT),)


def conditions_of(stuck: Stuck, keys: Iterable[Key]) -> list[Condition]:
    """Return all conditions on which the waits of these threads rest, each once."""
    found: dict[Condition, None] = {}
    asked: set[tuple[int, tuple[ConditionName, ...]]] = set()
    for key in keys:
        wait = stuck.waits[key]
        found.update(dict.fromkeys(wait.conditions))
        for pid, names in conditions_needed(stuck.readings, key, wait):
            if (pid, names) not in asked:
                asked.add((pid, names))
                found.update(dict.fromkeys(stuck.readings.conditions[pid].wanted(names)))
    return list(found)


def reachable(stuck: Stuck, roots: Iterable[Key]) -> list[Key]:
    """Return the stuck threads that ``roots`` wait for, themselves first, then by distance."""
    order: list[Key] = []
    waiting = deque(sorted(roots))
    seen = set(waiting)
    asked: set[int] = set()
    while waiting:
        key = waiting.popleft()
        order.append(key)
        wakers = stuck.waits[key].wakers
        if id(wakers) in asked:
            continue
        asked.add(id(wakers))
        for waker in sorted(wakers - seen):
            seen.add(waker)
            waiting.append(waker)
    return order
