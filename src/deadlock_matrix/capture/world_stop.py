"""Who holds up a thread that has asked all others to stop, in a free-threaded build.

``stop_the_world`` in ``Python/pystate.c`` sets ``requested`` in a ``struct _stoptheworld_state`` of
the interpreter or the runtime, and waits for its ``stop_event``, a millisecond at a time, until no
other thread is attached. A thread that is blocked in C without having detached never stops.

No symbol leads to that structure, but the wait does: the word before the futex is the address of
the event (``struct wait_entry`` in ``Python/parking_lot.c``), which is the fifth byte of ``{mutex,
requested, world_stopped, is_global, stop_event; thread_countdown; requester}``. It is believed if
the requester is the thread that waits. ``PyThreadState.state`` follows ``_status``
(``Include/cpython/pystate.h``); tried with CPython 3.13.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from deadlock_matrix.capture.frame_variables import Interpreter
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_frames import PythonThread
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

STATE_BEHIND_STATUS = {(3, 13): 8, (3, 14): 12, (3, 15): 16}
ATTACHED, LARGEST_STATE = 1, 3  # detached 0, suspended 2, shutting down 3
HAS_PARKED = 2  # of the event: somebody waits for it, and it is not set
_EVENT_AT = 4
_MOST_THREADS = 1 << 14


def keeping_it(
    memory: Memory,
    python: Interpreter,
    thread: PythonThread,
    threads: Iterable[PythonThread],
    futex: int,
    tids: Mapping[int, int],
) -> Known[tuple[int, ...]] | Unknown:
    """Return the attached threads for which ``thread`` waits, by the observer's ids.

    Args:
        memory: The process's memory.
        python: Its interpreter.
        thread: The one that may have asked all others to stop.
        threads: All of them.
        futex: The one on which it sleeps.
        tids: From the process's own ids of threads to the observer's.
    """
    try:
        of_all = _requested_by(memory, futex, thread.state)
        if of_all is None:
            return unknown("it does not wait for others to stop")
        stopping = [each for each in threads if of_all or each.interpreter == thread.interpreter]
        states = [_state(memory, python, each) for each in stopping]
        if _state(memory, python, thread) != ATTACHED or max(states) > LARGEST_STATE:
            return unknown("which threads are attached is not where it should be")
    except Unreadable as error:
        return unknown(str(error))
    made = [each.own_tid for each in stopping if each.own_tid]
    if len(set(made)) < len(made):
        return unknown("a thread has made two thread states; another may use one of them")
    attached = [
        each.own_tid
        for each, state in zip(stopping, states, strict=True)
        if state == ATTACHED and each.state != thread.state
    ]
    if any(own_tid not in tids for own_tid in attached):
        return unknown("a thread that is attached has ended")
    found = tuple(sorted(tids[own_tid] for own_tid in attached))
    return known(found, f"/proc/{memory.pid}/mem: PyThreadState.state")


def _requested_by(memory: Memory, futex: int, state: int) -> bool | None:
    """Return whether the stop covers all interpreters; None if the wait is for something else."""
    event = memory.number(futex - 8)
    raw = memory.read(event - _EVENT_AT, 24)
    _, requested, stopped, of_all, parked, countdown, requester = struct.unpack("<5B3xqQ", raw)
    if (requested, stopped, parked, requester) != (1, 0, HAS_PARKED, state):
        return None
    return bool(of_all) if of_all <= 1 and 0 < countdown <= _MOST_THREADS else None


def is_attached(memory: Memory, python: Interpreter, thread: PythonThread) -> bool:
    """Return whether a thread is attached to its interpreter, and may touch objects.

    Raises:
        Unreadable: This version is not known, or its memory is not as it should be.
    """
    state = _state(memory, python, thread)
    if state > LARGEST_STATE:
        raise Unreadable("which threads are attached is not where it should be")
    return state == ATTACHED


def _state(memory: Memory, python: Interpreter, thread: PythonThread) -> int:
    behind = STATE_BEHIND_STATUS.get(python.version)
    status = python.offsets.get("thread_state.status")
    if behind is None or status is None:
        raise Unreadable("where a thread of this version says that it is attached is not known")
    return memory.number(thread.state + status + behind, 4)
