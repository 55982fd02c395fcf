"""Waits on futexes: native locks, joins, and everything the interpreter builds on them."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.stack_facts import PythonLock, PythonMutex
from deadlock_matrix.model.thread_facts import SystemCall
from deadlock_matrix.model.verdict import Condition, Node
from deadlock_matrix.proof import interpreter, python_locks
from deadlock_matrix.proof.awaited import awaited_object, phrase_of_object
from deadlock_matrix.proof.cancellation import not_cancelled, not_cancelled_at_once
from deadlock_matrix.proof.enders import ended_wait, reached_wait
from deadlock_matrix.proof.locks import (
    FUTEX_PRIVATE,
    JOINED,
    MUTEX_NAMES,
    Owned,
    Ownerless,
    read_lock,
)
from deadlock_matrix.proof.shared_words import held_wait, obstacle_of
from deadlock_matrix.proof.wait import Open, Refusal, Wait, thread_id
from deadlock_matrix.proof.world import Key, World

FUTEX_COMMANDS = 0x7F
FUTEX_WAITS = {0, 9}  # WAIT, WAIT_BITSET


def futex_wait(
    world: World, key: Key, call: SystemCall, asleep: tuple[Condition, ...]
) -> Wait | Open:
    """Say what a thread asleep in a futex call waits for: an owner, if one can be found out."""
    thread = world.threads[key]
    no = Refusal(world.name(key))
    assert isinstance(thread.activity, Known)
    command = call.arguments[1] & FUTEX_COMMANDS
    if command not in FUTEX_WAITS:
        return no.because(f"is in a futex operation ({command}) other than a plain wait")
    if not isinstance(thread.word, Known):
        return no.unknown(f"the memory it waits on: {thread.word.reason}")
    word = thread.word.value
    private = bool(call.arguments[1] & FUTEX_PRIVATE)
    mapping = word.mapping
    # Of a private futex too: another process may write the word, and then stop and continue us.
    if not mapping.permissions.endswith("p"):
        held = held_wait(world, key, mapping, asleep)
        return replace(
            no.because(obstacle_of(world, key, mapping)), assuming=() if held is None else (held,)
        )
    if mapping.path.startswith("/") and "w" not in mapping.permissions:
        return no.because("waits on a page of a file, which other processes may map")
    reach = Condition(
        name="private-futex",
        subject=thread_id(key),
        detail="the futex is private to the process"
        if private
        else f"the futex lies in a private mapping ({word.mapping.permissions})",
        source=thread.activity.source if private else thread.word.source,
    )
    where = f" of {_base_name(mapping.path)}" if mapping.path.startswith("/") else ""
    lock = read_lock(world, key, call, word)
    assuming: tuple[Wait, ...] = ()
    if isinstance(lock, Owned):
        owned = _owned(world, key, lock, where, (*asleep, reach))
        if owned is not None and not owned.assumptions:
            return owned
        assuming = () if owned is None else (owned,)
    python = interpreter.python_wait(world, key)
    if python is not None:
        return _by_stacks(world, key, python, (*asleep, reach), assuming)
    of_python = python_locks.lock_of(world, key)
    mutex = None if of_python else python_locks.mutex_of(world, key)
    held = _held(world, key, of_python or mutex, (*asleep, reach))
    if held is not None and held.node.kind == "rlock" and not held.assumptions:
        return held
    reached = _reached(world, key, of_python, (*asleep, reach))
    if reached is not None and not reached.assumptions:
        return replace(reached, assuming=(*assuming, *((held,) if held else ())))
    ended = _ended(world, key, (*asleep, reach)) if held is None else None
    note = _why_not_its_owner(world, key, lock)
    label = f"{lock.what} {word.address:#x}{where}"
    return Wait(
        node=Node(id=f"futex-{key[0]}-{word.address:#x}", kind="futex", label=label),
        scope="process",
        wakers=world.live(key[0]),
        interruptible=True,
        source=thread.activity.source,
        held_source=f"any thread of the process could wake it: {note}",
        phrase=_phrase_of_python(world, key, of_python or mutex, held)
        or _phrase(world, key, lock, label),
        conditions=(*asleep, reach),
        assuming=(*assuming, *(each for each in (held, reached, ended) if each is not None)),
    )


def _by_stacks(
    world: World,
    key: Key,
    python: interpreter.PythonWait,
    conditions: tuple[Condition, ...],
    assuming: tuple[Wait, ...],
) -> Wait:
    """Return the wait that only its owner can end, or anybody inside who could cancel the waiter.

    CPython waits in ``sem_wait`` and ``pthread_cond_wait``, which are cancellation points.
    """
    conditions = (*conditions, *python.conditions)
    uncancelled = not_cancelled(world, key)
    owned = Wait(
        node=python.node,
        scope="thread",
        wakers=frozenset([python.owner]),
        interruptible=True,
        source=python.source,
        held_source=python.held_source,
        phrase=python.phrase,
        names_owner=python.names_owner,
        conditions=(*conditions, uncancelled),
        assuming=assuming,
    )
    if not uncancelled.assumes:
        return owned
    held = "" if python.names_owner else f", held by {world.name(python.owner)}"
    return replace(
        owned,
        node=msgspec.structs.replace(python.node, id=f"{python.node.id}-process"),
        scope="process",
        wakers=world.live(key[0]),
        held_source=f"{python.held_source}; anybody inside could also cancel it",
        phrase=python.phrase + held,
        conditions=conditions,
        assuming=(*assuming, replace(owned, assuming=())),
    )


def _phrase_of_python(
    world: World, key: Key, lock: PythonLock | PythonMutex | None, held: Wait | None
) -> str:
    """Name the Python object, with who holds it; empty if it is an inner lock."""
    waited = awaited_object(world, key)
    if waited is not None:
        return phrase_of_object(waited)
    if held is not None:
        return f"{held.phrase}, held by {world.name(*held.wakers)}{held.held_note}"
    if isinstance(lock, PythonMutex):
        return python_locks.phrase_of_mutex(world, key, lock)
    if lock is None or lock.file.endswith("/threading.py"):
        return ""
    return python_locks.phrase_of_left(world, key, lock)


def _held(
    world: World,
    key: Key,
    lock: PythonLock | PythonMutex | None,
    conditions: tuple[Condition, ...],
) -> Wait | None:
    alone = _memory_is_its_own(world, key)
    if alone is None or lock is None:
        return None
    # CPython waits in sem_wait and pthread_cond_wait, which are cancellation points.
    conditions = (*conditions, alone, not_cancelled(world, key))
    if isinstance(lock, PythonMutex):
        return python_locks.section_wait(world, key, lock, conditions)
    return python_locks.held_wait(world, key, lock, conditions)


def _reached(
    world: World, key: Key, lock: PythonLock | None, conditions: tuple[Condition, ...]
) -> Wait | None:
    alone = _memory_is_its_own(world, key)
    if alone is None:
        return None
    return reached_wait(world, key, lock, (*conditions, alone, not_cancelled(world, key)))


def _ended(world: World, key: Key, conditions: tuple[Condition, ...]) -> Wait | None:
    alone = _memory_is_its_own(world, key)
    if alone is None:
        return None
    return ended_wait(world, key, (*conditions, alone, not_cancelled(world, key)))


def _owned(
    world: World, key: Key, lock: Owned, where: str, conditions: tuple[Condition, ...]
) -> Wait | None:
    """Return the wait for a lock that only its owner can end, if nobody is cancelled; or None."""
    thread = world.threads[key]
    assert isinstance(thread.activity, Known) and isinstance(thread.word, Known)
    alone = _memory_is_its_own(world, key)
    if alone is None or _is_a_baton(key, lock):
        return None
    conditions = (*conditions, alone)
    if lock.what == JOINED:
        return _wait_for_end(world, key, lock, (*conditions, not_cancelled(world, key)))
    label = f"{lock.what} {lock.address:#x}{where}"
    return Wait(
        node=Node(id=f"lock-{key[0]}-{lock.address:#x}", kind="lock", label=label),
        scope="thread",
        wakers=frozenset([lock.owner]),
        interruptible=False,
        source=thread.activity.source,
        held_source=f"{lock.source} ({thread.word.source})",
        phrase=f"waits for {_loader(label)}",
        conditions=(*conditions, not_cancelled_at_once(world, key)),
    )


def _memory_is_its_own(world: World, key: Key) -> Condition | None:
    """Require that no process shares the memory: it may hold the lock under one of our ids."""
    sharing = world.after[key[0]].shares_memory_with
    earlier = world.before[key[0]].shares_memory_with
    for fact in (earlier, sharing):
        if not isinstance(fact, Known) or fact.value:
            return None
    assert isinstance(sharing, Known)
    return Condition(
        name="memory-not-shared",
        subject=thread_id(key),
        detail="no other process runs on the memory the lock lies in",
        source=sharing.source,
    )


def _is_a_baton(key: Key, lock: Owned) -> bool:
    """Return whether another thread may be meant to unlock it.

    A thread that locks a plain mutex twice is stuck if only owners unlock. But such a mutex does
    not enforce that, and programs exist that use it as a semaphore: one thread locks it twice,
    another unlocks. So any thread counts as one that could.
    """
    return lock.owner == key and lock.what in (MUTEX_NAMES[0], MUTEX_NAMES[3])


def _why_not_its_owner(world: World, key: Key, lock: Owned | Ownerless) -> str:
    if isinstance(lock, Ownerless):
        return lock.note
    owner = "itself" if lock.owner == key else world.name(lock.owner)
    return f"its owner is {owner}, but it is not certain that this owner alone can end the wait"


def _phrase(world: World, key: Key, lock: Owned | Ownerless, label: str) -> str:
    """Say what is known of the lock, or else where Python waits, and in whose code."""
    if isinstance(lock, Owned):
        if lock.what == JOINED:
            return f"joins {world.name(lock.owner)}"
        owner = (
            "which it holds itself" if lock.owner == key else f"held by {world.name(lock.owner)}"
        )
        return f"waits for {label}, {owner}"
    if lock.holder:
        place = interpreter.describe(world, key) or "waits"
        return f"{place} for {label}, held by {lock.holder}"
    code = world.threads[key].code
    inside = ""
    if isinstance(code, Known) and not code.value.is_libc:
        inside = f", inside {_base_name(code.value.library)}"
    return (interpreter.describe(world, key) or f"waits for {label}") + inside


def _wait_for_end(world: World, key: Key, lock: Owned, conditions: tuple[Condition, ...]) -> Wait:
    thread = world.threads[key]
    assert isinstance(thread.activity, Known) and isinstance(thread.word, Known)
    ending = world.name(lock.owner)
    return Wait(
        node=Node(id=f"end-{key[0]}-{lock.address:#x}", kind="end", label=f"end of {ending}"),
        scope="thread",
        wakers=frozenset([lock.owner]),
        interruptible=False,
        source=thread.activity.source,
        held_source=f"{lock.source} ({thread.word.source})",
        phrase=f"joins {ending}",
        names_owner=True,
        conditions=conditions,
    )


def _base_name(path: str) -> str:
    return path.rpartition("/")[2]


def _loader(label: str) -> str:
    return f"{label}, the loader's own lock" if " of ld-" in label else label
