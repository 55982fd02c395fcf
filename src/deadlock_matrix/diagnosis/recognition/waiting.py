"""What a thread waits for, in the few kinds that signs use."""

from __future__ import annotations

from deadlock_matrix.diagnosis.recognition.signs import Waiting
from deadlock_matrix.diagnosis.recognition.traces import ThreadTraces
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.thread_facts import OnCpu, OutsideSystemCall, SystemCall, TimeLimit

_KINDS: dict[WaitsFor, Waiting] = {
    WaitsFor.CHILD: "child",
    WaitsFor.READ: "read",
    WaitsFor.WRITE: "write",
    WaitsFor.EVENTS: "poll",
    WaitsFor.EPOLL: "poll",
    WaitsFor.TIME: "sleep",
}


def waiting(thread: ThreadTraces) -> Known[Waiting] | Unknown:
    """Return what kind of wait a thread is in."""
    activity = thread.facts.activity
    if isinstance(activity, Unknown):
        return activity
    doing, source = activity.value, activity.source
    if isinstance(doing, OnCpu) or (isinstance(doing, SystemCall) and doing.name == "sched_yield"):
        return known("running", source)
    if isinstance(doing, OutsideSystemCall):
        return known("other", source)
    if doing.name == "futex":
        return _futex(thread, doing, source)
    return known(_KINDS.get(blocking(doing.name).waits_for, "other"), source)


def _futex(thread: ThreadTraces, call: SystemCall, source: str) -> Known[Waiting] | Unknown:
    timeout = thread.facts.timeout
    if isinstance(timeout, Unknown):
        return timeout
    if not isinstance(timeout.value, TimeLimit):
        return known("futex", source)
    python = thread.process.python
    if isinstance(python, Unknown):
        return unknown(f"whether it waits for the GIL: {python.reason}")
    return known("gil" if python.value.may_be_gil(call.arguments[0]) else "timed-futex", source)


def descriptor(thread: ThreadTraces) -> Known[int] | Unknown:
    """Return the descriptor that a thread reads from or writes to."""
    activity = thread.facts.activity
    if isinstance(activity, Unknown):
        return activity
    doing = activity.value
    if isinstance(doing, SystemCall):
        kind = _KINDS.get(blocking(doing.name).waits_for)
        if kind in ("read", "write"):
            return known(doing.arguments[0], activity.source)
    return unknown("it neither reads nor writes")
