"""Semaphores in memory that processes share: who has one mapped, and who is inside its block."""

from __future__ import annotations

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.stack_facts import HeldLock
from deadlock_matrix.model.thread_facts import Mapping
from deadlock_matrix.proof.words import enumeration
from deadlock_matrix.proof.world import Key, World

MOST_NAMED = 3
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
    return f"waits on shared memory ({file}), which {of_tree} mapped too"


def holder_of_semaphore(world: World, path: str) -> tuple[Key, HeldLock] | None:
    """Return the one thread of the tree that is inside a ``with`` block of a semaphore's lock."""
    found = world.inside_semaphores.get(path, ()) if path else ()
    return found[0] if len(found) == 1 else None
