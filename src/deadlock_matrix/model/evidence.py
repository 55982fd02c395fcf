"""What was seen of a process tree from outside: raw facts, not interpretation.

Everything here is stored in a report as it was read, so that the verdict can be worked out again
on another machine. Numbers that come from the kernel keep the kernel's units.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from deadlock_matrix.model.fact import Known, Unknown

# --- what a thread is doing ---------------------------------------------------------------------


class SystemCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="doing", tag="system-call"):
    """A thread inside a system call (``/proc/PID/task/TID/syscall``).

    ``name`` is resolved with the table of the target's architecture; a number without a name in
    that table is spelled ``syscall_N``. ``arguments`` are six raw machine words.
    """

    name: str
    arguments: tuple[int, int, int, int, int, int]
    stack_pointer: int
    program_counter: int


class OnCpu(msgspec.Struct, frozen=True, kw_only=True, tag_field="doing", tag="on-cpu"):
    """A thread that is running or ready to run: the kernel shows ``running``."""


class OutsideSystemCall(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="doing", tag="outside-system-call"
):
    """Blocked, but in no system call: a page fault or a stop in user mode (the kernel shows -1).

    One inside a system call, and a freezer, show that call: see ``ThreadFacts.wait_channel``.
    """


Activity = SystemCall | OnCpu | OutsideSystemCall


class Switches(msgspec.Struct, frozen=True, kw_only=True):
    """Context switches since the thread began (``/proc/PID/task/TID/status``).

    They grow when a thread leaves the processor. A thread in state S with equal counters and the
    same `SystemCall` at two instants has slept all the time between; state and counters alone do
    not tell, because a thread sets its state shortly before it leaves the processor.
    """

    voluntary: int
    involuntary: int


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """The line of ``/proc/PID/maps`` an address lies in. ``path`` is empty for anonymous memory."""

    start: int
    end: int
    permissions: str  # as in the file, "rw-p"; a trailing "s" is memory shared with others
    offset: int
    path: str


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """Memory around the address a thread waits on.

    ``around`` is hexadecimal, little-endian as read, beginning at ``around_start``. ``thread`` is,
    where the word may be the ``joinstate`` of a thread, what lies at that thread's id.
    """

    address: int
    mapping: Mapping
    around_start: int
    around: str
    thread: str = ""


class PolledDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    """One ``struct pollfd`` a thread waits on. ``events`` are poll(2)'s bits (POLLIN is 1)."""

    descriptor: int
    events: int


class NoTimeout(msgspec.Struct, frozen=True, kw_only=True, tag_field="timeout", tag="none"):
    """A wait without a time limit: the system call's own arguments say so."""


class TimeLimit(msgspec.Struct, frozen=True, kw_only=True, tag_field="timeout", tag="limited"):
    """A wait with a time limit.

    ``due_s`` is in seconds from the reading until the wait ends by itself. For a limit given as
    an instant (``exact``) it is that; for one given as a length it is the latest moment possible,
    because the kernel does not tell when the wait began.
    """

    due_s: Known[float] | Unknown
    exact: bool


Timeout = NoTimeout | TimeLimit


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """The code a blocked thread will return to, from its program counter.

    ``in_syscall_wrapper`` tells libc's public ``syscall()`` function (through which hand-made
    locks call futex) from libc's own locking code.
    """

    library: str
    is_libc: bool
    in_syscall_wrapper: bool


class ThreadFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One thread at one instant.

    ``tid`` is the id as the observer sees it, ``own_tid`` as the thread itself does (they differ
    in a container); locks in memory hold the latter. ``started`` is in clock ticks since boot:
    together with ``tid`` it identifies the thread, an id alone may be used again.
    """

    tid: int
    own_tid: int
    name: str
    state: str  # the kernel's letter: R S D T t Z X I
    started: int
    cpu_ticks: int
    switches: Known[Switches] | Unknown
    activity: Known[Activity] | Unknown
    blocked_signals: int  # bit mask, bit 0 is signal 1
    word: Known[Word] | Unknown  # the futex it waits on
    polled: Known[tuple[PolledDescriptor, ...]] | Unknown
    timeout: Known[Timeout] | Unknown  # of the system call it is in
    code: Known[Code] | Unknown
    wait_channel: Known[str] | Unknown  # the kernel function it sleeps in (/proc/.../wchan)


# --- a process ----------------------------------------------------------------------------------


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """Bit masks of a process (``/proc/PID/status``); bit 0 is signal 1.

    ``pending`` holds what is pending for the process or for any of its threads.
    """

    caught: int
    ignored: int
    pending: int


class Descriptor(msgspec.Struct, frozen=True, kw_only=True):
    """An open file.

    ``target`` is the link's text, ``pipe:[123]`` and ``socket:[123]`` included. A FIFO, which may
    have several paths, is spelled ``fifo:[device:inode]``.
    """

    number: int
    target: str
    access: Literal["r", "w", "rw"]


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """The other end of a socket that a thread sleeps on.

    ``other`` is an address and port (``127.0.0.1:80``) for TCP, and another ``socket:[1]`` for
    Unix sockets: whoever has that one open is at the other end.
    """

    socket: str
    protocol: Literal["TCP", "UNIX"]
    other: str


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """A file mapped with executable pages, and the lowest address it is mapped at."""

    path: str
    start: int


class PythonHandler(msgspec.Struct, frozen=True, kw_only=True):
    """What CPython's own table of handlers (``signal.getsignal``) says of one signal.

    ``default`` and ``ignored`` are SIG_DFL and SIG_IGN. ``foreign`` is None: a handler was there
    before Python came. ``python`` is a function or method written in Python, with its qualified
    name (``Arbiter.stop``), file and first line; ``builtin`` one written in C, with its name
    (``default_int_handler``); ``object`` any other callable, named by its type
    (``functools.partial``). The table knows nothing of a handler that C code installed: for such
    a signal the kernel says *caught* and the table says ``default``.
    """

    signal: int
    kind: Literal["default", "ignored", "foreign", "python", "builtin", "object"]
    name: str = ""
    file: str = ""
    line: int = 0


class PythonRuntime(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of CPython without stopping it.

    ``runtime_start`` and ``runtime_end`` bound the exported object ``_PyRuntime``, in which the
    main interpreter's GIL lies. ``interrupt_handler`` is the Python-level handler of SIGINT, by
    the name in the interpreter's own handler table: ``default_int_handler`` is Python's own.
    ``handlers`` is that whole table: one entry for each signal that Python has.
    """

    runtime_start: int
    runtime_end: int
    interrupt_handler: Known[str] | Unknown
    handlers: Known[tuple[PythonHandler, ...]] | Unknown = Unknown(
        reason="not read by this version"
    )


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
    # Libraries that name pthread_cancel, pthread_setcanceltype, PyEval_AcquireLock; looked for
    # where a thread seems to wait for an owner.
    cancelling: Known[tuple[str, ...]] | Unknown = Unknown(reason="not looked for")
    cancelling_at_once: Known[tuple[str, ...]] | Unknown = Unknown(
        reason="not read by this version"
    )
    old_gil_calls: Known[tuple[str, ...]] | Unknown = Unknown(reason="not read by this version")
    # The program and, of a Python, its script or module; what it was told besides is private.
    command: Known[tuple[str, ...]] | Unknown = Unknown(reason="not read by this version")
    age_s: Known[float] | Unknown = Unknown(reason="not read by this version")
    peers: Known[tuple[Peer, ...]] | Unknown = Unknown(reason="not read by this version")
    # The signal that stopped it, where it is stopped.
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


# --- stacks -------------------------------------------------------------------------------------


class PythonFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A Python frame. ``values`` holds the few arguments and locals a proof needs, as text."""

    function: str
    file: str
    line: int
    values: dict[str, str] = {}


class NativeFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A native frame; ``symbol`` is ``??`` where the library carries no name for the address."""

    symbol: str
    library: str
    address: int
    file: str = ""
    line: int = 0


class PythonLock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock of Python's ``_thread`` module that a thread sleeps for.

    ``name`` is that under which the code at ``file`` and ``line`` knows it, such as ``self._lock``
    of an object of type ``of``; both are empty where none was found. ``owner`` is the observer's id
    of the thread that an RLock names as its owner, 0 if that has ended or was lost in a fork; a
    Lock names none. ``word`` is the futex that the thread sleeps on.
    """

    kind: Literal["Lock", "RLock"]
    address: int
    word: int
    owner: Known[int] | Unknown
    name: str = ""
    of: str = ""
    function: str = ""
    file: str = ""
    line: int = 0


class HeldLock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock inside whose ``with`` block a thread is: its ``__exit__`` lies on the frame's stack.

    ``line`` is that of the ``with``. It took the lock there; that it still has it does not follow,
    because any code may release a Lock.
    """

    kind: Literal["Lock", "RLock"]
    address: int
    name: str = ""
    of: str = ""
    function: str
    file: str
    line: int


_NOT_READ = Unknown(reason="not read by this version")


class ThreadStack(msgspec.Struct, frozen=True, kw_only=True):
    """Stacks of one thread, outermost frame first, and what they show of Python's locks."""

    tid: int
    name: str
    python: tuple[PythonFrame, ...]
    native: tuple[NativeFrame, ...]
    holds_gil: Known[bool] | Unknown
    waits_for: Known[PythonLock] | Unknown = _NOT_READ
    holds: Known[tuple[HeldLock, ...]] | Unknown = _NOT_READ
    # Whether the futex it waits on is that of the Python lock its innermost line waits for.
    waits_on_lock_of_line: Known[bool] | Unknown = Unknown(reason="not read by this version")


class ProcessStacks(msgspec.Struct, frozen=True, kw_only=True):
    """All stacks of a process, read by ``tool`` between ``begun_s`` and ``ended_s``.

    ``standard_library`` is the folder of the interpreter's own library, as its frames spell it.
    """

    pid: int
    tool: str
    begun_s: float
    ended_s: float
    threads: tuple[ThreadStack, ...]
    standard_library: Known[tuple[str, ...]] | Unknown = Unknown(reason="not read by this version")


class StackFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Stacks, or why there are none, for one process."""

    pid: int
    stacks: Known[ProcessStacks] | Unknown


# --- all of it ----------------------------------------------------------------------------------


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the numbers in a snapshot depend on."""

    system: str  # "linux", "darwin", "win32"
    architecture: str  # "x86_64", "aarch64"
    kernel: str
    libc: str  # of the target: "glibc 2.36", "musl", or why it is not known
    pointer_bits: int = 64


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """A process above the tree that may act by itself: by a POSIX timer, or after some time."""

    pid: int
    name: str
    timers: tuple[str, ...]
    acts: str  # "has a timer", "waits with a time limit", "is running"
    sends: str = ""  # the signal it sends then, where its arguments tell: "SIGTERM"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Two snapshots with the stacks read between them.

    ``native_stacks`` need the process to be stopped for a moment; they are read after ``after``,
    for people: no proof rests on them. ``parents`` are those above the tree that are known to act
    by themselves, and could interrupt its root.
    """

    machine: Machine
    before: Snapshot
    stacks: tuple[StackFacts, ...]
    after: Snapshot
    native_stacks: tuple[StackFacts, ...] = ()
    parents: tuple[Parent, ...] = ()  # looked for where the observer is not the parent
