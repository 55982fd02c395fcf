"""Which threads can never be woken, because only they themselves could do it.

This is the greatest fixed point: begin with every thread whose wait has a complete list of those
who could end it, and take away, as long as there is one, a thread that somebody outside the rest
could wake. What remains wakes nobody and is woken by nobody. A cycle of mutexes and a process all
of whose threads sleep are the same thing here; they differ in who the wakers are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deadlock_matrix.model.verdict import Condition, Gap
from deadlock_matrix.proof.conditions import check_process
from deadlock_matrix.proof.wait import Open, Wait
from deadlock_matrix.proof.waits import read_wait
from deadlock_matrix.proof.world import Key, World


@dataclass(frozen=True, kw_only=True)
class Stuck:
    """The threads that are stuck, and why the others are not."""

    waits: dict[Key, Wait]  # of the stuck threads alone
    gaps: dict[Key, tuple[Gap, ...]]  # of threads whose own wait may end, or is not understood
    free: dict[Key, Wait]  # of the rest: they wait for somebody who may move
    conditions: dict[int, tuple[Condition, ...]]  # of every process


def find_stuck(world: World) -> Stuck:
    """Find the largest set of threads that nobody outside it can wake."""
    conditions: dict[int, tuple[Condition, ...]] = {}
    process_gaps: dict[int, tuple[Gap, ...]] = {}
    for pid in world.after:
        conditions[pid], process_gaps[pid] = check_process(world, pid)

    waits: dict[Key, Wait] = {}
    gaps: dict[Key, tuple[Gap, ...]] = {}
    for key in world.everyone:
        wait = read_wait(world, key)
        if isinstance(wait, Open):
            gaps[key] = (wait.gap,)
            continue
        problems = [gap for pid in conditions_needed(world, key, wait) for gap in process_gaps[pid]]
        if problems:
            gaps[key] = tuple(problems)
        else:
            waits[key] = wait

    candidates = set(waits)
    changed = True
    while changed:
        # Most threads of a process share one set of wakers: ask of each set once.
        sets = {id(waits[key].wakers): waits[key].wakers for key in candidates}
        closed = {identity for identity, wakers in sets.items() if wakers <= candidates}
        free = {key for key in candidates if id(waits[key].wakers) not in closed}
        candidates -= free
        changed = bool(free)
    return Stuck(
        waits={key: waits[key] for key in candidates},
        gaps=gaps,
        free={key: wait for key, wait in waits.items() if key not in candidates},
        conditions=conditions,
    )


def conditions_needed(world: World, key: Key, wait: Wait) -> tuple[int, ...]:
    """The processes whose conditions the wait rests on."""
    if wait.scope == "tree":
        return tuple(sorted(world.after))
    return (key[0],) if wait.interruptible else ()


def reachable(stuck: Stuck, roots: Iterable[Key]) -> list[Key]:
    """The stuck threads that ``roots`` wait for, themselves first, near ones before far ones."""
    order: list[Key] = []
    waiting = sorted(roots)
    seen = set(waiting)
    while waiting:
        key = waiting.pop(0)
        order.append(key)
        for waker in sorted(stuck.waits[key].wakers - seen):
            seen.add(waker)
            waiting.append(waker)
    return order
