"""What must hold of a whole process before a wait without an owner counts as endless.

A wait that only its owner can end needs none of this. For every other wait, somebody inside the
process could end it, so everybody inside must be known and stuck, and nothing from outside may
reach in: no signal handler, no debugger, no shared memory, no kernel work that completes by itself.
"""

from __future__ import annotations

from collections.abc import Callable

from deadlock_matrix.model.evidence import ProcessFacts
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.verdict import Condition, Gap
from deadlock_matrix.proof.world import GONE, World

SIGINT = 2
SYNCHRONOUS = {4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 11: "SIGSEGV",
               31: "SIGSYS"}  # fmt: skip
"""Signals of a thread's own faults: a sleeping thread makes none, and nobody wakes with them."""

GLIBC_INTERNAL = {32: "SIGCANCEL", 33: "SIGSETXID"}
"""glibc's handlers act on these only when they come from the process itself (``si_pid``)."""

NAMES = (
    "threads-complete",
    "no-waking-signal",
    "no-tracer",
    "memory-not-shared",
    "no-io-uring",
)
"""One condition of each name for every process, in this order."""


def process_id(pid: int) -> str:
    """The id of a process's node."""
    return f"process-{pid}"


def check_process(world: World, pid: int) -> tuple[tuple[Condition, ...], tuple[Gap, ...]]:
    """All conditions of one process: those that hold, and what is wrong with the others."""
    conditions: list[Condition] = []
    gaps: list[Gap] = []
    checks = (_threads_complete, _no_waking_signal, _no_tracer, _memory_not_shared, _no_io_uring)
    for name, check in zip(NAMES, checks, strict=True):
        found = _in_both(check, world, pid)
        if isinstance(found, Gap):
            gaps.append(found)
        else:
            detail, source = found
            conditions.append(
                Condition(name=name, subject=process_id(pid), detail=detail, source=source)
            )
    return tuple(conditions), tuple(gaps)


Check = Callable[[World, ProcessFacts], tuple[str, str] | Gap]


def _in_both(check: Check, world: World, pid: int) -> tuple[str, str] | Gap:
    """A condition must hold in both snapshots.

    In the second alone it would not do: a handler that is used once is gone when it has run, and
    a process on the same memory when it has done what it came for. In the first, everybody was
    asleep already when it was read, or counts as moving.
    """
    earlier = world.before.get(pid)
    if earlier is not None:
        found = check(world, earlier)
        if isinstance(found, Gap):
            return found
    return check(world, world.after[pid])


def _gap(process: ProcessFacts, detail: str, *, known: bool) -> Gap:
    return Gap(
        kind="does-not-hold" if known else "unknown",
        subject=f"process {process.pid}",
        detail=detail,
    )


def _threads_complete(world: World, process: ProcessFacts) -> tuple[str, str] | Gap:
    earlier = world.before.get(process.pid)
    process = world.after[process.pid]
    if earlier is None or earlier.started != process.started:
        return _gap(process, "began between the two snapshots", known=True)
    was = {(thread.tid, thread.started) for thread in earlier.threads if thread.state not in GONE}
    now = {(thread.tid, thread.started) for thread in process.threads if thread.state not in GONE}
    listed = {thread.tid for thread in process.threads}
    if was != now or listed != set(process.threads_after):
        return _gap(process, "threads began or ended between the two snapshots", known=True)
    return (
        f"the same {len(now)} threads in both snapshots, and listed again after the second",
        f"/proc/{process.pid}/task",
    )


def _no_waking_signal(world: World, process: ProcessFacts) -> tuple[str, str] | Gap:
    if not isinstance(process.signals, Known):
        return _gap(process, f"which signals it catches: {process.signals.reason}", known=False)
    blocked_by_all = ~0
    for thread in process.threads:
        if thread.state not in GONE:
            blocked_by_all &= thread.blocked_signals
    waking = process.signals.value.caught & ~blocked_by_all
    numbers = [number for number in range(1, 65) if waking >> (number - 1) & 1]
    harmless: list[str] = []
    internal = GLIBC_INTERNAL if world.machine.libc.startswith(("glibc", "musl")) else {}
    for number in numbers:
        if number in SYNCHRONOUS or number in internal:
            harmless.append((SYNCHRONOUS | internal)[number])
            timers = process.timers
            if not isinstance(timers, Known):
                detail = f"whether a timer could send it {harmless[-1]}: {timers.reason}"
                return _gap(process, detail, known=False)
            if timers.value:
                return _gap(process, f"has a timer, and a handler of {harmless[-1]}", known=True)
        elif number == SIGINT:
            problem = _interrupt_handler(process)
            if problem is not None:
                return problem
            harmless.append("SIGINT (Python's own handler)")
        else:
            return _gap(
                process, f"catches signal {number}, whose handler could wake a thread", known=True
            )
    return "caught signals: " + (", ".join(harmless) or "none"), process.signals.source


def _interrupt_handler(process: ProcessFacts) -> Gap | None:
    if not isinstance(process.python, Known):
        return _gap(
            process,
            "catches SIGINT, and whether its handler is Python's own is not known: "
            + process.python.reason,
            known=False,
        )
    handler = process.python.value.interrupt_handler
    if not isinstance(handler, Known):
        return _gap(process, f"the handler of SIGINT: {handler.reason}", known=False)
    if handler.value != "default_int_handler":
        return _gap(
            process,
            f"catches SIGINT with a handler of its own ({handler.value}), which could wake a "
            "thread",
            known=True,
        )
    return None


def _no_tracer(world: World, process: ProcessFacts) -> tuple[str, str] | Gap:
    if not isinstance(process.tracer, Known):
        return _gap(process, f"whether it is traced: {process.tracer.reason}", known=False)
    if process.tracer.value:
        return _gap(process, f"is traced by process {process.tracer.value}", known=True)
    return "nobody traces it", process.tracer.source


def _memory_not_shared(world: World, process: ProcessFacts) -> tuple[str, str] | Gap:
    sharing = process.shares_memory_with
    if not isinstance(sharing, Known):
        return _gap(process, f"whether its memory is shared: {sharing.reason}", known=False)
    if sharing.value:
        others = ", ".join(map(str, sharing.value))
        return _gap(process, f"shares its memory with process {others}", known=True)
    return "no other process runs on its memory", sharing.source


def _no_io_uring(world: World, process: ProcessFacts) -> tuple[str, str] | Gap:
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
    return "no io_uring is open or mapped", f"{descriptors.source}, {mappings.source}"
