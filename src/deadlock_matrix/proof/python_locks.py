"""Python's own ``Lock`` and ``RLock``: who owns one, and who is inside its ``with`` block.

Only its owner can release an ``RLock``: ``release`` raises in any other thread. So it is a fact on
whom the wait depends. Any thread may release a ``Lock``. If one thread is inside a ``with`` block
of it, that thread took it; that it also releases it is an assumption.

Both were read between the snapshots. The owner or holder slept all that time, or it is none of
those who are stuck; asleep it neither takes nor releases anything, so what it held when the lock
was read it holds at the moment between the snapshots too.
"""

from __future__ import annotations

from dataclasses import dataclass

from deadlock_matrix.model.evidence import HeldLock, PythonLock
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.verdict import Assumption, AssumptionKind, Condition, Node
from deadlock_matrix.proof.interpreter import may_be_main, stacks_of
from deadlock_matrix.proof.wait import Wait, thread_id
from deadlock_matrix.proof.world import Key, World

UNINTERRUPTED = Condition(
    name="not-interrupted",
    subject="",
    detail="no signal ends such a wait of a thread other than Python's main thread",
    source="Modules/_threadmodule.c of CPython, 3.8 to 3.15",
)


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who has a lock, as far as it can be told, and by what."""

    thread: Key
    block: HeldLock | None  # nothing: the RLock itself names its owner
    source: str

    @property
    def inside(self) -> str:
        """Where it is, if a block tells of it: ``inside `with a` at store.py:40``."""
        return f"inside `{with_of(self.block)}` at {place_of(self.block)}" if self.block else ""


def lock_of(world: World, key: Key) -> PythonLock | None:
    """The lock a thread sleeps for, if it was read, and the thread sleeps on its futex."""
    stack, word = stacks_of(world, key), world.threads[key].word
    if stack is None or not isinstance(stack.waits_for, Known) or not isinstance(word, Known):
        return None
    lock = stack.waits_for.value
    return lock if lock.word == word.value.address else None


def held_locks(world: World, key: Key) -> tuple[HeldLock, ...]:
    """The locks inside whose ``with`` blocks a thread is, as far as they were read."""
    stack = stacks_of(world, key)
    return stack.holds.value if stack is not None and isinstance(stack.holds, Known) else ()


def holder_of(world: World, key: Key, lock: PythonLock) -> Holder | None:
    """The one live thread that has ``lock``, for which ``key`` waits, or nobody."""
    if lock.kind == "RLock":
        owner = (key[0], lock.owner.value) if isinstance(lock.owner, Known) else key
        if owner == key or owner not in world.live(key[0]):
            return None
        assert isinstance(lock.owner, Known)
        return Holder(thread=owner, block=None, source=lock.owner.source)
    found = [
        Holder(thread=other, block=block, source=stack.holds.source)
        for other in sorted(world.live(key[0]))
        if (stack := stacks_of(world, other)) is not None and isinstance(stack.holds, Known)
        for block in stack.holds.value
        if block.address == lock.address
    ]
    return found[0] if len(found) == 1 else None


def held_wait(
    world: World, key: Key, lock: PythonLock, conditions: tuple[Condition, ...]
) -> Wait | None:
    """The wait for a lock that its owner, or by assumption its holder, alone can end."""
    holder = holder_of(world, key, lock)
    if holder is None:
        return None
    block = holder.block
    if block is not None:
        taken = f"the lock of its `{with_of(block)}` at {place_of(block)}"
        detail = f"only {world.name(holder.thread)} releases {taken}"
        assumed = Assumption(
            kind=AssumptionKind.RELEASED_BY_HOLDER,
            subject=thread_id(key),
            detail=detail,
            source=holder.source,
        )
        released = Condition(
            name="released-by-holder",
            subject=thread_id(key),
            detail=detail,
            source=holder.source,
            assumes=(assumed,),
        )
        conditions = (*conditions, released)
    interruptible = may_be_main(world, key)
    if not interruptible:
        conditions = (*conditions, _of_thread(UNINTERRUPTED, key))
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


def phrase_of_lock(lock: PythonLock) -> str:
    """``waits for Lock 0x7f.. (self._lock of Store) in get (store.py:3)``."""
    return f"waits for {label_of(lock)} in {lock.function} ({_base_name(lock.file)}:{lock.line})"


def label_of(lock: PythonLock) -> str:
    """The lock with its name, if the frame has one for it."""
    of = f" of {lock.of}" if lock.of else ""
    name = f" ({lock.name}{of})" if lock.name else ""
    return f"{lock.kind} {lock.address:#x}{name}"


def with_of(block: HeldLock) -> str:
    """The block's first words: ``with self._lock``."""
    return f"with {block.name}" if block.name else "with"


def place_of(block: HeldLock) -> str:
    """File and line of the block."""
    return f"{_base_name(block.file)}:{block.line}"


def _of_thread(condition: Condition, key: Key) -> Condition:
    return Condition(
        name=condition.name,
        subject=thread_id(key),
        detail=condition.detail,
        source=condition.source,
    )


def _base_name(path: str) -> str:
    return path.rpartition("/")[2]
