"""One process at one instant, with its threads, and a snapshot of all processes of a tree."""

from __future__ import annotations

from typing import Literal

import msgspec

from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.thread_facts import ThreadFacts


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """Bit masks of a process (``/proc/PID/status``); bit 0 is signal 1.

    ``pending`` holds what is pending for the process or for any of its threads.
    """

    caught: int
    ignored: int
    pending: int


class Descriptor(msgspec.Struct, frozen=True, kw_only=True):
    """An open file.

    ``target`` is the link's text, including ``pipe:[123]`` and ``socket:[123]``. A FIFO, which may
    have several paths, is spelled ``fifo:[device:inode]``. ``signals`` says why the kernel may send
    a signal for it, by itself: ``O_ASYNC`` or ``a message queue``.
    """

    number: int
    target: str
    access: Literal["r", "w", "rw"]
    signals: str = ""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """The other end of a socket on which a thread sleeps.

    ``other`` is an address and port (``127.0.0.1:80``) for TCP, and another ``socket:[1]`` for Unix
    sockets: whoever has that one open is at the other end. ``pair``: nobody but the other end can
    send to it, as with the two sockets of ``socketpair()`` (a stream, connected). ``own`` is the
    address and port of this end, for TCP.
    """

    socket: str
    protocol: Literal["TCP", "UNIX"]
    other: str
    pair: bool = False
    own: str = ""


class FileLock(msgspec.Struct, frozen=True, kw_only=True):
    """A file lock that a thread waits for, and the processes that took it.

    ``kind`` is ``flock``, ``posix`` or ``ofdlck``; a holder of -1 is one that the kernel does not
    show. Those of ``holders`` that have ended are in ``ended``: whoever got the open file from them
    has the lock.
    """

    path: str
    kind: str
    holders: tuple[int, ...]
    ended: tuple[int, ...] = ()


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """A file mapped with executable pages, and the lowest address it is mapped at."""

    path: str
    start: int


class PythonHandler(msgspec.Struct, frozen=True, kw_only=True):
    """What CPython's own table of handlers (``signal.getsignal``) says about one signal.

    ``default`` and ``ignored`` are SIG_DFL and SIG_IGN. ``foreign`` is None: a handler was there
    before Python came. ``python`` is a function or method written in Python, with its qualified
    name (``Arbiter.stop``), file and first line; ``builtin`` one written in C, with its name
    (``default_int_handler``); ``object`` any other callable, named by its type
    (``functools.partial``). The table knows nothing of a handler that C code installed: for such a
    signal the kernel says *caught* and the table says ``default``. ``own``: its code is in the
    interpreter's own library.
    """

    signal: int
    kind: Literal["default", "ignored", "foreign", "python", "builtin", "object"]
    name: str = ""
    file: str = ""
    line: int = 0
    own: bool = False


class PythonRuntime(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of CPython without stopping it.

    ``runtime_start`` and ``runtime_end`` bound the exported object ``_PyRuntime``, which contains
    the main interpreter's GIL. ``interrupt_handler`` is the Python-level handler of SIGINT, by its
    name in the interpreter's own handler table: ``default_int_handler`` is Python's own.
    ``handlers`` is that whole table: one entry for each signal that Python has. ``free_threaded``
    is whether the interpreter says that it is built without a GIL.
    """

    runtime_start: int
    runtime_end: int
    interrupt_handler: Known[str] | Unknown
    handlers: Known[tuple[PythonHandler, ...]] | Unknown = Unknown(
        reason="not read by this version"
    )
    free_threaded: bool = False

    def may_be_gil(self, address: int) -> bool:
        """Return whether a word lies where the GIL does: CPython waits for that 5 ms at a time."""
        return self.runtime_start <= address < self.runtime_end


class ProcessFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One process at one instant, its threads in the order the kernel lists them."""

    pid: int
    own_pid: int
    parent: int
    started: int  # clock ticks since boot
    executable: Known[str] | Unknown
    threads: tuple[ThreadFacts, ...]
    threads_after: tuple[int, ...]  # ids listed once more after the last thread was read
    signals: Known[Signals] | Unknown
    tracer: Known[int] | Unknown  # 0: nobody
    timers: Known[tuple[str, ...]] | Unknown  # POSIX timers, one text each
    descriptors: Known[tuple[Descriptor, ...]] | Unknown
    # Threads whose descriptors are not the process's (unshare(CLONE_FILES)).
    own_descriptors: Known[tuple[int, ...]] | Unknown
    descriptors_in_flight: Known[int] | Unknown  # waiting in its Unix sockets to be received
    shares_memory_with: Known[tuple[int, ...]] | Unknown  # other processes on the same memory
    libraries: Known[tuple[Library, ...]] | Unknown
    special_mappings: Known[tuple[str, ...]] | Unknown  # memory of kernel objects: "anon_inode:..."
    python: Known[PythonRuntime] | Unknown
    # Libraries that name pthread_cancel, pthread_setcanceltype, PyEval_AcquireLock; looked for if a
    # thread seems to wait for an owner.
    cancelling: Known[tuple[str, ...]] | Unknown = Unknown(reason="not looked for")
    cancelling_at_once: Known[tuple[str, ...]] | Unknown = Unknown(
        reason="not read by this version"
    )
    old_gil_calls: Known[tuple[str, ...]] | Unknown = Unknown(reason="not read by this version")
    # The program and, for a Python, its script or module; further arguments are private.
    command: Known[tuple[str, ...]] | Unknown = Unknown(reason="not read by this version")
    age_s: Known[float] | Unknown = Unknown(reason="not read by this version")
    peers: Known[tuple[Peer, ...]] | Unknown = Unknown(reason="not read by this version")
    file_locks: Known[tuple[FileLock, ...]] | Unknown = Unknown(reason="not read by this version")
    # Files, including removed ones, that it has mapped so that others see what it writes.
    shared_files: Known[tuple[str, ...]] | Unknown = Unknown(reason="not read by this version")
    # The signal that stopped it, if it is stopped.
    stopped_by: Known[int] | Unknown = Unknown(reason="not read by this version")
    # Seconds until each alarm (setitimer(ITIMER_REAL), alarm) that the process has set.
    alarms: Known[tuple[float, ...]] | Unknown = Unknown(reason="not read by this version")


class PipeHolder(msgspec.Struct, frozen=True, kw_only=True):
    """A process outside the tree that has an end of one of the tree's pipes open."""

    pid: int
    target: str  # "pipe:[123]" or "fifo:[45:123]"
    access: Literal["r", "w", "rw"]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A process tree read once. ``begun_s`` and ``ended_s`` are CLOCK_MONOTONIC seconds."""

    begun_s: float
    ended_s: float
    root: int
    processes: tuple[ProcessFacts, ...]
    outside_holders: Known[tuple[PipeHolder, ...]] | Unknown

    def libraries(self) -> tuple[str, ...]:
        """The paths of all that is known to be mapped, each once, in the order of the processes."""
        found = (each.path for one in self.processes for each in one.libraries.or_else(()))
        return tuple(dict.fromkeys(found))
