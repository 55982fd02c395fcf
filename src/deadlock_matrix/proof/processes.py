"""Waits that another process ends: for a child, on a pipe.

Any other process of the tree can also kill a process. So such a wait counts as endless only if
nobody in the whole tree can move, and no alarm ends one of its processes.
"""

from __future__ import annotations

import msgspec

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.thread_facts import SystemCall
from deadlock_matrix.model.verdict import Condition, Gap, Node
from deadlock_matrix.proof import pipes
from deadlock_matrix.proof.alarms import no_alarm_of_others
from deadlock_matrix.proof.enders import ended_by_writers
from deadlock_matrix.proof.wait import Open, Refusal, Wait, thread_id
from deadlock_matrix.proof.world import Key, World

P_ALL, P_PID = 0, 1
SOMEBODY_ENDED = "waits in a tree in which a process began or ended between the two snapshots"


def child_wait(
    world: World, key: Key, call: SystemCall, asleep: tuple[Condition, ...]
) -> Wait | Open:
    """Say what a thread asleep in ``wait4`` or ``waitid`` waits for."""
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
    unsignalled = _no_signal_by_file(world, key)
    if isinstance(unsignalled, Gap):
        return Open(gap=unsignalled)
    return Wait(
        node=Node(id=f"child-{key[0]}-{wanted}", kind="child", label=label),
        scope="tree",
        wakers=world.everyone,
        interruptible=True,
        source=thread.activity.source,
        held_source="a process ends by one of its own threads, or is killed by another process",
        phrase=f"waits for {label}",
        conditions=(*asleep, stayed, *unalarmed, unsignalled),
    )


def pipe_wait(
    world: World, key: Key, call: SystemCall, asleep: tuple[Condition, ...]
) -> Wait | Open:
    """Say what a thread asleep on pipes waits for, if only pipes could wake it."""
    ends = pipes.waited_for(world, key, call)
    if isinstance(ends, Gap):
        return Open(gap=ends)
    stayed = processes_complete(world)
    if stayed is None:
        return Refusal(world.name(key)).because(SOMEBODY_ENDED)
    unalarmed = no_alarm_of_others(world, key[0])
    if isinstance(unalarmed, Gap):
        return Open(gap=unalarmed)
    unsignalled = _no_signal_by_file(world, key)
    if isinstance(unsignalled, Gap):
        return Open(gap=unsignalled)
    conditions = (
        *asleep,
        *(msgspec.structs.replace(c, subject=thread_id(key)) for c in ends.conditions),
    )
    known_to = ended_by_writers(world, key, ends.node, ends.phrase, conditions)
    return Wait(
        node=ends.node,
        scope="tree",
        wakers=world.everyone,
        interruptible=True,
        source=ends.source,
        held_source=ends.held_source,
        phrase=ends.phrase,
        conditions=(*conditions, stayed, *unalarmed, unsignalled),
        assuming=() if known_to is None else (known_to,),
    )


def _no_signal_by_file(world: World, key: Key) -> Condition | Gap:
    """Require that no open file lets the kernel send a signal, which could end a process.

    Other conditions cover the waiting process's own handlers.
    """
    sources = []
    for pid, process in world.after.items():
        if not world.live(pid):
            continue
        descriptors = process.descriptors
        if not isinstance(descriptors, Known):
            detail = f"whether a file of it sends signals: {descriptors.reason}"
            return Gap(kind="unknown", subject=f"process {pid}", detail=detail)
        for each in descriptors.value:
            if each.signals:
                detail = f"has {each.target} open, for which signals come by themselves"
                return Gap(
                    kind="does-not-hold",
                    subject=f"process {pid}",
                    detail=f"{detail} ({each.signals})",
                )
        sources.append(descriptors.source)
    return Condition(
        name="no-signal-by-file",
        subject=thread_id(key),
        detail="no open file of the tree sends signals: none has O_ASYNC, none is a message queue",
        source=sources[0] if len(sources) == 1 else "/proc/*/fdinfo",
    )


def processes_complete(world: World) -> Condition | None:
    """Return the condition that no process ended between the snapshots; None if one did.

    A process that has ended may have left children, which now belong to another parent, out of
    sight.

    That no process began is a condition of each process.
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
