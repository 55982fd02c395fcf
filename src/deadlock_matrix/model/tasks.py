"""What was read of asyncio: event loops, their tasks, and what each task awaits."""

from __future__ import annotations

from typing import Literal

import msgspec

from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.frames import PythonFrame

AwaitedKind = Literal[
    "lock",
    "semaphore",
    "event",
    "condition",
    "barrier",
    "queue",
    "future",
    "task",
    "gather",
    "tasks",  # asyncio.wait, TaskGroup, wait_for up to 3.11: several, or one in a frame of asyncio
    "timer",
    "io",
    "executor",
    "other",
]


class TaskAwaits(msgspec.Struct, frozen=True, kw_only=True):
    """What a task waits for.

    ``what`` is the type: ``Lock``, ``Queue``. ``name`` and ``of`` are what the task's own code
    calls it, as in `PythonLock`. ``tasks`` are addresses of the tasks whose ends it waits for, as
    far as they are pending. ``busy``: a lock is locked, a semaphore has none left; True for
    everything else. ``waiters`` counts the futures that wait in it. ``thread`` is the observer's id
    of the thread that runs the executor's job, 0 if none is seen running it. ``limited``: it gives
    up after some time. ``known_to`` are the tasks whose frames have references to it; unless
    ``known_to_others``, nobody else has one.
    """

    kind: AwaitedKind
    address: int
    what: str
    name: str = ""
    of: str = ""
    tasks: tuple[int, ...] = ()
    busy: bool = True
    thread: int = 0
    limited: bool = False
    known_to: tuple[int, ...] = ()
    known_to_others: bool = True


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """An object whose ``async with`` block a task is in, and where that block begins.

    A ``threading.Lock`` in a ``with`` block counts too: it stays locked while the task sleeps.
    """

    what: str
    address: int
    name: str = ""
    of: str = ""
    function: str
    file: str
    line: int


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task that is not done, with its coroutines as frames, outermost first.

    ``awaits`` is unknown if the task awaits nothing (it runs, or will), with that as the reason, or
    if it was not understood. ``steady``: it was in the same place when it was read once more.
    """

    address: int
    name: str
    frames: tuple[PythonFrame, ...]
    awaits: Known[TaskAwaits] | Unknown
    inside: tuple[Entered, ...] = ()
    limited: bool = False  # it is inside a block that ends after some time
    steady: bool = False


class EventLoop(msgspec.Struct, frozen=True, kw_only=True):
    """A loop with its tasks; ``tid`` is the observer's id of the thread that runs it, or 0.

    ``main`` is the task that the loop runs until it is done, as for ``asyncio.run``, or 0.
    """

    address: int
    what: str
    tid: int
    tasks: tuple[Task, ...]
    main: int = 0
