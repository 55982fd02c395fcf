"""What a thread waits for, in the few kinds that signs ask for."""

from __future__ import annotations

from deadlock_matrix.diagnosis.signs import Waiting
from deadlock_matrix.diagnosis.traces import ThreadTraces
from deadlock_matrix.model.evidence import OnCpu, OutsideSystemCall, SystemCall, TimeLimit
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

_CALLS: dict[str, Waiting] = {
    "wait4": "child", "waitid": "child", "waitpid": "child",
    "read": "read", "readv": "read", "recvfrom": "read", "recvmsg": "read",
    "write": "write", "writev": "write", "sendto": "write", "sendmsg": "write",
    "poll": "poll", "ppoll": "poll", "select": "poll", "pselect6": "poll",
    "epoll_wait": "poll", "epoll_pwait": "poll", "epoll_pwait2": "poll",
    "nanosleep": "sleep", "clock_nanosleep": "sleep", "sched_yield": "running",
}  # fmt: skip


def waiting(thread: ThreadTraces) -> Known[Waiting] | Unknown:
    """What kind of wait a thread is in."""
    activity = thread.facts.activity
    if isinstance(activity, Unknown):
        return activity
    doing, source = activity.value, activity.source
    if isinstance(doing, OnCpu):
        return known("running", source)
    if isinstance(doing, OutsideSystemCall):
        return known("other", source)
    if doing.name == "futex":
        return _futex(thread, doing, source)
    return known(_CALLS.get(doing.name, "other"), source)


def _futex(thread: ThreadTraces, call: SystemCall, source: str) -> Known[Waiting] | Unknown:
    timeout = thread.facts.timeout
    if isinstance(timeout, Unknown):
        return timeout
    if not isinstance(timeout.value, TimeLimit):
        return known("futex", source)
    python = thread.process.python
    if isinstance(python, Unknown):
        return unknown(f"whether it waits for the GIL: {python.reason}")
    # CPython asks for the GIL on a word in its own exported object, 5 ms at a time.
    runtime = python.value
    inside = runtime.runtime_start <= call.arguments[0] < runtime.runtime_end
    return known("gil" if inside else "timed-futex", source)


def descriptor(thread: ThreadTraces) -> Known[int] | Unknown:
    """The descriptor that a thread reads from or writes to."""
    activity = thread.facts.activity
    if isinstance(activity, Unknown):
        return activity
    doing = activity.value
    if isinstance(doing, SystemCall) and _CALLS.get(doing.name) in ("read", "write"):
        return known(doing.arguments[0], activity.source)
    return unknown("it neither reads nor writes")
