"""What each thread waits for, and who could end that wait.

Every wait comes out as one of two things. A `Wait` names *all* threads that could possibly end
it; an `Open` says why such a list cannot be given: the wait may end by itself, or by somebody
outside, or a fact is missing. An `Open` is never part of a proof, so every doubt ends here.

Why two snapshots show that a thread slept all the time between them: the kernel counts a switch
whenever a thread stops running, so a thread that is asleep in both with equal counters has not run
(``nvcsw``/``nivcsw`` in the kernel's ``__schedule``). What the second snapshot shows of its
registers and of the locks it owns then belongs to that one sleep.
"""

from __future__ import annotations

from collections.abc import Callable

from deadlock_matrix.model.evidence import (
    NoTimeout,
    OnCpu,
    OutsideSystemCall,
    SystemCall,
    ThreadFacts,
    TimeLimit,
)
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.verdict import Condition, Gap
from deadlock_matrix.proof import futexes, interpreter, processes
from deadlock_matrix.proof.wait import Open, Refusal, Wait, thread_id
from deadlock_matrix.proof.world import Key, World


def read_wait(world: World, key: Key) -> Wait | Open:
    """Say what one live thread waits for."""
    thread = world.threads[key]
    no = Refusal(world.name(key))
    earlier = world.threads_before.get(key)
    if earlier is None or earlier.started != thread.started:
        return no.because("began between the two snapshots")
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
            return _from_gil(gil, thread)
    asleep = _asleep(world, key, earlier, thread, call)
    if isinstance(asleep, Open):
        return asleep
    if call.name in _WITHOUT_END:
        return _WITHOUT_END[call.name](world, key, call, asleep)
    return no.because(_CALLS.get(call.name, f"is in the system call {call.name}"))


def _asleep(
    world: World, key: Key, earlier: ThreadFacts, thread: ThreadFacts, call: SystemCall
) -> tuple[Condition, ...] | Open:
    """Asleep from the first snapshot to the second, and with no time limit."""
    no = Refusal(world.name(key))
    timeout = thread.timeout
    if isinstance(timeout, Known) and isinstance(timeout.value, TimeLimit):
        due = timeout.value.due_s
        when = f", due in {_duration(due.value)}" if isinstance(due, Known) else ""
        return no.because(f"waits in {call.name} with a time limit{when}")
    if call.name not in _WITHOUT_END:
        return ()
    if not isinstance(timeout, Known):
        return no.unknown(f"whether its wait in {call.name} has a time limit: {timeout.reason}")
    assert isinstance(timeout.value, NoTimeout)
    if not isinstance(thread.switches, Known) or not isinstance(earlier.switches, Known):
        return no.unknown("its context-switch counters, so whether it ran between the snapshots")
    if (
        earlier.state != "S"
        or earlier.switches.value != thread.switches.value
        or not isinstance(earlier.activity, Known)
        or earlier.activity.value != call
    ):
        return no.because("moved between the two snapshots")
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
    )


def _from_gil(gil: interpreter.GilWait, thread: ThreadFacts) -> Wait:
    assert isinstance(thread.activity, Known)
    return Wait(
        node=gil.node,
        scope="thread",
        wakers=frozenset([gil.holder]),
        interruptible=False,
        source=thread.activity.source,
        held_source=gil.held_source,
        phrase="waits for the GIL",
        conditions=(gil.condition,),
    )


_WITHOUT_END: dict[str, Callable[[World, Key, SystemCall, tuple[Condition, ...]], Wait | Open]] = {
    "futex": futexes.futex_wait,
    "wait4": processes.child_wait,
    "waitid": processes.child_wait,
    "read": processes.pipe_wait,
    "readv": processes.pipe_wait,
    "write": processes.pipe_wait,
    "writev": processes.pipe_wait,
    "poll": processes.pipe_wait,
    "ppoll": processes.pipe_wait,
    "select": processes.pipe_wait,
    "pselect6": processes.pipe_wait,
}
"""System calls that a proof can follow: how each is read."""

_STATES = {
    "R": "is running, or ready to run",
    "D": "is in an uninterruptible sleep (disk or network file system)",
    "T": "is stopped by a signal",
    "t": "is stopped by a tracer",
    "I": "is an idle kernel thread",
}

_CALLS = {
    "nanosleep": "sleeps",
    "clock_nanosleep": "sleeps",
    "epoll_wait": "waits for events in epoll",
    "epoll_pwait": "waits for events in epoll",
    "epoll_pwait2": "waits for events in epoll",
    "accept": "waits for a connection",
    "accept4": "waits for a connection",
    "recvfrom": "reads from a socket",
    "recvmsg": "reads from a socket",
    "rt_sigtimedwait": "waits for a signal",
    "rt_sigsuspend": "waits for a signal",
    "pause": "waits for a signal",
    "io_uring_enter": "waits for io_uring",
    "flock": "waits for a file lock",
    "fcntl": "waits for a file lock",
    "restart_syscall": "is in a system call that was interrupted and began again; which, and "
    "until when, the kernel does not show",
}


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
