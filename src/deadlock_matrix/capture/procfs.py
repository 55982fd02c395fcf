"""Thread and process facts from ``/proc``, without stopping the target."""

from __future__ import annotations

import os

import msgspec

from deadlock_matrix.capture.foreign import beat
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.proc_files import (
    is_gone,
    numbers_in,
    open_directory,
    read_small,
)
from deadlock_matrix.capture.proc_text import (
    Status,
    parse_stat,
    parse_status,
    parse_syscall,
)
from deadlock_matrix.capture.thread_wait import wait_of
from deadlock_matrix.model.fact import Known, known
from deadlock_matrix.model.system_calls import WaitsFor, blocking
from deadlock_matrix.model.thread_facts import Switches, SystemCall, ThreadFacts


class ThreadsRead(msgspec.Struct, kw_only=True):
    """The threads of one process, and what their ``status`` files say about the process."""

    threads: list[ThreadFacts] = msgspec.field(default_factory=list)
    statuses: list[Status] = msgspec.field(default_factory=list)


def read_thread(
    pid: int, tid: int, tasks: int, architecture: str, memory: Memory | None
) -> tuple[ThreadFacts, Status]:
    """Read one thread. The order of the reads is a part of what they prove.

    ``syscall`` first, then the memory it names, then ``syscall`` again, and state and counters
    (``status``) last. The kernel shows a ``syscall`` line only of a thread that it found off the
    processor in an unchanged sleep (``task_current_syscall``, which waits for that in
    ``wait_task_inactive``); the counters grow each time a thread leaves the processor, before it
    can be found off it. State S alone would not do: a thread sets it shortly before it sleeps.

    Guaranteed, for one thread in two snapshots with state S, the same ``syscall`` line and equal
    counters in both: **it slept without a break from the first snapshot's reading of status to the
    second's last reading of syscall.** For at the latter it was off the processor, with counters no
    larger than those read right after, which equal the earlier ones; and it could not have run in
    between without leaving the processor once more. So everything that the second snapshot read
    between its two readings of ``syscall`` (word, timeout, polled, code, wait channel) belongs to
    that sleep, and so does the moment between the end of the first snapshot and the beginning of
    the second, which is common to all threads.

    Args:
        pid: The process, for the sources.
        tid: The thread, as the observer numbers it.
        tasks: A descriptor of ``/proc/PID/task``.
        architecture: The target's architecture.
        memory: That of the process; None leaves it alone.

    Raises:
        OSError: The thread ended meanwhile (`is_gone`), or nothing of it can be read.
        ValueError: The kernel's files are not as documented.
    """
    source = f"/proc/{pid}/task/{tid}"
    directory = open_directory(str(tid), tasks)
    try:
        stat = parse_stat(read_small("stat", directory))
        wait = wait_of(directory, architecture, memory, f"{source}/syscall")
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
    """Return whether a thread is in state D, other than one that waits for its vfork child.

    Such a thread can hold the lock on the process's mappings (a page fault on a dead file server);
    reading ``maps`` or ``mem`` would then make the observer hang as well.

    Args:
        tasks: A descriptor of ``/proc/PID/task``.
        architecture: The target's architecture.
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
        if not isinstance(call, SystemCall):
            return True
        if blocking(call.name).waits_for is not WaitsFor.VFORK:
            return True
    return False


def read_threads(pid: int, tasks: int, architecture: str, memory: Memory | None) -> ThreadsRead:
    """Read all threads, in the kernel's order. A thread that ends meanwhile is left out.

    A leader that has exited while others run is kept, with its state Z.

    Raises:
        OSError: The process ended (`is_gone`), or we may not read it.
    """
    read = ThreadsRead()
    for tid in sorted(numbers_in(tasks)):
        beat()
        try:
            facts, status = read_thread(pid, tid, tasks, architecture, memory)
        except OSError as error:
            if is_gone(error):
                continue
            raise
        read.threads.append(facts)
        read.statuses.append(status)
    return read
