"""What each thread waits for, and who could end that wait.

Every wait comes out as one of two things. A `Wait` names *all* threads that could possibly end it;
an `Open` says why such a list cannot be given: the wait may end by itself, or somebody outside may
end it, or a fact is missing. An `Open` is never part of a proof, so every doubt ends here.

Why two snapshots show that a thread slept all the time between them: the kernel counts a switch
whenever a thread stops running, so a thread that is asleep in both with equal counters has not run
(``nvcsw``/``nivcsw`` in the kernel's ``__schedule``). What the second snapshot shows of its
registers and of the locks it owns then belongs to that one sleep.
"""

from __future__ import annotations

from collections.abc import Callable

from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.thread_facts import (
    NoTimeout,
    OnCpu,
    OutsideSystemCall,
    SystemCall,
    ThreadFacts,
    TimeLimit,
)
from deadlock_matrix.model.verdict import Condition, Gap
from deadlock_matrix.proof import file_locks, futexes, interpreter, processes, world_stop
from deadlock_matrix.proof.activity import NAMED, activity_of, stopped
from deadlock_matrix.proof.interrupts import with_interrupts
from deadlock_matrix.proof.wait import Open, Refusal, Wait, thread_id
from deadlock_matrix.proof.words import duration
from deadlock_matrix.proof.world import Key, World


def read_wait(world: World, key: Key) -> Wait | Open:
    """Say what one live thread waits for."""
    thread = world.threads[key]
    no = Refusal(world.name(key))
    earlier = world.threads_before.get(key)
    if earlier is None or earlier.started != thread.started:
        return no.because("began between the two snapshots")
    if thread.state == "T":
        return no.because(stopped(world, key))
    if thread.state != "S":
        return no.because(_STATES.get(thread.state, f"is in state {thread.state}"))
    if not isinstance(thread.activity, Known):
        return no.unknown(f"what it is doing: {thread.activity.reason}")
    call = thread.activity.value
    if isinstance(call, OnCpu):
        return no.because("is running")
    if isinstance(call, OutsideSystemCall):
        return no.because("is blocked outside a system call (a page fault, a stop, a freezer)")
    if call.name == "futex":
        gil = interpreter.gil_wait(world, key, call)
        if isinstance(gil, Gap):
            return Open(gap=gil)
        if gil is not None:
            return _from_gil(world, key, gil)
        stop = world_stop.stop_wait(world, key)
        if stop is not None:
            return stop
    asleep = _asleep(world, key, earlier, thread, call)
    if isinstance(asleep, Open):
        return asleep
    row = blocking(call.name)
    if row.channels:
        return with_interrupts(world, key, _READERS[row.ended_by](world, key, call, asleep))
    if row.of_sockets and row.waits_for is not WaitsFor.CONNECTION:
        return no.because(activity_of(world, key))
    return no.because(_WAITS_FOR.get(row.waits_for, f"is in the system call {call.name}"))


def _asleep(
    world: World, key: Key, earlier: ThreadFacts, thread: ThreadFacts, call: SystemCall
) -> tuple[Condition, ...] | Open:
    """Check that it sleeps from the first snapshot to the second, and with no time limit."""
    no = Refusal(world.name(key))
    timeout = thread.timeout
    if isinstance(timeout, Known) and isinstance(timeout.value, TimeLimit):
        due = timeout.value.due_s
        when = f", due in {duration(due.value)}" if isinstance(due, Known) else ""
        return no.because(f"waits in {call.name} with a time limit{when}")
    channels = blocking(call.name).channels
    if not channels:
        return ()
    if not isinstance(timeout, Known):
        return no.unknown(f"whether its wait in {call.name} has a time limit: {timeout.reason}")
    assert isinstance(timeout.value, NoTimeout)
    for switches in (earlier.switches, thread.switches):
        if not isinstance(switches, Known):
            return no.unknown(f"whether it ran between the snapshots: {switches.reason}")
    assert isinstance(thread.switches, Known)
    assert isinstance(earlier.switches, Known)
    if (
        earlier.state != "S"
        or earlier.switches.value != thread.switches.value
        or not isinstance(earlier.activity, Known)
        or earlier.activity.value != call
    ):
        return no.because("moved between the two snapshots")
    channel = thread.wait_channel
    if not isinstance(channel, Known):
        return no.unknown(f"which kernel function it sleeps in: {channel.reason}")
    if not any(part in channel.value for part in channels):
        return no.because(f"sleeps in {channel.value}, not in its call of {call.name}")
    subject = thread_id(key)
    counters = thread.switches.value
    return (
        Condition(
            name="asleep-throughout",
            subject=subject,
            detail=f"state S and {counters.voluntary}+{counters.involuntary} context switches "
            "in both snapshots, in the same system call",
            source=thread.switches.source,
        ),
        Condition(
            name="no-time-limit",
            subject=subject,
            detail=f"{call.name} was called without a timeout",
            source=timeout.source,
        ),
        Condition(
            name="in-that-call",
            subject=subject,
            detail=f"the kernel function it sleeps in is {channel.value}",
            source=channel.source,
        ),
    )


def _from_gil(world: World, key: Key, gil: interpreter.GilWait) -> Wait:
    activity = world.threads[key].activity
    assert isinstance(activity, Known)
    return Wait(
        node=gil.node,
        scope="thread",
        wakers=frozenset([gil.holder]),
        interruptible=False,
        source=activity.source,
        held_source=gil.held_source,
        phrase="waits for the GIL",
        conditions=gil.conditions,
    )


_READERS: dict[str, Callable[[World, Key, SystemCall, tuple[Condition, ...]], Wait | Open]] = {
    "threads": futexes.futex_wait,
    "child": processes.child_wait,
    "other-ends": processes.pipe_wait,
    "file-lock": file_locks.file_lock_wait,
}
"""How to read a call that can be a step of a proof, by who ends it."""

_STATES = {
    "R": "is running, or ready to run",
    "D": "is in an uninterruptible sleep (disk or network file system)",
    "t": "is stopped by a tracer",
    "I": "is an idle kernel thread",
}

_WAITS_FOR = {
    **NAMED,
    WaitsFor.RESTARTED: "is in a system call that was interrupted and restarted; the kernel shows "
    "neither which one it is nor its time limit",
}
