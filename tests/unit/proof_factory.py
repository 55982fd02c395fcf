"""Small builders of evidence: each test says only what it is about, the rest is a quiet process.

Threads are numbered as the tests like it; a process has the id of its first thread. Unless a test
says otherwise the two snapshots are equal, so whoever sleeps has slept throughout.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from deadlock_matrix.model.evidence import Evidence, Machine
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.process_facts import (
    Descriptor,
    Peer,
    PipeHolder,
    ProcessFacts,
    PythonHandler,
    PythonRuntime,
    Signals,
    Snapshot,
)
from deadlock_matrix.model.stack_facts import (
    HeldLock,
    ProcessStacks,
    PythonLock,
    StackFacts,
    ThreadStack,
)
from deadlock_matrix.model.tasks import AwaitedKind, Entered, EventLoop, Task, TaskAwaits
from deadlock_matrix.model.thread_facts import (
    Activity,
    Code,
    Mapping,
    NoTimeout,
    OnCpu,
    PolledDescriptor,
    Switches,
    SystemCall,
    ThreadFacts,
    TimeLimit,
    Word,
)
from deadlock_matrix.proof.wait import Open, Wait
from deadlock_matrix.proof.waits import read_wait
from deadlock_matrix.proof.world import World, index

PRIVATE, WAIT, WAIT_BITSET, REALTIME = 0x80, 0, 9, 0x100
LOCK = 0x7F00_0000_1000  # where a lock lies, unless a test cares
RUNTIME = 0x55_0000_0000  # where _PyRuntime lies, 4 kB
LIBC = Code(library="/lib/libc.so.6", is_libc=True, in_syscall_wrapper=False)
SYSCALL_WRAPPER = Code(library="/lib/libc.so.6", is_libc=True, in_syscall_wrapper=True)
OTHER_LIBRARY = Code(library="/lib/libfoo.so", is_libc=False, in_syscall_wrapper=False)
LIMITED = TimeLimit(due_s=known(3.0, "test"), exact=False)
UNKNOWN = unknown("the test hides it")
QUIET_SIGNALS = Signals(caught=0, ignored=0, pending=0)

change = msgspec.structs.replace


# --- threads ------------------------------------------------------------------------------------


CHANNELS = {
    "futex": "futex_wait_queue",
    "wait4": "do_wait",
    "waitid": "do_wait",
    "read": "pipe_read",
    "readv": "pipe_read",
    "write": "pipe_write",
    "writev": "pipe_write",
    "poll": "do_poll.constprop.0",
    "ppoll": "do_poll.constprop.0",
    "select": "do_select",
    "pselect6": "do_select",
    "epoll_wait": "ep_poll",
    "epoll_pwait": "do_epoll_wait",
    "epoll_pwait2": "do_epoll_wait",
    "flock": "locks_lock_inode_wait",
    "fcntl": "fcntl_setlk",
}
"""The kernel functions in which the calls that a proof follows were seen to sleep."""


def thread(tid: int, doing: Activity, **facts: Any) -> ThreadFacts:
    """A thread that sleeps, unless ``facts`` say otherwise."""
    name = doing.name if isinstance(doing, SystemCall) else ""
    quiet: dict[str, Any] = {
        "tid": tid,
        "own_tid": tid,
        "name": f"t{tid}",
        "state": "S",
        "started": 1000 + tid,
        "cpu_ticks": 0,
        "switches": known(Switches(voluntary=5, involuntary=1), "status"),
        "activity": known(doing, "syscall"),
        "blocked_signals": 0,
        "word": unknown("not in futex"),
        "polled": unknown("not in poll"),
        "timeout": known(NoTimeout(), "argument"),
        "code": known(LIBC, "maps"),
        "wait_channel": known(CHANNELS.get(name, "hrtimer_nanosleep"), "wchan"),
    }
    return ThreadFacts(**{**quiet, **facts})


def call(name: str, *arguments: int) -> SystemCall:
    a, b, c, d, e, f = [*arguments, *[0] * (6 - len(arguments))]
    return SystemCall(name=name, arguments=(a, b, c, d, e, f), stack_pointer=8, program_counter=9)


def in_call(tid: int, name: str, *arguments: int, **facts: Any) -> ThreadFacts:
    return thread(tid, call(name, *arguments), **facts)


def sleeping(tid: int) -> ThreadFacts:
    return in_call(tid, "clock_nanosleep", timeout=known(LIMITED, "argument"))


def running(tid: int) -> ThreadFacts:
    return thread(tid, OnCpu(), state="R", timeout=unknown("not in a call"))


def on_futex(
    tid: int,
    content: bytes = b"\0" * 4,
    *,
    expected: int = 0,
    command: int = PRIVATE | REALTIME | WAIT_BITSET,
    at: int = LOCK,
    read_from: int | None = None,
    permissions: str = "rw-p",
    path: str = "",
    structure: bytes = b"",
    **facts: Any,
) -> ThreadFacts:
    """A thread that waits on a futex; a Python lock's, unless told otherwise.

    Args:
        tid: The thread.
        content: What the memory holds.
        expected: The value that it waits for.
        command: The futex operation with its flags.
        at: The address waited on.
        read_from: Where ``content`` begins; where the thread waits, if not given.
        permissions: Of the mapping.
        path: Of the mapping.
        structure: What lies at the id of the thread whose state the futex may be.
        facts: Other fields of the thread.
    """
    start = at if read_from is None else read_from
    word = Word(
        address=at,
        mapping=Mapping(
            start=at & ~0xFFF, end=(at & ~0xFFF) + 0x1000, permissions=permissions, offset=0,
            path=path,
        ),
        around_start=start,
        around=content.hex(),
        thread=structure.hex(),
    )  # fmt: skip
    facts = {"word": known(word, "mem"), **facts}
    return in_call(tid, "futex", at, command, expected, **facts)


def mutex(owner: int, *, kind: int = 0, lock: int = 2, count: int = 0, users: int = 1) -> bytes:
    """glibc's ``pthread_mutex_t`` up to its kind."""
    return struct.pack("<5I", lock, count, owner, users, kind) + b"\0" * 20


def on_mutex(tid: int, owner: int, *, at: int = 0, **facts: Any) -> ThreadFacts:
    """A thread that waits for a plain mutex; each thread for another one, if no address is given.

    The fields of the mutex (kind, lock, count, users) can be given too.
    """
    fields = {name: facts.pop(name) for name in ("kind", "lock", "count", "users") if name in facts}
    at = at or LOCK + 0x40 * tid
    facts = {"command": PRIVATE | WAIT, "expected": 2, **facts}
    return on_futex(tid, mutex(owner, **fields), at=at, **facts)


def on_robust_mutex(tid: int, owner: int, **fields: int) -> ThreadFacts:
    lock = fields.pop("lock", 0x8000_0000 | owner)
    content = mutex(fields.pop("field", owner), kind=fields.pop("kind", 0x10), lock=lock)
    return on_futex(tid, content, command=PRIVATE | WAIT, expected=fields.pop("expected", lock))


def rwlock(
    writer: int,
    *,
    readers: int = 11,
    waiting: int = 3,
    shared: int = 0,
    flags: int = 0,
    padding: dict[int, int] | None = None,
) -> bytes:
    """glibc's ``pthread_rwlock_t``; ``waiting`` stands in both words that threads wait on.

    ``padding`` gives words by their offset that glibc leaves at zero.
    """
    words = [readers, 0, waiting, waiting, 0, 0, writer, shared, 0, 0, 0, 0, flags, 0]
    for offset, value in (padding or {}).items():
        words[offset // 4] = value
    return struct.pack("<14I", *words)


def on_rwlock(tid: int, writer: int, *, word: int = 8, **fields: Any) -> ThreadFacts:
    """A reader (``word=8``), or a writer behind another one (``word=12``)."""
    return on_futex(
        tid, rwlock(writer, **fields), at=LOCK + word, read_from=LOCK, expected=3,
        command=PRIVATE | WAIT_BITSET | REALTIME,
    )  # fmt: skip


def thread_structure(tid: int, *, futex_offset: int = -32) -> bytes:
    """glibc's ``struct pthread`` from the thread's id to behind its robust list."""
    return struct.pack("<I20xq", tid, futex_offset) + b"\0" * 8


def in_join(tid: int, joined: int, **facts: Any) -> ThreadFacts:
    """A thread in ``pthread_join``."""
    content = facts.pop("content", thread_structure(joined))
    facts = {"command": WAIT_BITSET | REALTIME, "expected": joined, **facts}
    return on_futex(tid, content, **facts)


def in_join_by_state(tid: int, joined: int, **facts: Any) -> ThreadFacts:
    """The same since glibc 2.43, which waits on a state that lies behind the id."""
    structure = facts.pop("structure", thread_structure(joined))
    facts = {"command": WAIT_BITSET | REALTIME, "expected": 2, **facts}
    return on_futex(tid, struct.pack("<I", 2) + b"\0" * 60, structure=structure, **facts)


def wanting_gil(tid: int, *, at: int = RUNTIME + 0x100, **facts: Any) -> ThreadFacts:
    """A thread in one of the 5 ms waits for the GIL."""
    limit = known(TimeLimit(due_s=known(0.005, "argument"), exact=True), "argument")
    return on_futex(tid, at=at, **{"timeout": limit, **facts})


def stopping_the_world(tid: int, **facts: Any) -> ThreadFacts:
    """A thread in one of the waits of a millisecond until others have stopped."""
    limit = known(TimeLimit(due_s=known(0.001, "argument"), exact=True), "argument")
    return on_futex(tid, **{"timeout": limit, **facts})


def polling(tid: int, *wanted: tuple[int, int]) -> ThreadFacts:
    """A thread in ``poll`` without a time limit, on pairs of descriptor and events."""
    polled = tuple(PolledDescriptor(descriptor=number, events=events) for number, events in wanted)
    return in_call(tid, "poll", polled=known(polled, "mem"))


def in_loop(tid: int) -> ThreadFacts:
    """A thread in an event loop's wait for events, without a time limit: see `dead_loop`."""
    return in_call(tid, "epoll_wait", 9, polled=polling(tid, (3, 1)).polled)


# --- processes, snapshots, evidence -------------------------------------------------------------


def dead_loop(*others: ThreadFacts) -> ProcessFacts:
    """A process whose thread 1 runs an event loop that watches its own pair of sockets alone."""
    pair = Peer(socket="socket:[1]", protocol="UNIX", other="socket:[2]", pair=True)
    ends = pipe_ends((3, "socket:[1]", "rw"), (4, "socket:[2]", "rw"))
    return process(in_loop(1), *others, descriptors=ends, peers=known((pair,), "net"))


def process(*threads: ThreadFacts, **facts: Any) -> ProcessFacts:
    """A process with the id of its first thread that nothing from outside can reach."""
    pid = facts.pop("pid", threads[0].tid)
    quiet: dict[str, Any] = {
        "pid": pid,
        "own_pid": pid,
        "parent": 0,
        "started": 1000 + pid,
        "executable": known("/usr/bin/python3", "exe"),
        "threads": threads,
        "threads_after": tuple(sorted(thread.tid for thread in threads)),
        "signals": known(QUIET_SIGNALS, "status"),
        "tracer": known(0, "status"),
        "timers": known((), "timers"),
        "descriptors": known((), "fd"),
        "own_descriptors": known((), "kcmp"),
        "descriptors_in_flight": known(0, "fdinfo"),
        "shares_memory_with": known((), "kcmp"),
        "libraries": known((), "maps"),
        "special_mappings": known((), "maps"),
        "python": unknown("no Python"),
        "cancelling": known((), "symbols"),
        "cancelling_at_once": known((), "symbols"),
        "old_gil_calls": known((), "symbols"),
        "alarms": known((), "timer_list"),
    }
    return ProcessFacts(**{**quiet, **facts})


def catching(*numbers: int) -> Known[Signals]:
    """Signals for which the process has handlers."""
    caught = sum(1 << (number - 1) for number in numbers)
    return known(Signals(caught=caught, ignored=0, pending=0), "status")


def python(
    interrupt_handler: str = "default_int_handler",
    handlers: tuple[PythonHandler, ...] | None = None,
    *,
    free_threaded: bool = False,
) -> Known[PythonRuntime]:
    """``handlers=None``: the table of handlers was not read, as in older evidence."""
    runtime = PythonRuntime(
        runtime_start=RUNTIME,
        runtime_end=RUNTIME + 0x1000,
        interrupt_handler=known(interrupt_handler, "mem"),
        handlers=UNKNOWN if handlers is None else known(handlers, "mem"),
        free_threaded=free_threaded,
    )
    return known(runtime, "_PyRuntime")


def pipe_ends(*ends: tuple[int, str, str]) -> Known[tuple[Descriptor, ...]]:
    """Descriptors: number, target, access."""
    return known(tuple(Descriptor(number=n, target=t, access=a) for n, t, a in ends), "fd")  # type: ignore[arg-type]


def snapshot(
    *processes: ProcessFacts,
    begun_s: float = 10.4,
    root: int | None = None,
    holders: Known[tuple[PipeHolder, ...]] | Unknown | None = None,
) -> Snapshot:
    """The first process is the root."""
    return Snapshot(
        begun_s=begun_s,
        ended_s=begun_s + 0.1,
        root=processes[0].pid if root is None else root,
        processes=processes,
        outside_holders=known((), "/proc/*/fd") if holders is None else holders,
    )


def evidence(
    *processes: ProcessFacts,
    before: tuple[ProcessFacts, ...] | None = None,
    stacks: tuple[StackFacts, ...] = (),
    holders: Known[tuple[PipeHolder, ...]] | Unknown | None = None,
    holders_before: Known[tuple[PipeHolder, ...]] | Unknown | None = None,
    libc: str = "glibc 2.36",
    architecture: str = "x86_64",
    pointer_bits: int = 64,
) -> Evidence:
    """What ``after`` shows; ``before`` showed the same unless given. Stacks lie between."""
    return Evidence(
        machine=Machine(
            system="linux",
            architecture=architecture,
            kernel="6.1",
            libc=libc,
            pointer_bits=pointer_bits,
        ),
        before=snapshot(
            *(processes if before is None else before),
            begun_s=10.0,
            root=processes[0].pid,
            holders=holders if holders_before is None else holders_before,
        ),
        stacks=stacks,
        after=snapshot(*processes, holders=holders),
    )


# --- stacks -------------------------------------------------------------------------------------


def frame(function: str, file: str = "program.py", line: int = 1, **values: str) -> PythonFrame:
    return PythonFrame(function=function, file=file, line=line, values=values)


BEGUN = frame("_bootstrap", "/lib/threading.py", 1030)
"""The outermost line of a thread that ``threading`` has begun."""


def stack(
    tid: int,
    *frames: PythonFrame,
    gil: bool | None = False,
    name: str = "",
    own_lock: Known[bool] | Unknown | None = None,
    **locks: Any,
) -> ThreadStack:
    """``gil=None``: it could not be told. It waits on its innermost line's own lock.

    ``locks`` are ``waits_for``, ``holds``, ``ident`` and ``stopped_by``.
    """
    return ThreadStack(
        tid=tid,
        name=name,
        python=frames,
        native=(),
        holds_gil=UNKNOWN if gil is None else known(gil, "pystack"),
        waits_on_lock_of_line=known(True, "mem") if own_lock is None else own_lock,
        **locks,
    )


def lock(
    address: int, *, owner: int | None = None, word: int = LOCK, **facts: Any
) -> Known[PythonLock]:
    """What a thread on ``word`` waits for: an RLock where an owner is given, 0 for one lost."""
    read = PythonLock(
        kind="Lock" if owner is None else "RLock",
        address=address,
        word=word,
        owner=UNKNOWN if owner is None else known(owner, "memory"),
        **{"function": "take", "file": "/app/store.py", "line": 7, **facts},
    )
    return known(read, "memory")


def inside(*addresses: int, **facts: Any) -> Known[tuple[HeldLock, ...]]:
    """The locks inside whose ``with`` blocks a thread is."""
    place = {"function": "take", "file": "/app/store.py", "line": 5}
    return known(
        tuple(
            HeldLock(kind="Lock", address=address, **{**place, **facts}) for address in addresses
        ),
        "memory",
    )


def stacks(pid: int, *threads: ThreadStack, at_s: float = 10.2) -> StackFacts:
    read = ProcessStacks(
        pid=pid,
        tool="pystack",
        begun_s=at_s,
        ended_s=at_s + 0.1,
        threads=threads,
        standard_library=known(("/lib",), "pystack"),
    )
    return StackFacts(pid=pid, stacks=known(read, "pystack"))


# --- asyncio ------------------------------------------------------------------------------------


def awaiting(kind: AwaitedKind, address: int = LOCK, **facts: Any) -> Known[TaskAwaits]:
    """What a task waits for."""
    what = {"lock": "Lock", "semaphore": "Semaphore"}.get(kind, kind)
    return known(TaskAwaits(**{"kind": kind, "address": address, "what": what, **facts}), "memory")


def task(
    address: int,
    awaits: Known[TaskAwaits] | Unknown,
    *locks: int,
    **facts: Any,
) -> Task:
    """A task called by its address, inside ``async with`` blocks of ``locks``."""
    blocks = tuple(
        Entered(
            what="Lock", address=each, name=f"lock_{each}", function="take", file="/app/store.py",
            line=5,
        )
        for each in locks
    )  # fmt: skip
    quiet: dict[str, Any] = {
        "address": address,
        "name": f"t{address}",
        "frames": (frame("take", "/app/store.py", 7),),
        "awaits": awaits,
        "inside": blocks,
        "steady": True,
    }
    return Task(**{**quiet, **facts})


def loops(
    pid: int, *tasks: Task, tid: int | None = None, main: int = 0, at_s: float = 10.2
) -> StackFacts:
    """The stacks of a process whose main thread, if no other is given, runs a loop with tasks."""
    thread = pid if tid is None else tid
    loop = EventLoop(address=1, what="Loop", tid=thread, tasks=tasks, main=main)
    found = stacks(pid, stack(pid), at_s=at_s)
    assert isinstance(found.stacks, Known)
    read = change(found.stacks.value, loops=known((loop,), "memory"))
    return change(found, stacks=known(read, "memory"))


# --- what the proof says of it ------------------------------------------------------------------


def world(*threads: ThreadFacts, **facts: Any) -> World:
    """A world of one process with these threads."""
    return index(evidence(process(*threads), **facts))


def wait_of(found: World, tid: int) -> Wait:
    """The wait of a thread of the root process, which must have one."""
    wait = read_wait(found, (found.root, tid))
    assert isinstance(wait, Wait), wait
    return wait


def gap_of(found: World, tid: int) -> tuple[str, str]:
    """Kind and detail of why a thread of the root process has no wait that counts."""
    wait = read_wait(found, (found.root, tid))
    assert isinstance(wait, Open), wait
    return wait.gap.kind, wait.gap.detail


def owner_of(found: World, tid: int) -> int | None:
    """The owner's thread id, or None where there is none."""
    wait = wait_of(found, tid)
    if wait.scope != "thread":
        return None
    ((_, owner),) = wait.wakers
    return owner
