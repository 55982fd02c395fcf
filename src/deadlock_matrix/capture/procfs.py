"""Thread and process facts from ``/proc``, without stopping the target."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

from deadlock_matrix.capture.code import code_of
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.proc_files import (
    is_gone,
    numbers_in,
    open_directory,
    read_small,
    reason_of,
)
from deadlock_matrix.capture.proc_text import (
    Status,
    parse_stat,
    parse_status,
    parse_syscall,
    text_of,
)
from deadlock_matrix.capture.waits import NOT_IN_A_CALL, polled_of, timeout_of, word_of
from deadlock_matrix.model.evidence import (
    Activity,
    Code,
    OnCpu,
    PolledDescriptor,
    Switches,
    SystemCall,
    ThreadFacts,
    Timeout,
    Word,
)
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

_MOVED = "the thread moved while it was read"
_NOT_OURS = "memory is not read while a thread of the process sleeps uninterruptibly"
_PARENT_OF_VFORK = frozenset({"vfork", "clone", "clone3"})


@dataclass(frozen=True, kw_only=True)
class _Wait:
    """Everything that depends on the system call a thread is in."""

    activity: Known[Activity] | Unknown
    word: Known[Word] | Unknown
    polled: Known[tuple[PolledDescriptor, ...]] | Unknown
    timeout: Known[Timeout] | Unknown
    code: Known[Code] | Unknown
    channel: Known[str] | Unknown


@dataclass(kw_only=True)
class ThreadsRead:
    """The threads of one process, and what their ``status`` files say of the process."""

    threads: list[ThreadFacts] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)


def _nothing(
    reason: str, activity: Known[Activity] | Unknown, channel: Known[str] | Unknown | None = None
) -> _Wait:
    return _Wait(
        activity=activity,
        word=unknown(reason),
        polled=unknown(reason),
        timeout=unknown(reason),
        code=unknown(reason),
        channel=unknown(reason) if channel is None else channel,
    )


def _details(
    call: SystemCall,
    memory: Memory | None,
    activity: Known[Activity],
    channel: Known[str] | Unknown,
) -> _Wait:
    if memory is None:
        return _nothing(_NOT_OURS, activity, channel)
    return _Wait(
        activity=activity,
        word=word_of(call, memory),
        polled=polled_of(call, memory),
        timeout=timeout_of(call, memory),
        code=code_of(call.program_counter, memory),
        channel=channel,
    )


def _channel_of(directory: int, source: str) -> Known[str] | Unknown:
    """The kernel function in which the thread sleeps; a running one shows ``0``."""
    try:
        name = text_of(read_small("wchan", directory)).strip()
    except OSError as error:
        if error.errno == errno.ESRCH:
            raise
        return unknown(reason_of(error, source))
    return unknown("the kernel does not show it") if name in ("", "0") else known(name, source)


def _wait_of(directory: int, architecture: str, memory: Memory | None, source: str) -> _Wait:
    """The system call before and after the memory it names: both must be the same wait."""
    try:
        descriptor = os.open("syscall", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        if is_gone(error):
            raise
        reason = reason_of(error, source)
        return _nothing(reason, unknown(reason))
    try:
        first = os.pread(descriptor, 512, 0)
        activity = known(parse_syscall(first, architecture), source)
        if isinstance(activity.value, OnCpu):
            return _nothing(NOT_IN_A_CALL, activity)
        channel = _channel_of(directory, source.replace("/syscall", "/wchan"))
        if isinstance(activity.value, SystemCall):
            wait = _details(activity.value, memory, activity, channel)
        else:
            wait = _nothing(NOT_IN_A_CALL, activity, channel)
        second = os.pread(descriptor, 512, 0)
        if second != first:
            return _nothing(_MOVED, known(parse_syscall(second, architecture), source))
        return wait
    except OSError as error:
        if is_gone(error):
            raise
        reason = reason_of(error, source)
        return _nothing(reason, unknown(reason))
    finally:
        os.close(descriptor)


def read_thread(
    pid: int, tid: int, tasks: int, architecture: str, memory: Memory | None
) -> tuple[ThreadFacts, Status]:
    """One thread. The order of the reads is a part of what they prove.

    ``syscall`` first, then the memory it names, then ``syscall`` again, and state and counters
    (``status``) last. The kernel gives out a ``syscall`` line only of a thread that it found off
    the processor in an unchanged sleep (``task_current_syscall``, which waits for that in
    ``wait_task_inactive``); the counters grow each time a thread leaves the processor, before it
    can be found so. State S alone would not do: a thread sets it shortly before it sleeps.

    Guaranteed, for one thread in two snapshots with state S, the same ``syscall`` line and equal
    counters in both: **it slept without a break from the first's reading of status to the
    second's last reading of syscall.** For at the latter it was off the processor with counters
    no larger than those read right after, which equal the earlier ones, and it could not have run
    in between without leaving the processor once more. So all that the second snapshot read
    between its two readings of ``syscall`` (word, timeout, polled, code, wait channel)
    belongs to that sleep, and so does the moment between the end of the first snapshot and the
    beginning of the second, which is common to all threads.

    Args:
        pid: the process, for the sources.
        tid: the thread, as the observer numbers it.
        tasks: a descriptor of ``/proc/PID/task``.
        architecture: of the target.
        memory: of the process; nothing to leave it alone.

    Raises:
        OSError: the thread ended meanwhile (`is_gone`), or nothing of it can be read.
        ValueError: the kernel's files are not as documented.
    """
    source = f"/proc/{pid}/task/{tid}"
    directory = open_directory(str(tid), tasks)
    try:
        stat = parse_stat(read_small("stat", directory))
        wait = _wait_of(directory, architecture, memory, f"{source}/syscall")
        status = parse_status(read_small("status", directory))
    finally:
        os.close(directory)
    switches: Known[Switches] = known(status.switches, f"{source}/status")
    facts = ThreadFacts(
        tid=tid,
        own_tid=status.own_id,
        name=stat.name,
        state=status.state,
        started=stat.started,
        cpu_ticks=stat.cpu_ticks,
        switches=switches,
        activity=wait.activity,
        blocked_signals=status.blocked,
        word=wait.word,
        polled=wait.polled,
        timeout=wait.timeout,
        code=wait.code,
        wait_channel=wait.channel,
    )
    return facts, status


def sleeps_uninterruptibly(tasks: int, architecture: str) -> bool:
    """Whether a thread of the process is in state D, but for one that waits for its vfork child.

    Such a thread can hold the lock on the process's mappings (a page fault on a dead file server);
    reading ``maps`` or ``mem`` would then hang the observer as well.

    Args:
        tasks: a descriptor of ``/proc/PID/task``.
        architecture: of the target.
    """
    for tid in numbers_in(tasks):
        try:
            raw = read_small(f"{tid}/stat", tasks)
            if raw[raw.rindex(b")") + 2 :][:1] != b"D":
                continue
            call = parse_syscall(read_small(f"{tid}/syscall", tasks), architecture)
        except OSError as error:
            if is_gone(error):
                continue
            return True
        if not (isinstance(call, SystemCall) and call.name in _PARENT_OF_VFORK):
            return True
    return False


def read_threads(pid: int, tasks: int, architecture: str, memory: Memory | None) -> ThreadsRead:
    """All threads, in the kernel's order. One that ends meanwhile is left out.

    A leader that has exited while others run is kept, with its state Z.

    Raises:
        OSError: the process ended (`is_gone`), or is not ours to read.
    """
    read = ThreadsRead()
    for tid in sorted(numbers_in(tasks)):
        try:
            facts, status = read_thread(pid, tid, tasks, architecture, memory)
        except OSError as error:
            if is_gone(error):
                continue
            raise
        read.threads.append(facts)
        read.statuses.append(status)
    return read
