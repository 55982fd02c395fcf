"""Waits on pipes: who has the other end open.

Only anonymous pipes are followed. A FIFO with a name can be opened by anybody at any time, and who
is behind a socket, a terminal or an event counter is not told by its descriptor.
"""

from __future__ import annotations

from dataclasses import dataclass

from deadlock_matrix.model.evidence import Descriptor, SystemCall
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.verdict import Condition, Gap, Node
from deadlock_matrix.proof.world import Key, World

READING = 0x0001 | 0x0040  # POLLIN, POLLRDNORM
WRITING = 0x0004 | 0x0100  # POLLOUT, POLLWRNORM
POLLPRI = 0x0002  # never true of a pipe


@dataclass(frozen=True, kw_only=True)
class PipeWait:
    """A wait for the other ends of pipes, all of which lie inside the tree."""

    node: Node
    source: str
    held_source: str
    phrase: str
    conditions: tuple[Condition, ...]


def waited_for(world: World, key: Key, call: SystemCall) -> PipeWait | Gap:
    """Say which pipe ends could end the wait, if nobody outside the tree has one."""
    name = world.name(key)
    thread = world.threads[key]
    descriptors = world.after[key[0]].descriptors
    if not isinstance(descriptors, Known):
        return Gap(kind="unknown", subject=name, detail=f"its descriptors: {descriptors.reason}")
    by_number = {descriptor.number: descriptor for descriptor in descriptors.value}
    wanted: list[tuple[int, bool]] = []  # descriptor, waits for a writer
    if call.name in ("read", "readv"):
        wanted.append((call.arguments[0] & 0xFFFF_FFFF, True))
    elif call.name in ("write", "writev"):
        wanted.append((call.arguments[0] & 0xFFFF_FFFF, False))
    else:
        if not isinstance(thread.polled, Known):
            return Gap(
                kind="unknown",
                subject=name,
                detail=f"the descriptors it polls: {thread.polled.reason}",
            )
        for polled in thread.polled.value:
            if polled.events & (READING | POLLPRI) or not polled.events:
                wanted.append((polled.descriptor, True))
            if polled.events & WRITING:
                wanted.append((polled.descriptor, False))
        if not wanted:
            return Gap(
                kind="does-not-hold", subject=name, detail=f"waits in {call.name} for a signal"
            )
    targets: list[str] = []
    for number, for_writer in wanted:
        gap = _inside(world, name, by_number.get(number), number, for_writer)
        if isinstance(gap, Gap):
            return gap
        targets.append(gap)
    assert isinstance(thread.activity, Known)
    outside = world.outside_holders
    assert isinstance(outside, Known)
    verb = "write to" if call.name.startswith("write") else "read from"
    what = " or ".join(dict.fromkeys(targets))
    return PipeWait(
        node=Node(
            id=f"pipe-{key[0]}-{key[1]}-" + "+".join(dict.fromkeys(targets)),
            kind="pipe",
            label=what,
        ),
        source=thread.activity.source,
        held_source=f"the other ends are open in this tree alone ({descriptors.source}; "
        f"{outside.source})",
        phrase=f"waits to {verb} {what}",
        conditions=(
            Condition(
                name="no-outside-end",
                subject="",
                detail=f"no process outside the tree has the other end of {what} open",
                source=outside.source,
            ),
        ),
    )


def _inside(
    world: World, name: str, descriptor: Descriptor | None, number: int, for_writer: bool
) -> str | Gap:
    if descriptor is None:
        return Gap(kind="unknown", subject=name, detail=f"what its descriptor {number} is")
    target = descriptor.target
    if not target.startswith("pipe:"):
        verb = "reads from" if for_writer else "writes to"
        return Gap(kind="does-not-hold", subject=name, detail=f"{verb} {target}")
    outside = world.outside_holders
    if not isinstance(outside, Known):
        return Gap(
            kind="unknown",
            subject=name,
            detail=f"who else has {target} open: {outside.reason}",
        )
    other_end = ("w", "rw") if for_writer else ("r", "rw")
    for holder in outside.value:
        if holder.target == target and holder.access in other_end:
            end = "written to" if for_writer else "read"
            return Gap(
                kind="does-not-hold",
                subject=name,
                detail=f"{target} can be {end} by process {holder.pid}, which is outside the tree",
            )
    if not _seen_inside(world, target, other_end):
        # It would not wait if there were none: whoever has it is out of sight.
        return Gap(
            kind="unknown", subject=name, detail=f"who has the other end of {target}: nobody seen"
        )
    return target


def _seen_inside(world: World, target: str, access: tuple[str, ...]) -> bool:
    return any(
        descriptor.target == target and descriptor.access in access
        for process in world.after.values()
        if isinstance(process.descriptors, Known)
        for descriptor in process.descriptors.value
    )
