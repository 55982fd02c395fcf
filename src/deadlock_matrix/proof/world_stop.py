"""A thread that stops the world, and one that is attached and does not stop.

A free-threaded build stops all threads to collect garbage, to fork, and for other things that
nobody may disturb. The thread that asks for it looks again once a millisecond, so its waits have a
time limit that ends nothing: it goes on only when no other thread is attached. An attached thread
that slept in one call from the first snapshot to the second was attached all the time: only it can
detach itself. So from the moment between the snapshots at which both were read, the one waits for
the other.
"""

from __future__ import annotations

from msgspec.structs import replace

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.thread_facts import TimeLimit
from deadlock_matrix.model.verdict import Condition, Node
from deadlock_matrix.proof.cancellation import not_cancelled
from deadlock_matrix.proof.interpreter import stacks_of
from deadlock_matrix.proof.wait import Open, Refusal, Wait, thread_id
from deadlock_matrix.proof.world import Key, World

LONGEST_S = 0.01
"""CPython waits for a millisecond; a busy machine may be late."""


def stop_wait(world: World, key: Key) -> Wait | Open | None:
    """Recognise such a wait; None if it is another wait, open if stacks have yet to tell.

    There may be several attached threads; it is enough that one of them never stops.
    """
    thread, python = world.threads[key], world.after[key[0]].python
    if not isinstance(python, Known) or not python.value.free_threaded:
        return None
    if not isinstance(thread.timeout, Known) or not isinstance(thread.timeout.value, TimeLimit):
        return None
    stack = stacks_of(world, key)
    if stack is None:
        due = thread.timeout.value.due_s
        short = isinstance(due, Known) and due.value <= LONGEST_S
        no = Refusal(world.name(key))
        return no.unknown("whether it stops the world: no stacks were read") if short else None
    keeping = stack.stopped_by
    if not isinstance(keeping, Known):
        return None
    owners = [(key[0], tid) for tid in keeping.value if (key[0], tid) in world.live(key[0])]
    readings = [_reading(world, key, owner, keeping.source) for owner in owners]
    return replace(readings[0], assuming=tuple(readings[1:])) if readings else None


def _reading(world: World, key: Key, owner: Key, source: str) -> Wait:
    name = world.name(owner)
    return Wait(
        node=Node(id=f"stop-{owner[0]}-{owner[1]}", kind="stop", label=f"stop of {name}"),
        scope="thread",
        wakers=frozenset([owner]),
        interruptible=False,
        source=source,
        held_source=f"{source}: attached",
        phrase=f"stops the world and waits for {name}, which is attached",
        names_owner=True,
        conditions=(
            Condition(
                name="waits-for-stop",
                subject=thread_id(key),
                detail=f"it is the one who has asked all threads to stop, and {name} is attached",
                source=source,
            ),
            not_cancelled(world, key),
        ),
    )
