"""Waits that another process ends: for a child, on a pipe.

A process can also be killed, by any other of the tree. So such a wait counts as endless only if
nobody in the whole tree can move, and no alarm ends one of them.
"""

from __future__ import annotations

import msgspec

from deadlock_matrix.model.evidence import SystemCall
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.verdict import Condition, Gap, Node
from deadlock_matrix.proof import pipes
from deadlock_matrix.proof.alarms import no_alarm_of_others
from deadlock_matrix.proof.wait import Open, Refusal, Wait, thread_id
from deadlock_matrix.proof.world import Key, World

P_ALL, P_PID = 0, 1
SOMEBODY_ENDED = "waits in a tree in which a process began or ended between the two snapshots"


def child_wait(
    world: World, key: Key, call: SystemCall, asleep: tuple[Condition, ...]
) -> Wait | Open:
    """What a thread asleep in ``wait4`` or ``waitid`` waits for."""
    no = Refusal(world.name(key))
    thread = world.threads[key]
    assert isinstance(thread.activity, Known)
    children = {p.own_pid: p.pid for p in world.after.values() if p.parent == key[0]}
    wanted = _signed(call.arguments[1] if call.name == "waitid" else call.arguments[0])
    if call.name == "waitid" and call.arguments[0] != P_PID:
        wanted = -1 if call.arguments[0] == P_ALL else 0  # P_PGID and P_PIDFD are not followed
    if wanted == -1:
        if not children:
            return no.unknown("which child it waits for: none is in this view of the tree")
        label = "any of its children"
    elif wanted in children:
        label = f"the end of process {children[wanted]}"
    else:
        return no.unknown(f"the process it waits for ({wanted}) is not in this view of the tree")
    stayed = processes_complete(world)
    if stayed is None:
        return no.because(SOMEBODY_ENDED)
    unalarmed = no_alarm_of_others(world, key[0])
    if isinstance(unalarmed, Gap):
        return Open(gap=unalarmed)
    return Wait(
        node=Node(id=f"child-{key[0]}-{wanted}", kind="child", label=label),
        scope="tree",
        wakers=world.everyone,
        interruptible=True,
        source=thread.activity.source,
        held_source="a process ends by one of its own threads, or is killed by another process",
        phrase=f"waits for {label}",
        conditions=(*asleep, stayed, *unalarmed),
    )


def pipe_wait(
    world: World, key: Key, call: SystemCall, asleep: tuple[Condition, ...]
) -> Wait | Open:
    """What a thread asleep on pipes waits for, if only pipes could wake it."""
    ends = pipes.waited_for(world, key, call)
    if isinstance(ends, Gap):
        return Open(gap=ends)
    stayed = processes_complete(world)
    if stayed is None:
        return Refusal(world.name(key)).because(SOMEBODY_ENDED)
    unalarmed = no_alarm_of_others(world, key[0])
    if isinstance(unalarmed, Gap):
        return Open(gap=unalarmed)
    return Wait(
        node=ends.node,
        scope="tree",
        wakers=world.everyone,
        interruptible=True,
        source=ends.source,
        held_source=ends.held_source,
        phrase=ends.phrase,
        conditions=(
            *asleep,
            *(msgspec.structs.replace(c, subject=thread_id(key)) for c in ends.conditions),
            stayed,
            *unalarmed,
        ),
    )


def processes_complete(world: World) -> Condition | None:
    """That no process ended between the snapshots; None if one did.

    Who has ended may have left children, which are now somebody else's and out of sight.

    That nobody began is a condition of each process.
    """
    if world.before.keys() != world.after.keys():
        return None
    return Condition(
        name="processes-complete",
        subject="tree",
        detail=f"the same {len(world.after)} processes in both snapshots",
        source="/proc",
    )


def _signed(value: int) -> int:
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >> 31 else value
