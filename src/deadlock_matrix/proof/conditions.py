"""What must hold of a whole process before a wait in it counts as endless.

For a wait that only its owner can end, one thing: no signal handler in C, which could release the
owner's lock. Any other wait could be ended by somebody inside the process, so everybody inside must
be known and stuck, and nothing from outside may reach in: no signal handler, no timer, no debugger,
no shared memory, no kernel work that completes by itself.

What cannot be read about signals can be assumed: that no signal comes whose handler could wake a
thread. Such a condition says so (`Condition.assumes`), and makes a deadlock only likely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from msgspec.structs import replace

from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.signals import signal_name
from deadlock_matrix.model.verdict import Assumption, AssumptionKind, Condition, ConditionName, Gap
from deadlock_matrix.proof.handlers import (
    SIGCHLD,
    Handler,
    assume_none,
    handlers_of,
    may_be_interrupted,
)
from deadlock_matrix.proof.world import GONE, World

OF_EVERY_WAIT: tuple[ConditionName, ...] = ("no-foreign-handler",)
"""What a wait needs that no signal can interrupt."""

NAMES: tuple[ConditionName, ...] = (
    "threads-complete",
    "no-waking-signal",
    "no-timer",
    "no-tracer",
    "memory-not-shared",
    "no-io-uring",
    *OF_EVERY_WAIT,
)
"""What every other wait needs, in this order."""


def process_id(pid: int) -> str:
    """Return the id of a process's node."""
    return f"process-{pid}"


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """The conditions of one process by name, and what is wrong if one does not hold."""

    hold: dict[ConditionName, Condition]
    gaps: dict[ConditionName, Gap]

    def wanted(self, names: tuple[ConditionName, ...]) -> tuple[Condition, ...]:
        """Return those conditions of ``names`` that hold."""
        return tuple(self.hold[name] for name in names if name in self.hold)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A condition holds: by what was read, or given what is assumed."""

    detail: str
    source: str
    assumes: tuple[Assumption, ...] = ()


def check_process(world: World, pid: int) -> Conditions:
    """Check all conditions of one process: those that hold, and what is wrong with the others."""
    hold: dict[ConditionName, Condition] = {}
    gaps: dict[ConditionName, Gap] = {}
    for name, check in _CHECKS.items():
        found = _in_both(check, world, pid)
        if isinstance(found, Gap):
            gaps[name] = found
        else:
            hold[name] = Condition(
                name=name,
                subject=process_id(pid),
                detail=found.detail,
                source=found.source,
                assumes=found.assumes,
            )
    return Conditions(hold=hold, gaps=gaps)


Check = Callable[[World, ProcessFacts], Found | Gap]


def _in_both(check: Check, world: World, pid: int) -> Found | Gap:
    """Check that a condition holds in both snapshots.

    The second alone would not do: a handler that is used once is gone when it has run, and a
    process on the same memory when it has done its work. When the first was read, everybody was
    already asleep, or counts as moving.
    """
    now = check(world, world.after[pid])
    earlier = world.before.get(pid)
    if earlier is None or isinstance(now, Gap):
        return now
    was = check(world, earlier)
    if isinstance(was, Gap):
        return was
    both = tuple(dict.fromkeys((*was.assumes, *now.assumes)))
    return Found(detail=now.detail, source=now.source, assumes=both)


def _gap(process: ProcessFacts, detail: str, *, known: bool) -> Gap:
    return Gap(
        kind="does-not-hold" if known else "unknown",
        subject=f"process {process.pid}",
        detail=detail,
    )


def _threads_complete(world: World, process: ProcessFacts) -> Found | Gap:
    earlier = world.before.get(process.pid)
    process = world.after[process.pid]
    if earlier is None or earlier.started != process.started:
        return _gap(process, "began between the two snapshots", known=True)
    was = {(thread.tid, thread.started) for thread in earlier.threads if thread.state not in GONE}
    now = {(thread.tid, thread.started) for thread in process.threads if thread.state not in GONE}
    listed = {thread.tid for thread in process.threads}
    if was != now or listed != set(process.threads_after):
        return _gap(process, "threads began or ended between the two snapshots", known=True)
    return Found(
        detail=f"the same {len(now)} threads in both snapshots, and listed again after the second",
        source=f"/proc/{process.pid}/task",
    )


def _no_waking_signal(world: World, process: ProcessFacts) -> Found | Gap:
    handlers = handlers_of(world, process)
    if isinstance(handlers, Unknown):
        return _gap(process, f"which signals it catches: {handlers.reason}", known=False)
    doubtful = [handler for handler in handlers if handler.whose in ("python", "foreign")]
    for handler in doubtful:
        children = [other.pid for other in world.after.values() if other.parent == process.pid]
        if handler.number == SIGCHLD and children:
            detail = f"has a handler of SIGCHLD ({handler.told}), and children that may end"
            return _gap(process, detail, known=True)
    found = _if_none_comes(process, handlers, doubtful)
    return replace(found, assumes=(*found.assumes, *_not_by_its_parents(world, process)))


def _not_by_its_parents(world: World, process: ProcessFacts) -> Iterator[Assumption]:
    """Yield what to assume about ``timeout -s INT`` and the like above the tree.

    A parent that waits for ever does not act.
    """
    if process.pid != world.root or not may_be_interrupted(world, process):
        return
    for parent in world.evidence.parents:
        will_act = parent.timers or parent.limits
        if will_act and parent.sends in ("", "SIGINT"):  # any other signal interrupts nothing
            yield Assumption(
                kind=AssumptionKind.NOT_INTERRUPTED,
                subject=process_id(process.pid),
                detail=f"process {parent.pid} ({parent.name}), which is above it and "
                f"{parent.acts}, does not interrupt it",
                source=f"/proc/{parent.pid}/timers"
                if parent.timers
                else f"the Python stack of process {parent.pid}",
            )


def _no_foreign_handler(world: World, process: ProcessFacts) -> Found | Gap:
    # A handler of Python runs in the main thread's Python code, so not during a wait that no signal
    # interrupts. One in C runs at once, in whichever thread receives the signal.
    handlers = handlers_of(world, process)
    if isinstance(handlers, Unknown):
        return _gap(process, f"which signals it catches: {handlers.reason}", known=False)
    doubtful = [handler for handler in handlers if handler.whose == "foreign"]
    return _if_none_comes(process, handlers, doubtful)


def _if_none_comes(
    process: ProcessFacts, handlers: tuple[Handler, ...], doubtful: list[Handler]
) -> Found:
    assert isinstance(process.signals, Known)
    source = process.signals.source
    told = [f"{signal_name(handler.number)} ({handler.told})" for handler in handlers]
    return Found(
        detail="caught signals: " + (", ".join(told) or "none"),
        source=source,
        assumes=assume_none(doubtful, process_id(process.pid), source),
    )


def _no_timer(world: World, process: ProcessFacts) -> Found | Gap:
    # A timer sends whatever signal it was made for: SIGINT too, or one that ends the process.
    if not isinstance(process.timers, Known):
        return _gap(process, f"whether it has timers: {process.timers.reason}", known=False)
    if process.timers.value:
        return _gap(process, f"has a timer ({process.timers.value[0]})", known=True)
    return Found(detail="it has no POSIX timer", source=process.timers.source)


def _no_tracer(world: World, process: ProcessFacts) -> Found | Gap:
    if not isinstance(process.tracer, Known):
        return _gap(process, f"whether it is traced: {process.tracer.reason}", known=False)
    if process.tracer.value:
        return _gap(process, f"is traced by process {process.tracer.value}", known=True)
    return Found(detail="nobody traces it", source=process.tracer.source)


def _memory_not_shared(world: World, process: ProcessFacts) -> Found | Gap:
    sharing = process.shares_memory_with
    if not isinstance(sharing, Known):
        return _gap(process, f"whether its memory is shared: {sharing.reason}", known=False)
    if sharing.value:
        others = ", ".join(map(str, sharing.value))
        return _gap(process, f"shares its memory with process {others}", known=True)
    return Found(detail="no other process runs on its memory", source=sharing.source)


def _no_io_uring(world: World, process: ProcessFacts) -> Found | Gap:
    # The descriptor may be closed while the rings are still mapped, and work goes on.
    descriptors, mappings = process.descriptors, process.special_mappings
    if not isinstance(process.own_descriptors, Known):
        detail = f"whether its threads share descriptors: {process.own_descriptors.reason}"
        return _gap(process, detail, known=False)
    if process.own_descriptors.value:
        return _gap(process, "has threads with descriptors of their own", known=True)
    if not isinstance(descriptors, Known):
        return _gap(process, f"its descriptors: {descriptors.reason}", known=False)
    if not isinstance(mappings, Known):
        return _gap(process, f"its mappings: {mappings.reason}", known=False)
    targets = [descriptor.target for descriptor in descriptors.value]
    if any("io_uring" in name for name in (*targets, *mappings.value)):
        return _gap(process, "has an io_uring, which can complete by itself", known=True)
    # A ring lives on in whoever has inherited its descriptor, and works for the one who filled it.
    if isinstance(world.open_rings, Unknown):
        return _gap(process, world.open_rings.reason, known=False)
    for other in world.open_rings.value:
        detail = f"may have an io_uring that process {other} keeps open"
        return _gap(process, detail, known=True)
    return Found(
        detail="no io_uring is open or mapped in it, or open in another process of the tree",
        source=f"{descriptors.source}, {mappings.source}",
    )


_CHECKS: dict[ConditionName, Check] = dict(
    zip(
        NAMES,
        (
            _threads_complete,
            _no_waking_signal,
            _no_timer,
            _no_tracer,
            _memory_not_shared,
            _no_io_uring,
            _no_foreign_handler,
        ),
        strict=True,
    )
)
