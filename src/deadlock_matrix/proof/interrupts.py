"""Who else could end a wait: by SIGINT, or by a write into the memory.

Both need a thread of the tree that can still move. So such a wait has two readings: by facts, any
such thread could end it; and, assuming that none does, the wait is as it was.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.verdict import Assumption, AssumptionKind, Condition
from deadlock_matrix.proof import interpreter, processes
from deadlock_matrix.proof.cancellation import NAME as NO_CANCELLATION
from deadlock_matrix.proof.conditions import process_id
from deadlock_matrix.proof.handlers import may_be_interrupted
from deadlock_matrix.proof.wait import Open, Refusal, Scope, Wait, thread_id
from deadlock_matrix.proof.world import Key, World


def with_interrupts(world: World, key: Key, read: Wait | Open) -> Wait | Open:
    """Return the wait and each of its readings, with who could interrupt it."""
    others = (_widen(world, key, each) for each in read.assuming)
    assuming = tuple(
        each
        for widened in others
        for each in (*((widened,) if isinstance(widened, Wait) else ()), *widened.assuming)
    )
    found = _widen(world, key, replace(read, assuming=())) if isinstance(read, Wait) else read
    own = found.assuming if isinstance(read, Wait) else ()
    return replace(found, assuming=(*own, *(replace(each, assuming=()) for each in assuming)))


def _widen(world: World, key: Key, wait: Wait) -> Wait | Open:
    """Add that Python's own SIGINT handler ends a main thread's wait with KeyboardInterrupt.

    Somebody who types Ctrl-C does not count. But a thread or a process of the tree that can still
    move may send the signal too, as a timer with ``interrupt_main`` does. So either nobody is able
    to, or we must assume that nobody does. In other threads, SIGINT can end only waits that are not
    Python's own.

    A futex without an owner is a protocol of the program's own, which may be between processes of
    its tree: one of them writes the word (``process_vm_writev``, ``/proc/PID/mem``), stops and
    continues the waiter, and the waiter looks at the word again. So whoever can move counts here,
    too.
    """
    if not wait.interruptible:
        return wait
    others = len(world.after) > 1
    main = interpreter.may_be_main(world, key)
    if wait.scope == "tree":
        return _uninterrupted(wait, key, "whoever in the tree could send SIGINT waits too")
    interrupts = may_be_interrupted(world, world.after[key[0]])
    ownerless = wait.node.kind == "futex"  # a lock of Python's is never one between processes
    written = ownerless and others
    if not interrupts and not written:
        return _uninterrupted(wait, key, "SIGINT makes no KeyboardInterrupt")
    if not ownerless and not main:
        return _uninterrupted(wait, key, "SIGINT ends waits of Python's main thread alone")
    if wait.scope == "process" and not others:
        return _uninterrupted(wait, key, "whoever in the process could send SIGINT waits too")
    assumed: list[Assumption] = []
    if interrupts:
        sender = "process" if others else "thread"
        assumed.append(
            Assumption(
                kind=AssumptionKind.NOT_INTERRUPTED,
                subject=process_id(key[0]),
                detail=f"no other {sender} sends SIGINT to process {key[0]}",
                source=_source_of_signals(world, key),
            )
        )
    if written:
        assumed.append(
            Assumption(
                kind=AssumptionKind.NOT_TOUCHED,
                subject=process_id(key[0]),
                detail=f"no other process of the tree writes into the memory of process {key[0]}",
                source="/proc",
            )
        )
    narrow = _uninterrupted(
        wait,
        key,
        "nobody sends it SIGINT" if interrupts else "nobody writes into its memory",
        *assumed,
    )
    stayed = processes.processes_complete(world) if others else None
    if others and stayed is None:
        refused = Refusal(world.name(key)).because(processes.SOMEBODY_ENDED)
        return replace(refused, assuming=(narrow,))
    scope: Scope = "tree" if others else "process"
    # Whoever could cancel it waits, too.
    conditions = tuple(each for each in wait.conditions if each.name != NO_CANCELLATION)
    might = "interrupt it by SIGINT" if interrupts else "write into its memory"
    phrase = wait.phrase
    if wait.scope == "thread" and not wait.names_owner:
        phrase += f", held by {world.name(*wait.wakers)}{wait.held_note}"
    wide = replace(
        wait,
        # A separate node: another thread may wait for the same, and not be interrupted.
        node=msgspec.structs.replace(
            wait.node, id=f"{wait.node.id.removesuffix('-process')}-{scope}"
        ),
        scope=scope,
        phrase=phrase,
        wakers=world.everyone,
        held_source=f"{wait.held_source}; anybody inside could also {might}",
        conditions=(*conditions, stayed) if stayed is not None else conditions,
    )
    told = f"whoever in the {scope} could {might} waits too"
    return replace(_uninterrupted(wide, key, told), assuming=(narrow, *wait.assuming))


def _uninterrupted(wait: Wait, key: Key, detail: str, *assumed: Assumption) -> Wait:
    condition = Condition(
        name="not-interrupted",
        subject=thread_id(key),
        detail=detail,
        source="/proc/PID/status",
        assumes=assumed,
    )
    return replace(wait, conditions=(condition, *wait.conditions))


def _source_of_signals(world: World, key: Key) -> str:
    signals = world.after[key[0]].signals
    return signals.source if isinstance(signals, Known) else "/proc/PID/status"
