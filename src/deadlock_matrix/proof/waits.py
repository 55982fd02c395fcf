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
from deadlock_matrix.proof.activity import OF_SOCKETS, activity_of, stopped
from deadlock_matrix.proof.interrupts import with_interrupts
from deadlock_matrix.proof.wait import Open, Refusal, Wait, thread_id
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
    asleep = _asleep(world, key, earlier, thread, call)
    if isinstance(asleep, Open):
        return asleep
    if call.name in _WITHOUT_END:
        return with_interrupts(world, key, _WITHOUT_END[call.name](world, key, call, asleep))
    if call.name in OF_SOCKETS:
        return no.because(activity_of(world, key))
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
    if not any(part in channel.value for part in _CHANNELS[call.name]):
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

_WAITING = ("do_wait",)
_PIPE = ("pipe_",)
_POLL = ("poll", "select")
_CHANNELS = {
    "futex": ("futex",),
    "wait4": _WAITING,
    "waitid": _WAITING,
    "read": _PIPE,
    "readv": _PIPE,
    "write": _PIPE,
    "writev": _PIPE,
    "poll": _POLL,
    "ppoll": _POLL,
    "select": _POLL,
    "pselect6": _POLL,
}
"""Parts of the names of the kernel functions in which these calls wait, from Linux 4 to 6.

A frozen thread, one that waits for a page from a fault handler in user space, or for a supervisor
that decides about its system calls, shows the call and sleeps, but elsewhere.
"""

_STATES = {
    "R": "is running, or ready to run",
    "D": "is in an uninterruptible sleep (disk or network file system)",
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
