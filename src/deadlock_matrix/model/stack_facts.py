"""The stacks of a process: its frames, and what they say about locks and other waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.tasks import EventLoop, Task


class NativeFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A native frame; ``symbol`` is ``??`` if the library carries no name for the address.

    ``address`` is 0 if the reader does not report it.
    """

    symbol: str
    library: str
    address: int
    file: str = ""
    line: int = 0


class PythonLock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock of Python's ``_thread`` module for which a thread sleeps.

    ``name`` is the name that the code at ``file`` and ``line`` has for it, such as ``self._lock``
    of an object of type ``of``; both are empty if none was found. ``owner`` is the observer's id of
    the thread that an RLock names as its owner, 0 if that has ended or was lost in a fork; a Lock
    names none. ``owner_ident`` is Python's ident of that thread. ``word`` is the futex on which the
    waiting thread sleeps.
    """

    kind: Literal["Lock", "RLock"]
    address: int
    word: int
    owner: Known[int] | Unknown
    owner_ident: int = 0
    name: str = ""
    of: str = ""
    function: str = ""
    file: str = ""
    line: int = 0


class PythonMutex(msgspec.Struct, frozen=True, kw_only=True):
    """A ``PyMutex`` for which a thread of a free-threaded build sleeps, on the futex ``word``.

    ``object`` is the type of the object to which it belongs, if any. ``inside`` is the observer's
    id of the one thread that is inside a critical section of it.
    """

    address: int
    word: int
    object: str
    inside: Known[int] | Unknown


class HeldLock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock whose ``with`` block a thread is in: its ``__exit__`` is on the frame's stack.

    ``line`` is that of the ``with``. The thread took the lock there; it does not follow that it
    still has it, because any code may release a Lock. ``semaphore`` is the file of one of
    ``multiprocessing``. ``acquired``: there is no such block, but the thread called ``acquire()``
    in that line, and is inside the ``try`` behind it whose ``finally`` releases the lock.
    """

    kind: Literal["Lock", "RLock", "multiprocessing.Lock", "multiprocessing.RLock"]
    address: int
    semaphore: str = ""
    name: str = ""
    of: str = ""
    function: str
    file: str
    line: int
    acquired: bool = False


class RunningTest(msgspec.Struct, frozen=True, kw_only=True):
    """The test that a thread runs, as its runner (``pytest``, ``unittest``, ``doctest``) names it.

    ``doing`` reads well before the name: ``in the setup of``, ``running``, ``collecting``.
    """

    runner: str
    doing: str
    test: str


class QueueSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A queue that is not empty, in the frame of a thread that waits."""

    kind: str
    address: int
    name: str
    items: int


POOL_RESULTS = ("MapResult", "ApplyResult", "IMapIterator")
"""Kinds of `Awaited` that a multiprocessing pool returns."""


class Awaited(msgspec.Struct, frozen=True, kw_only=True):
    """What a thread waits for, as its program knows it.

    ``kind`` is its class, such as ``Event`` or ``multiprocessing.Queue``, or what it is to the
    kernel: ``mutex``, ``pipe``, ``socket``. ``action`` is the function that waits (``get``).
    ``name`` is the name that the code at ``file`` and ``line`` has for it, such as ``self._ready``
    of an object of type ``of``. ``detail`` is its state: ``holds 3 of 3``. ``owner`` is the
    observer's id of the thread that it names as its owner, 0 if that has ended or a fork lost it.
    ``semaphore`` is the file of a semaphore that processes share, as ``maps`` spells it. ``filled``
    are queues into which its code may have put something that it now awaits an answer to.
    """

    kind: str
    address: int = 0
    action: str = ""
    name: str = ""
    of: str = ""
    function: str = ""
    file: str = ""
    line: int = 0
    detail: str = ""
    owner: Known[int] | Unknown = Unknown(reason="it names no owner")
    semaphore: str = ""
    filled: tuple[QueueSeen, ...] = ()


How = Literal["users", "runner", "pool"]
"""How it was found out who could end a wait; see `Enders`."""


class Enders(msgspec.Struct, frozen=True, kw_only=True):
    """The threads that could end a wait for an object without an owner, as far as is known.

    ``how``: ``users``, in whose frames the object is; ``runner``, which does the work of a future;
    ``pool``, all threads of the pool in whose queue that work is.
    """

    threads: tuple[int, ...]
    how: How


_NOT_READ = Unknown(reason="not read by this version")


class ThreadStack(msgspec.Struct, frozen=True, kw_only=True):
    """Stacks of one thread, outermost frame first, and what they show about Python's locks.

    ``ident`` is Python's name for the thread (``threading.get_ident()``); 0 if it was not read.
    ``stopped_by`` are the attached threads for which a thread waits that has asked all others to
    stop, in a free-threaded build.
    """

    tid: int
    name: str
    python: tuple[PythonFrame, ...]
    native: tuple[NativeFrame, ...]
    holds_gil: Known[bool] | Unknown
    waits_for: Known[PythonLock] | Unknown = _NOT_READ
    holds: Known[tuple[HeldLock, ...]] | Unknown = _NOT_READ
    ident: int = 0
    awaits: Known[Awaited] | Unknown = _NOT_READ
    stopped_by: Known[tuple[int, ...]] | Unknown = _NOT_READ
    waits_for_mutex: Known[PythonMutex] | Unknown = _NOT_READ
    # Read if somebody else waits for the thread.
    enders: Known[Enders] | Unknown = _NOT_READ
    # All threads that can reach what it waits for, itself among them, by counts of references.
    reached: Known[tuple[int, ...]] | Unknown = _NOT_READ
    # Whether the futex it waits on is that of the Python lock its innermost line waits for.
    waits_on_lock_of_line: Known[bool] | Unknown = _NOT_READ
    test: Known[RunningTest] | Unknown = _NOT_READ


class ProcessStacks(msgspec.Struct, frozen=True, kw_only=True):
    """All stacks of a process, read by ``tool`` between ``begun_s`` and ``ended_s``.

    ``standard_library`` is the folder of the interpreter's own library, as its frames spell it.
    ``awaited``: somebody outside waits for its main thread, as a session waits for a test, so that
    thread does not wait for ever on purpose.
    """

    pid: int
    tool: str
    begun_s: float
    ended_s: float
    threads: tuple[ThreadStack, ...]
    standard_library: Known[tuple[str, ...]] | Unknown = Unknown(reason="not read by this version")
    loops: Known[tuple[EventLoop, ...]] | Unknown = _NOT_READ  # of asyncio
    awaited: bool = False


class StackFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Stacks, or why there are none, for one process."""

    pid: int
    stacks: Known[ProcessStacks] | Unknown

    @property
    def threads(self) -> tuple[ThreadStack, ...]:
        """The stacks that were read."""
        return self.stacks.value.threads if isinstance(self.stacks, Known) else ()

    @property
    def tasks(self) -> Iterator[Task]:
        """Yield the tasks of asyncio that were read."""
        loops = self.stacks.value.loops.or_else(()) if isinstance(self.stacks, Known) else ()
        return (task for loop in loops for task in loop.tasks)
