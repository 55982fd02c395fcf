"""Waits on pipes: who has the other end open.

Only anonymous pipes are followed, and Unix sockets that are connected to each other, as a pipe that
leads both ways: an event loop sleeps on such a pair in order to be woken. Anybody can open a named
FIFO at any time, and the descriptor of any other socket, a terminal or an event counter does not
show who is behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.process_facts import Descriptor, ProcessFacts
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.thread_facts import SystemCall
from deadlock_matrix.model.verdict import Assumption, AssumptionKind, Condition, Gap, Node
from deadlock_matrix.proof.wait import thread_id
from deadlock_matrix.proof.words import enumeration
from deadlock_matrix.proof.world import Key, World

MOST_NAMED = 3
"""How many pipes, or processes that have the other end of one, a phrase names."""

OWN_FRAMES = 1 << 14
"""How far above the stack pointer, in bytes, a caller's variables are expected."""


class PipeWait(msgspec.Struct, frozen=True, kw_only=True):
    """A wait for the other ends of pipes, all of which lie inside the tree."""

    node: Node
    source: str
    held_source: str
    phrase: str
    conditions: tuple[Condition, ...]


def waited_for(world: World, key: Key, call: SystemCall) -> PipeWait | Gap:
    """Say which pipes could end the wait, if nobody outside the tree has an end of them."""
    name = world.name(key)
    thread = world.threads[key]
    descriptors = world.after[key[0]].descriptors
    if not isinstance(descriptors, Known):
        return Gap(kind="unknown", subject=name, detail=f"its descriptors: {descriptors.reason}")
    by_number = {descriptor.number: descriptor for descriptor in descriptors.value}
    row = blocking(call.name)
    if not row.polls:
        wanted = [call.arguments[at] & 0xFFFF_FFFF for at in row.descriptors_at]
    elif isinstance(thread.polled, Known):
        # Whatever was asked for, an error and a hang-up end the wait too: all of them count.
        wanted = [polled.descriptor for polled in thread.polled.value]
    else:
        detail = f"the descriptors it polls: {thread.polled.reason}"
        return Gap(kind="unknown", subject=name, detail=detail)
    if not wanted:
        detail = f"waits in {call.name} for a signal"
        return Gap(kind="does-not-hold", subject=name, detail=detail)
    targets: dict[str, None] = {}
    for number in wanted:
        ends = _inside(world, key, by_number.get(number), number, call)
        if isinstance(ends, Gap):
            return ends
        targets.update(dict.fromkeys(ends))
    unchanged = (
        *_list_unchanged(key, call),
        *_array_unchanged(world, key, call),
        _between_processes(world, key, targets),
    )
    assert isinstance(thread.activity, Known)
    outside = world.outside_holders
    assert isinstance(outside, Known)
    writes = row.waits_for is WaitsFor.WRITE
    verb = "write to" if writes else "read from"
    what = " or ".join(targets)
    return PipeWait(
        node=Node(
            id=f"pipe-{key[0]}-{key[1]}-" + "+".join(targets),
            kind="polled" if row.polls else "pipe",
            label=what,
        ),
        source=thread.activity.source,
        held_source=f"its ends are open in this tree alone ({descriptors.source}; "
        f"{outside.source})",
        phrase=_phrase(world, key, call, verb, list(targets)),
        conditions=(
            Condition(
                name="no-outside-end",
                subject="",
                detail=f"no process outside the tree has an end of {what} open, and none is "
                "on its way in a socket of the tree",
                source=outside.source,
            ),
            *unchanged,
        ),
    )


def _phrase(world: World, key: Key, call: SystemCall, verb: str, targets: Sequence[str]) -> str:
    """Say what it waits for; an event loop sleeps on a pair of sockets of its own, to be woken."""
    sockets = [target for target in targets if target.startswith("socket:")]
    if len(sockets) == len(targets) == 2:  # both ends of the one pair
        told = f"({' and '.join(targets)})"
        others = [process for pid, process in world.after.items() if pid != key[0]]
        if not any(_has_open(process, target) for process in others for target in targets):
            return f"waits in {call.name} for nothing but its own self-pipe {told}"
        return f"waits in {call.name} for its end of a socket pair {told} alone"
    return f"waits to {verb} {_some(targets)}{_whose(world, call, targets)}"


def _some(targets: Sequence[str]) -> str:
    if len(targets) <= MOST_NAMED:
        return " or ".join(targets)
    shown = targets[: MOST_NAMED - 1]
    return f"{' or '.join(shown)} or {len(targets) - len(shown)} other pipes"


def _whose(world: World, call: SystemCall, targets: Sequence[str]) -> str:
    """Say who has the other end of the one pipe that is read or written, for a reader."""
    row = blocking(call.name)
    if row.arrays_at:
        return ""
    end, access = ("read", "r") if row.waits_for is WaitsFor.WRITE else ("write", "w")
    pids = [
        f"process {pid}"
        for pid, process in sorted(world.after.items())
        if isinstance(process.descriptors, Known)
        and any(d.target in targets and access in d.access for d in process.descriptors.value)
    ]
    has = "has" if len(pids) == 1 else "have"
    return f", whose {end} end {enumeration(pids)} {has}" if 0 < len(pids) <= MOST_NAMED else ""


def _between_processes(world: World, key: Key, targets: Iterable[str]) -> Condition:
    """Require that the pipes connect processes of the tree, or say what is assumed instead.

    A pipe that only the waiting process has leads nowhere: either an end was left open by mistake,
    or somebody is expected to open it by ``/proc/PID/fd``, as one does to feed a program from a
    shell. Nobody can tell the two apart.
    """
    source = f"/proc/{key[0]}/fd"
    others = [process for pid, process in world.after.items() if pid != key[0]]
    pipes = [target for target in targets if target.startswith("pipe:")]
    alone = [
        target for target in pipes if not any(_has_open(process, target) for process in others)
    ]
    detail = "what it waits for is open in another process of the tree too"
    if not pipes:
        detail = "nobody can open a socket by /proc/PID/fd"
    if alone:
        detail = f"{' and '.join(alone)}: open in process {key[0]} alone"
    return Condition(
        name="between-processes",
        subject=thread_id(key),
        detail=detail,
        source=source,
        assumes=tuple(
            Assumption(
                kind=AssumptionKind.NOT_TOUCHED,
                subject=thread_id(key),
                detail=f"nobody opens {target} by /proc/{key[0]}/fd (process {key[0]} alone has "
                "its ends)",
                source=source,
            )
            for target in alone
        ),
    )


def _has_open(process: ProcessFacts, target: str) -> bool:
    return isinstance(process.descriptors, Known) and any(
        descriptor.target == target for descriptor in process.descriptors.value
    )


def _list_unchanged(key: Key, call: SystemCall) -> tuple[Condition, ...]:
    """Require that nobody outside can change what an epoll waits for.

    Whoever could has a descriptor of it. `capture.pipes` has looked for an epoll outside the tree
    that watches the same sockets; the tree's own threads are all in the proof.
    """
    if blocking(call.name).waits_for is not WaitsFor.EPOLL:
        return ()
    return (
        Condition(
            name="array-unchanged",
            subject=thread_id(key),
            detail="nobody outside of the tree has the epoll that it waits in",
            source=f"/proc/*/fdinfo, /proc/{key[0]}/fdinfo/{call.arguments[0] & 0xFFFF_FFFF}",
        ),
    )


def _array_unchanged(world: World, key: Key, call: SystemCall) -> tuple[Condition, ...]:
    """Require that the array of a poll in progress is still what the kernel copied at its start.

    Either nobody else is there to change it; or it lies in the caller's own frames, to which no
    other thread is expected to have a pointer; or it is assumed that nobody has changed it.
    """
    arrays_at = blocking(call.name).arrays_at
    if not arrays_at:
        return ()
    subject = thread_id(key)
    if len(world.live(key[0])) == 1:
        return (
            Condition(
                name="array-unchanged",
                subject=subject,
                detail="nobody else is there to change what it polls",
                source=f"/proc/{key[0]}/task",
            ),
        )
    places = [call.arguments[at] for at in arrays_at if call.arguments[at]]
    if all(0 <= place - call.stack_pointer < OWN_FRAMES for place in places):
        return (
            Condition(
                name="array-unchanged",
                subject=subject,
                detail="what it polls lies in its own frames",
                source=f"/proc/{key[0]}/task/{key[1]}/syscall",
            ),
        )
    assumption = Assumption(
        kind=AssumptionKind.NOT_TOUCHED,
        subject=subject,
        detail=f"no other thread has changed the array that thread {key[1]} polls",
        source=f"/proc/{key[0]}/task/{key[1]}/syscall",
    )
    return (
        Condition(
            name="array-unchanged",
            subject=subject,
            detail="what it polls lies in memory that other threads may have changed meanwhile",
            source=assumption.source,
            assumes=(assumption,),
        ),
    )


def _inside(
    world: World, key: Key, descriptor: Descriptor | None, number: int, call: SystemCall
) -> tuple[str, ...] | Gap:
    """Return the pipe behind a descriptor, if all of its ends are known and inside the tree.

    For a socket return both ends: whoever has either could end the wait.
    """
    name = world.name(key)
    if descriptor is None:
        return Gap(kind="unknown", subject=name, detail=f"what its descriptor {number} is")
    target = descriptor.target
    ends: tuple[str, ...] = (target,)
    row = blocking(call.name)
    if target.startswith("socket:") and row.polls:
        ends = (target, *_other_end(world, key, target))
    if not target.startswith("pipe:") and len(ends) < 2:
        in_epoll = row.waits_for is WaitsFor.EPOLL
        what = "waits for events in epoll, also of" if in_epoll else "waits for"
        return Gap(kind="does-not-hold", subject=name, detail=f"{what} {target}")
    for outside in (world.evidence.before.outside_holders, world.outside_holders):
        if not isinstance(outside, Known):
            detail = f"who else has {target} open: {outside.reason}"
            return Gap(kind="unknown", subject=name, detail=detail)
        for holder in outside.value:
            if holder.target in ends:
                detail = (
                    f"{holder.target} is open in process {holder.pid}, which is outside the tree"
                )
                return Gap(kind="does-not-hold", subject=name, detail=detail)
    in_flight = _in_flight(world, name)
    if in_flight is not None:
        return in_flight
    other_end = {"r": ("w", "rw"), "w": ("r", "rw"), "rw": ("r", "w", "rw")}[descriptor.access]
    if not _seen_inside(world, ends[-1], other_end):
        # It would not wait if there were none: whoever has it is out of sight.
        detail = f"who has the other end of {target}: nobody seen"
        return Gap(kind="unknown", subject=name, detail=detail)
    return ends


def _other_end(world: World, key: Key, target: str) -> tuple[str, ...]:
    """Return the other socket of a pair, if the kernel named it, the same in both snapshots."""
    was, now = (
        tuple(
            peer.other
            for peer in (process.peers.value if isinstance(process.peers, Known) else ())
            if peer.socket == target and peer.pair
        )
        for process in (world.before.get(key[0], world.after[key[0]]), world.after[key[0]])
    )
    return now if was == now and len(now) == 1 else ()


def _in_flight(world: World, name: str) -> Gap | None:
    """Return a gap if a descriptor is on its way in a Unix socket, and so in nobody's list."""
    for process in (*world.before.values(), *world.after.values()):
        number = process.descriptors_in_flight
        if not isinstance(number, Known):
            detail = f"what is on its way in the sockets of process {process.pid}: {number.reason}"
            return Gap(kind="unknown", subject=name, detail=detail)
        if number.value:
            detail = f"descriptors are on their way in a socket of process {process.pid}"
            return Gap(kind="does-not-hold", subject=name, detail=detail)
    return None


def _seen_inside(world: World, target: str, access: tuple[str, ...]) -> bool:
    return any(
        descriptor.target == target and descriptor.access in access
        for process in world.after.values()
        if isinstance(process.descriptors, Known)
        for descriptor in process.descriptors.value
    )
