"""A quick look at one snapshot: could a second one, or the stacks, show that something is stuck?"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.thread_facts import SystemCall
from deadlock_matrix.proof.closure import Stuck, find_stuck, read_all
from deadlock_matrix.proof.wait import Wait
from deadlock_matrix.proof.world import Key, World, index


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there may be something to prove, and if not, who would have to be asleep for it."""

    possible: bool
    in_the_way: frozenset[Key] = frozenset()


def outlook(evidence: Evidence, *, parts: bool = False) -> Outlook:
    """Return whether stacks, once read, could prove something with this evidence, or prove more.

    Only the stacks show the owner for a wait for the GIL, a join or an import lock. This is a quick
    look for the watchdog, so that it does not request stacks of a process that is at work. With
    ``parts`` it also considers threads beside a main thread that goes on.
    """
    world = index(evidence)
    if world.root not in world.after:
        return Outlook(possible=False)
    readings = read_all(world)
    stuck = find_stuck(readings, readings.assumptions())
    roots = world.roots()
    in_the_way = frozenset(_in_the_way(world, stuck, roots))
    if roots and not in_the_way:
        return Outlook(possible=True)
    possible = (
        bool(stuck.waits)
        or any(_may_run_tasks(world, key) for key in world.everyone)
        or (parts and any(_stacks_may_tell_holder(world, key) for key in stuck.gaps))
        or (parts and any(_stacks_may_tell(world, key, wait) for key, wait in stuck.free.items()))
    )
    return Outlook(possible=possible, in_the_way=in_the_way)


def _in_the_way(world: World, stuck: Stuck, roots: Iterable[Key]) -> Iterable[Key]:
    """Yield the threads whose moving shows that a root is not stuck; itself, or who may wake it."""

    def moves(key: Key) -> bool:
        told = any(gap.kind == "does-not-hold" for gap in stuck.gaps.get(key, ()))
        return told and not _stacks_may_tell_holder(world, key)

    for root in roots:
        wait = stuck.free.get(root)
        if wait is None:
            yield from (root,) if moves(root) else ()
        elif not _stacks_may_tell(world, root, wait):
            yield from filter(moves, wait.wakers)


def _may_run_tasks(world: World, key: Key) -> bool:
    """Return whether a thread sleeps as Python's event loop does, whose tasks may be stuck."""
    activity = world.threads[key].activity
    call = activity.value if isinstance(activity, Known) else None
    is_python = isinstance(world.after[key[0]].python, Known)
    if not is_python or not isinstance(call, SystemCall):
        return False
    return blocking(call.name).waits_for is WaitsFor.EPOLL


def _stacks_may_tell(world: World, key: Key, wait: Wait) -> bool:
    """Return whether a wait without an owner may turn out to be one of Python's that has one."""
    return wait.node.kind == "futex" and isinstance(world.after[key[0]].python, Known)


def _stacks_may_tell_holder(world: World, key: Key) -> bool:
    """Return whether a thread of Python sleeps for a semaphore that processes share."""
    thread, earlier = world.threads[key], world.threads_before.get(key)
    word = thread.word
    return (
        isinstance(word, Known)
        and word.value.mapping.permissions.endswith("s")
        and isinstance(world.after[key[0]].python, Known)
        and (earlier is None or earlier.switches == thread.switches)
    )
