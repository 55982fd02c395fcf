"""Semaphores in memory that processes share: who has one mapped, and who is inside its block.

Any process that has the memory could post one. So a wait for such a lock never proves anything; if
one thread of the tree is inside the ``with`` block of a lock of ``multiprocessing``, it is likely
that only this thread gives the lock back.
"""

from __future__ import annotations

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.stack_facts import HeldLock
from deadlock_matrix.model.thread_facts import Mapping
from deadlock_matrix.model.verdict import Condition, Node
from deadlock_matrix.proof.awaited import awaited_object, label_of_object, phrase_of_object
from deadlock_matrix.proof.cancellation import not_cancelled
from deadlock_matrix.proof.python_locks import (
    inside_of,
    place_of,
    released_by_holder,
    taking_of,
)
from deadlock_matrix.proof.wait import Wait
from deadlock_matrix.proof.words import enumeration
from deadlock_matrix.proof.world import Key, World

MOST_NAMED = 3
LOCKS = {"multiprocessing.Lock", "multiprocessing.RLock"}
"""One thread at a time is inside their blocks; a semaphore may have more holders than are seen."""

DELETED = " (deleted)"
_NAMELESS = "/dev/zero"  # memory shared without a file always has this name


def obstacle_of(world: World, key: Key, mapping: Mapping) -> str:
    """Say why a wait on shared memory is open, and who else has it, as far as is known."""
    path = mapping.path.removesuffix(DELETED)
    if not path.startswith("/") or path == _NAMELESS:
        return "waits on memory that other processes may share"
    others = [
        pid
        for pid, process in sorted(world.after.items())
        if pid != key[0]
        and isinstance(process.shared_files, Known)
        and mapping.path in process.shared_files.value
    ]
    named = [f"process {pid}" for pid in others[:MOST_NAMED]]
    if len(others) > MOST_NAMED:
        named.append(f"{len(others) - MOST_NAMED} more")
    of_tree = (
        f"{enumeration(named)} {'have' if len(others) > 1 else 'has'}"
        if named
        else ("no other process of the tree has")
    )
    file = f"{path}, which is removed" if mapping.path.endswith(DELETED) else path
    told = f"waits on shared memory ({file}), which {of_tree} mapped too"
    if not named and world.evidence.parents:
        parent = world.evidence.parents[0]
        told += f"; inspect its parent, process {parent.pid} ({parent.name}), to see others that do"
    return told


def holder_of_semaphore(world: World, path: str) -> tuple[Key, HeldLock] | None:
    """Return the one thread of the tree that is inside a ``with`` block of a semaphore's lock."""
    found = world.inside_semaphores.get(path, ()) if path else ()
    return found[0] if len(found) == 1 else None


def held_wait(
    world: World, key: Key, mapping: Mapping, conditions: tuple[Condition, ...]
) -> Wait | None:
    """Return the wait for a lock that, by assumption, only the process inside its block releases.

    The holder slept all the time, or is not stuck: see `python_locks`.
    """
    awaited = awaited_object(world, key)
    if awaited is None or awaited.kind not in LOCKS or awaited.semaphore != mapping.path:
        return None
    found = holder_of_semaphore(world, mapping.path)
    if found is None:
        return None
    holder, block = found
    holds = world.stack_by_thread[holder].holds
    source = holds.source if isinstance(holds, Known) else ""
    detail = (
        f"only {world.name(holder)} releases the lock of its `{taking_of(block)}` at "
        f"{place_of(block)}"
    )
    return Wait(
        node=Node(
            id=f"semaphore-{key[0]}-{awaited.address:#x}",
            kind="shared-lock",
            label=label_of_object(awaited),
        ),
        scope="thread",
        wakers=frozenset([holder]),
        interruptible=True,
        source=f"the semaphore in {mapping.path}",
        held_source=source,
        phrase=phrase_of_object(awaited),
        held_note=f" ({inside_of(block)})",
        conditions=(
            *conditions,
            not_cancelled(world, key),
            released_by_holder(key, detail, source),
        ),
    )
