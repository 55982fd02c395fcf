"""Python's own ``Lock`` and ``RLock``: who owns one, and who is inside its ``with`` block.

Only its owner can release an ``RLock``: ``release`` raises in any other thread. So it is a fact on
whom the wait depends. Any thread may release a ``Lock``. If one thread is inside a ``with`` block
of it, that thread took it; that it also releases it is an assumption.

Both were read between the snapshots. The owner or holder either slept all that time, or is not
among the stuck threads. Asleep it neither takes nor releases anything, so what it held when the
lock was read it also holds at the moment between the snapshots.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.stack_facts import HeldLock, PythonLock, PythonMutex
from deadlock_matrix.model.verdict import Assumption, AssumptionKind, Condition, Node
from deadlock_matrix.proof.interpreter import describe, may_be_main, stacks_of
from deadlock_matrix.proof.wait import Wait, thread_id
from deadlock_matrix.proof.world import InsideBlock, Key, World

MUTEX_IN_OBJECT = 10
"""Where an object of a free-threaded build has its own mutex."""

UNINTERRUPTED = Condition(
    name="not-interrupted",
    subject="",
    detail="no signal ends such a wait of a thread other than Python's main thread",
    source="Modules/_threadmodule.c of CPython, 3.8 to 3.15",
)


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who has a lock, as far as that is known, and how it was found out."""

    thread: Key
    block: HeldLock | None  # None if the RLock itself names its owner
    source: str

    @property
    def inside(self) -> str:
        """Where it is, if a block shows that: ``inside `with a` at store.py:40``."""
        return inside_of(self.block) if self.block else ""


def lock_of(world: World, key: Key) -> PythonLock | None:
    """Return the lock a thread sleeps for, if that was read and the thread sleeps on its futex."""
    stack, word = stacks_of(world, key), world.threads[key].word
    if stack is None or not isinstance(stack.waits_for, Known) or not isinstance(word, Known):
        return None
    lock = stack.waits_for.value
    return lock if lock.word == word.value.address else None


def mutex_of(world: World, key: Key) -> PythonMutex | None:
    """Return the ``PyMutex`` a thread sleeps for, if read and the thread sleeps on its futex."""
    stack, word = stacks_of(world, key), world.threads[key].word
    if stack is None or not isinstance(word, Known):
        return None
    mutex = stack.waits_for_mutex
    if not isinstance(mutex, Known) or mutex.value.word != word.value.address:
        return None
    return mutex.value


def held_locks(world: World, key: Key) -> tuple[HeldLock, ...]:
    """Return the locks whose ``with`` blocks a thread is in, as far as they were read."""
    stack = stacks_of(world, key)
    return stack.holds.value if stack is not None and isinstance(stack.holds, Known) else ()


def holder_of(world: World, key: Key, lock: PythonLock) -> Holder | None:
    """Return the one live thread that has ``lock``, for which ``key`` waits, or None."""
    if lock.kind == "RLock":
        owner = (key[0], lock.owner.value) if isinstance(lock.owner, Known) else key
        if owner == key or owner not in world.live(key[0]):
            return None
        assert isinstance(lock.owner, Known)
        return Holder(thread=owner, block=None, source=lock.owner.source)
    if key[0] not in world.inside_blocks:
        world.inside_blocks[key[0]] = _inside_blocks(world, key[0])
    found = world.inside_blocks[key[0]].get(lock.address, [])
    if len(found) != 1:
        return None
    thread, block, source = found[0]
    return Holder(thread=thread, block=block, source=source)


def _inside_blocks(world: World, pid: int) -> dict[int, list[InsideBlock]]:
    """Return who is inside the ``with`` blocks of a process's locks, by the lock's address."""
    found: dict[int, list[InsideBlock]] = {}
    for key in sorted(world.live(pid)):
        stack = stacks_of(world, key)
        if stack is not None and isinstance(stack.holds, Known):
            for block in stack.holds.value:
                found.setdefault(block.address, []).append((key, block, stack.holds.source))
    return found


def left_behind(world: World, key: Key, lock: PythonLock) -> Holder | None:
    """Return the parent's thread that has the lock, if no live thread of the process has it.

    A fork copies memory as it is, to the same addresses, but only the thread that forks. This is
    shown to readers, and proves nothing: the child may have taken the lock itself, and the parent
    may have another lock at that address since.
    """
    owned = isinstance(lock.owner, Known) and lock.owner.value
    if owned or holder_of(world, key, lock) is not None:
        return None
    above = world.after.get(world.after[key[0]].parent)
    while above is not None:
        found = [
            Holder(thread=other, block=block, source=source)
            for other in sorted(world.live(above.pid))
            for block, source in _has(world, other, lock)
        ]
        if found:
            return found[0] if len(found) == 1 else None
        above = world.after.get(above.parent)
    return None


def _has(world: World, key: Key, lock: PythonLock) -> Iterator[tuple[HeldLock | None, str]]:
    stack = stacks_of(world, key)
    if stack is None:
        return
    if lock.kind == "RLock":
        if isinstance(lock.owner, Known) and stack.ident and stack.ident == lock.owner_ident:
            yield None, lock.owner.source
    elif isinstance(stack.holds, Known):
        for block in stack.holds.value:
            if (block.kind, block.address) == (lock.kind, lock.address):
                yield block, stack.holds.source


def held_wait(
    world: World, key: Key, lock: PythonLock, conditions: tuple[Condition, ...]
) -> Wait | None:
    """Return the wait for a lock that only its owner, or by assumption its holder, can end."""
    holder = holder_of(world, key, lock)
    if holder is None:
        return None
    block = holder.block
    if block is not None:
        what = "lock it took by" if block.acquired else "lock of its"
        taken = f"the {what} `{taking_of(block)}` at {place_of(block)}"
        detail = f"only {world.name(holder.thread)} releases {taken}"
        conditions = (*conditions, released_by_holder(key, detail, holder.source))
    interruptible = may_be_main(world, key)
    if not interruptible:
        conditions = (*conditions, uninterrupted(key))
    return Wait(
        node=Node(
            id=f"{lock.kind.lower()}-{key[0]}-{lock.address:#x}",
            kind="rlock" if block is None else "with-lock",
            label=label_of(lock),
        ),
        scope="thread",
        wakers=frozenset([holder.thread]),
        interruptible=interruptible,
        source=f"{holder.source}: the lock of the futex {lock.word:#x}",
        held_source=holder.source,
        phrase=phrase_of_lock(lock),
        held_note=f" ({holder.inside})" if block else "",
        conditions=conditions,
    )


def section_wait(
    world: World, key: Key, mutex: PythonMutex, conditions: tuple[Condition, ...]
) -> Wait | None:
    """Return the wait for a mutex that, by assumption, only the thread in its section unlocks.

    It is locked as long as that thread sleeps: only the thread itself suspends its sections.
    """
    inside = mutex.inside
    if not isinstance(inside, Known) or (key[0], inside.value) not in world.live(key[0]):
        return None
    holder = (key[0], inside.value)
    detail = f"only {world.name(holder)} unlocks the mutex of its critical section"
    released = released_by_holder(key, detail, inside.source)
    uninterrupted = Condition(
        name="not-interrupted",
        subject=thread_id(key),
        detail="PyMutex_Lock takes its wait up again after a signal",
        source="Python/lock.c of CPython",
    )
    return Wait(
        node=Node(
            id=f"section-{key[0]}-{mutex.address:#x}", kind="with-lock", label=label_of_mutex(mutex)
        ),
        scope="thread",
        wakers=frozenset([holder]),
        interruptible=False,
        source=f"{inside.source}: the mutex of the futex {mutex.word:#x}",
        held_source=inside.source,
        phrase=phrase_of_mutex(world, key, mutex),
        held_note=" (inside a critical section)",
        conditions=(*conditions, released, uninterrupted),
    )


def phrase_of_mutex(world: World, key: Key, mutex: PythonMutex) -> str:
    """Return ``waits in append (a.py:3) for the mutex of the list at 0x7f..``."""
    return f"{describe(world, key) or 'waits'} for {label_of_mutex(mutex)}"


def label_of_mutex(mutex: PythonMutex) -> str:
    """Return ``the mutex of the list at 0x7f..``, or ``PyMutex 0x7f..``."""
    if mutex.object:
        return f"the mutex of the {mutex.object} at {mutex.address - MUTEX_IN_OBJECT:#x}"
    return f"PyMutex {mutex.address:#x}"


def phrase_of_lock(lock: PythonLock) -> str:
    """Return ``waits for Lock 0x7f.. (self._lock of Store) in get (store.py:3)``."""
    return f"waits for {label_of(lock)} in {lock.function} ({_base_name(lock.file)}:{lock.line})"


def phrase_of_left(world: World, key: Key, lock: PythonLock) -> str:
    """Return the same, with the thread that a fork did not copy, if there is one."""
    phrase = phrase_of_lock(lock)
    left = left_behind(world, key, lock)
    if left is not None:
        inside = f" ({left.inside})" if left.block else ""
        holder = f"{world.name(left.thread)}{inside}"
        return f"{phrase}, held in the parent by {holder}, which a fork leaves behind"
    if isinstance(lock.owner, Known) and not lock.owner.value:
        return f"{phrase}, whose owner has ended or was left behind by a fork"
    return phrase


def label_of(lock: PythonLock) -> str:
    """Name the lock by its name in the frame, if that has one."""
    of = f" of {lock.of}" if lock.of else ""
    name = f" ({lock.name}{of})" if lock.name else ""
    return f"{lock.kind} {lock.address:#x}{name}"


def inside_of(block: HeldLock) -> str:
    """Return ``inside `with a` at store.py:40``, or ``which took it by `a.acquire()` at ..``."""
    how = "which took it by" if block.acquired else "inside"
    return f"{how} `{taking_of(block)}` at {place_of(block)}"


def taking_of(block: HeldLock) -> str:
    """Return the words that took a lock: ``with self._lock``, ``self._lock.acquire()``."""
    if block.acquired:
        return f"{block.name}.acquire()" if block.name else "acquire()"
    return f"with {block.name}" if block.name else "with"


def place_of(block: HeldLock) -> str:
    """Return file and line of the block."""
    return f"{_base_name(block.file)}:{block.line}"


def uninterrupted(key: Key) -> Condition:
    """Return the condition that no signal ends a wait where Python runs no handlers."""
    return Condition(
        name=UNINTERRUPTED.name,
        subject=thread_id(key),
        detail=UNINTERRUPTED.detail,
        source=UNINTERRUPTED.source,
    )


def released_by_holder(key: Key, detail: str, source: str) -> Condition:
    """Return the condition that, by assumption, only the holder ends this thread's wait."""
    subject = thread_id(key)
    assumed = Assumption(
        kind=AssumptionKind.RELEASED_BY_HOLDER, subject=subject, detail=detail, source=source
    )
    return Condition(
        name="released-by-holder", subject=subject, detail=detail, source=source, assumes=(assumed,)
    )


def _base_name(path: str) -> str:
    return path.rpartition("/")[2]
