"""Waits for locks of files: which processes have taken one, according to the kernel.

Such a lock is given back by whoever has the open file, and a process may have handed that on, even
to a process that nobody looks at. So a wait for one never proves anything; it is likely that only
the processes which took the lock give it back.
"""

from __future__ import annotations

from msgspec.structs import replace

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.thread_facts import SystemCall
from deadlock_matrix.model.verdict import Condition, Node
from deadlock_matrix.proof.activity import file_lock
from deadlock_matrix.proof.python_locks import released_by_holder
from deadlock_matrix.proof.wait import Open, Refusal, Wait
from deadlock_matrix.proof.words import enumeration
from deadlock_matrix.proof.world import Key, World


def file_lock_wait(world: World, key: Key, call: SystemCall, asleep: tuple[Condition, ...]) -> Open:
    """Say whose lock a thread asleep in ``flock`` or ``fcntl`` waits for."""
    phrase = file_lock(world, key)
    refused = Refusal(world.name(key)).because(phrase)
    fact = world.after[key[0]].file_locks
    if not isinstance(fact, Known) or len(fact.value) != 1:
        return refused
    (lock,) = fact.value
    threads = [world.live_by_process.get(pid, frozenset()) for pid in lock.holders]
    if not threads or not all(threads):
        return refused  # one has ended, or is outside of what is looked at
    wakers = frozenset[Key]().union(*threads)
    who = enumeration([f"process {pid}" for pid in sorted(lock.holders)])
    detail = f"only {who}, which took the {lock.kind} lock of {lock.path}, gives it back"
    held = Wait(
        node=Node(
            id=f"file-lock-{key[0]}-{call.arguments[0]}",
            kind="shared-lock",
            label=f"the {lock.kind} lock of {lock.path}",
        ),
        scope="thread" if len(wakers) == 1 else "threads",
        wakers=wakers,
        interruptible=True,
        source=f"/proc/{key[0]}/task/{key[1]}/syscall",
        held_source=fact.source,
        phrase=phrase,
        names_owner=True,
        conditions=(*asleep, released_by_holder(key, detail, fact.source)),
    )
    return replace(refused, assuming=(held,))
