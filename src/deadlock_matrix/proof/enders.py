"""Waits for something without an owner, which by assumption only some threads end.

A thread that waits for a queue, a condition, an event or a future waits for anybody. But if all
threads that know the object are stuck themselves, or all that could do the work, it is likely that
nobody ever will. That is an assumption: another thread may come to know the object. A pipe that the
process alone has is an object like the others: whoever knows the number of its write end may write.

Counts of references show who can reach an object at all, in Python. C code may keep its address
without a reference and call Python later. So if a thread without a Python frame may still go on,
it is assumed that its code does not.

A thread that waits for the same thing in the same way is not counted: of two consumers neither
feeds the other. If nobody else knows the object, nothing is likely: somebody will be told of it.
"""

from __future__ import annotations

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.stack_facts import Enders, How, PythonLock
from deadlock_matrix.model.thread_facts import NoTimeout
from deadlock_matrix.model.verdict import Assumption, AssumptionKind, Condition, Node
from deadlock_matrix.proof.awaited import awaited_object, label_of_object, phrase_of_object
from deadlock_matrix.proof.interpreter import may_be_main, stacks_of
from deadlock_matrix.proof.python_locks import (
    holder_of,
    label_of,
    phrase_of_lock,
    uninterrupted,
)
from deadlock_matrix.proof.wait import Wait, thread_id
from deadlock_matrix.proof.words import enumeration
from deadlock_matrix.proof.world import Key, World

MOST_NAMED = 3


def ended_wait(world: World, key: Key, conditions: tuple[Condition, ...]) -> Wait | None:
    """Return the wait that only threads which know the object end, if any are known."""
    awaited = awaited_object(world, key)
    if awaited is None:
        return None
    node = Node(
        id=f"object-{key[0]}-{key[1]}-{awaited.address:#x}",
        kind="object",
        label=label_of_object(awaited),
    )
    what = f"{awaited.kind} {awaited.name or hex(awaited.address)}"
    return _ended(world, key, node, what, phrase_of_object(awaited), conditions)


def reached_wait(
    world: World, key: Key, lock: PythonLock | None, conditions: tuple[Condition, ...]
) -> Wait | None:
    """Return the wait for an object that only some threads can reach.

    That is a fact, unless another thread may go on in C.
    """
    stack, awaited = stacks_of(world, key), awaited_object(world, key)
    if stack is None or not isinstance(stack.reached, Known):
        return None
    wakers = frozenset((key[0], tid) for tid in stack.reached.value)
    if not wakers or not wakers <= world.live(key[0]):
        return None
    who = _named(world, sorted(wakers - {key}))
    whom = f"which only {who} can reach" if who else "which nothing else can reach"
    if awaited is not None:
        label, phrase = label_of_object(awaited), phrase_of_object(awaited)
        address = awaited.address
    elif lock is not None:
        label, phrase, address = label_of(lock), phrase_of_lock(lock), lock.address
        holder = holder_of(world, key, lock)
        if holder is not None:
            inside = f" ({holder.inside})" if holder.inside else ""
            phrase += f", held by {world.name(holder.thread)}{inside}"
            whom = f"and {whom.removeprefix('which ')} it"
    else:
        return None
    ended = Condition(
        name="ended-by-them",
        subject=thread_id(key),
        detail=f"all references to {label} are counted, and no other thread has one",
        source=stack.reached.source,
        assumes=_no_address_kept(world, key, label),
    )
    interruptible = may_be_main(world, key)
    others = () if interruptible else (uninterrupted(key),)
    return Wait(
        node=Node(id=f"object-{key[0]}-{key[1]}-{address:#x}-reached", kind="object", label=label),
        scope="thread" if len(wakers) == 1 else "threads",
        wakers=wakers,
        interruptible=interruptible,
        source=stack.reached.source,
        held_source=stack.reached.source,
        phrase=f"{phrase}, {whom}",
        names_owner=True,
        conditions=(*conditions, ended, *others),
    )


def _no_address_kept(world: World, key: Key, label: str) -> tuple[Assumption, ...]:
    """Assume that no C code keeps an object's address, if a thread without frames may go on."""
    pid = key[0]
    if pid not in world.in_c_code:
        world.in_c_code[pid] = tuple(
            each for each in sorted(world.live(pid)) if _may_go_on_in_c(world, each)
        )
    others = world.in_c_code[pid]
    if not others:
        return ()
    return (
        Assumption(
            kind=AssumptionKind.NOT_TOUCHED,
            subject=thread_id(key),
            detail=f"no C code of {_named(world, list(others))} keeps the address of {label}",
            source=f"/proc/{pid}/task",
        ),
    )


def _may_go_on_in_c(world: World, key: Key) -> bool:
    """Return whether a thread has no Python frame, and does not wait to be woken by another one.

    The idle threads of a library wait in a futex, until somebody has work for them.
    """
    stack = world.stack_by_thread.get(key)
    if stack is not None and stack.python:
        return False
    thread, earlier = world.threads[key], world.threads_before.get(key)
    call, timeout = thread.call, thread.timeout
    return (
        earlier is None
        or call is None
        or call.name != "futex"
        or thread.state != "S"
        or not isinstance(timeout, Known)
        or not isinstance(timeout.value, NoTimeout)
        or earlier.call != call
        or not isinstance(thread.switches, Known)
        or not isinstance(earlier.switches, Known)
        or earlier.switches.value != thread.switches.value
    )


def ended_by_writers(
    world: World, key: Key, pipe: Node, phrase: str, conditions: tuple[Condition, ...]
) -> Wait | None:
    """Return the same for a thread that reads a pipe which no other process has."""
    for pid, process in world.after.items():
        if pid == key[0]:
            continue
        if not isinstance(process.descriptors, Known):
            return None
        if any(each.target in pipe.label.split(" or ") for each in process.descriptors.value):
            return None
    node = Node(id=f"object-{pipe.id}", kind="object", label=pipe.label)
    return _ended(world, key, node, pipe.label, phrase, conditions)


def _ended(
    world: World,
    key: Key,
    node: Node,
    what: str,
    phrase: str,
    conditions: tuple[Condition, ...],
) -> Wait | None:
    stack = stacks_of(world, key)
    if stack is None or not isinstance(stack.enders, Known):
        return None
    enders: Enders = stack.enders.value
    wakers = frozenset((key[0], tid) for tid in enders.threads)
    if not wakers or not wakers <= world.live(key[0]):
        return None
    who = _named(world, sorted(wakers))
    assumed = Assumption(
        kind=AssumptionKind.ENDED_BY_USERS
        if enders.how == "users"
        else AssumptionKind.DONE_BY_ITS_POOL,
        subject=thread_id(key),
        detail=_assumed(what, who, enders.how),
        source=stack.enders.source,
    )
    ended = Condition(
        name="ended-by-them",
        subject=thread_id(key),
        detail=assumed.detail,
        source=assumed.source,
        assumes=(assumed,),
    )
    interruptible = may_be_main(world, key)
    others = () if interruptible else (uninterrupted(key),)
    return Wait(
        node=node,
        scope="thread" if len(wakers) == 1 else "threads",
        wakers=wakers,
        interruptible=interruptible,
        source=stack.enders.source,
        held_source=stack.enders.source,
        phrase=f"{phrase}, {_whom(who, len(wakers) > 1, enders.how)}",
        names_owner=True,
        conditions=(*conditions, ended, *others),
    )


def _whom(who: str, several: bool, how: How) -> str:
    """Return ``which thread 12 'feeder' uses too``, for the end of a phrase."""
    if how == "runner":
        return f"which {who} is working on"
    if how == "pool":
        return f"which is queued in the pool of {who}"
    return f"which {who} {'use' if several else 'uses'} too"


def _assumed(what: str, who: str, how: How) -> str:
    if how == "users":
        return f"only {who}, in whose frames it is, ends the wait for {what}"
    of = "its pool" if how == "pool" else "the thread that works on it"
    return f"only {of} ({who}) completes {what}"


def _named(world: World, wakers: list[Key]) -> str:
    names = [world.name(key) for key in wakers[:MOST_NAMED]]
    if len(wakers) > MOST_NAMED:
        names.append(f"{len(wakers) - MOST_NAMED} more")
    return enumeration(names)
