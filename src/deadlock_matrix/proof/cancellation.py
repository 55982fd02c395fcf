"""The condition that nobody cancels a waiting thread: a cancelled one releases what it holds.

``pthread_join`` and the interpreter's wait for the GIL (``pthread_cond_timedwait``) are
cancellation points. A wait for a mutex is not one: there a thread can be cancelled only if it
allowed that at any moment (``PTHREAD_CANCEL_ASYNCHRONOUS``). Code that cancels must name
``pthread_cancel``, and code that allows it ``pthread_setcanceltype``; hardly any library does.
"""

from __future__ import annotations

import re

from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.verdict import Assumption, AssumptionKind, Condition, ConditionName
from deadlock_matrix.proof.wait import thread_id
from deadlock_matrix.proof.world import Key, World

CAUGHT_FROM_THE_BEGINNING = (2, 33)
GLIBC_SIGNAL, MUSL_SIGNAL = 32, 33
"""``SIGCANCEL``: glibc from 2.34 on catches it only once a thread has been cancelled, and so does
musl in every version (glibc's ``nptl/pthread_cancel.c``, musl's ``src/thread/pthread_cancel.c``).
"""

NAME: ConditionName = "no-cancellation"


def not_cancelled(world: World, key: Key) -> Condition:
    """At a cancellation point: return that nobody can cancel, or assume that nobody does."""
    process = world.after[key[0]]
    telling = _signals_that_tell(world.machine.libc)
    doubt = _who_names("pthread_cancel", process.cancelling) or _has_cancelled(process, telling)
    if doubt:
        return _assumed(key, doubt, process.cancelling)
    assert isinstance(process.cancelling, Known)
    told = ", and no thread was ever cancelled" if len(telling) == 1 else ""
    return Condition(
        name=NAME,
        subject=thread_id(key),
        detail=f"no library of the process names pthread_cancel{told}",
        source=process.cancelling.source,
    )


def not_cancelled_at_once(world: World, key: Key) -> Condition:
    """Anywhere else: return that nobody can be cancelled at any moment, or assume it."""
    process = world.after[key[0]]
    doubt = _who_names("pthread_setcanceltype", process.cancelling_at_once)
    if not doubt:
        assert isinstance(process.cancelling_at_once, Known)
        return Condition(
            name=NAME,
            subject=thread_id(key),
            detail="no library of the process names pthread_setcanceltype",
            source=process.cancelling_at_once.source,
        )
    uncancelled = not_cancelled(world, key)
    if not uncancelled.assumes:
        return uncancelled
    return _assumed(key, doubt, process.cancelling_at_once)


def _who_names(name: str, libraries: Known[tuple[str, ...]] | Unknown) -> str:
    if not isinstance(libraries, Known):
        return f"whether a library names {name} is not known: {libraries.reason}"
    if libraries.value:
        return f"{libraries.value[0].rpartition('/')[2]} names {name}"
    return ""


def _signals_that_tell(libc: str) -> tuple[int, ...]:
    """Return the caught signals that show a cancelled thread; for an unknown C library, all."""
    version = re.match(r"glibc (\d+)\.(\d+)", libc)
    if version:
        late = (int(version[1]), int(version[2])) > CAUGHT_FROM_THE_BEGINNING
        return (GLIBC_SIGNAL,) if late else ()
    return (MUSL_SIGNAL,) if libc.startswith("musl") else (GLIBC_SIGNAL, MUSL_SIGNAL)


def _has_cancelled(process: ProcessFacts, telling: tuple[int, ...]) -> str:
    signals = process.signals
    if not isinstance(signals, Known):
        return f"its signals are not known: {signals.reason}"
    if any(signals.value.caught >> (number - 1) & 1 for number in telling):
        return "a thread of the process may have been cancelled before"
    return ""


def _assumed(key: Key, doubt: str, fact: Known[tuple[str, ...]] | Unknown) -> Condition:
    source = fact.source if isinstance(fact, Known) else "/proc/PID/mem"
    assumption = Assumption(
        kind=AssumptionKind.NOT_CANCELLED,
        subject=thread_id(key),
        detail=f"nobody cancels thread {key[1]} ({doubt})",
        source=source,
    )
    return Condition(
        name=NAME,
        subject=thread_id(key),
        detail=doubt,
        source=source,
        assumes=(assumption,),
    )
