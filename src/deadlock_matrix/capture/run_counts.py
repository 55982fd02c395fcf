"""Which threads of a process have run since the last look, in some ten microseconds a thread.

A thread that sleeps changes nothing in its line of ``/proc/PID/task/TID/schedstat``: the time it
ran, the time it waited for a processor, how often it was given one (Documentation/scheduler/
sched-stats). Where the kernel keeps no such numbers (no CONFIG_SCHED_INFO) it shows zeros, and the
switch counts of ``status`` are used instead. A thread whose line is the same in two looks did not
run between them, except that one which is on a processor all the time may look the same twice.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence

from deadlock_matrix.capture.proc_files import is_gone, numbers_in, open_directory, read_small
from deadlock_matrix.capture.syscalls import name_of
from deadlock_matrix.model.system_calls import WaitsFor, blocking

_OF_A_PROCESS = 2  # CPUCLOCK_SCHED: the kernel's clock of another process, clock_getcpuclockid(3)

RunCounts = dict[int, bytes]
"""By thread id. Compare the values; they have no other use."""


def run_counts(pid: int) -> RunCounts:
    """Look at all threads; empty if the process has ended.

    Raises:
        OSError: We may not read the process.
    """
    found: RunCounts = {}
    try:
        tasks = open_directory(f"/proc/{pid}/task")
    except OSError as error:
        if is_gone(error):
            return found
        raise
    try:
        for tid in numbers_in(tasks):
            try:
                found[tid] = run_count(tid, tasks)
            except OSError as error:
                if not is_gone(error):
                    raise
    except OSError as error:
        if not is_gone(error):
            raise
    finally:
        os.close(tasks)
    return found


def run_count(tid: int, tasks: int) -> bytes:
    """Look at one thread.

    Args:
        tid: The thread.
        tasks: A descriptor of its process's ``/proc/PID/task``.

    Raises:
        OSError: It has ended, or we may not read it.
    """
    try:
        line = read_small(f"{tid}/schedstat", tasks)
    except FileNotFoundError:  # or the thread has ended: then the next read fails as well
        line = b""
    if line.split()[2:] not in ([], [b"0"]):
        return line
    status = read_small(f"{tid}/status", tasks)
    return status[status.find(b"\nvoluntary_ctxt_switches") :]


def ran_beside_main(pid: int) -> tuple[int, bytes] | None:
    """Return how long all threads but the main one have run, in nanoseconds, and its own count.

    None if that is unknown, as while the main thread runs.

    Equal numbers mean that none of them ran in between, and so none was started and none ended. The
    kernel adds up what each thread has run (clock_getcpuclockid(3)), in one call of some ten
    microseconds for 500 threads.
    """
    try:
        line = read_small(f"/proc/{pid}/task/{pid}/schedstat")
        all_together = time.clock_gettime_ns(~pid << 3 | _OF_A_PROCESS)
        again = read_small(f"/proc/{pid}/task/{pid}/schedstat")
    except OSError:
        return None
    words = line.split()
    if line != again or words[2:] in ([], [b"0"]):  # it runs, or the kernel does not count
        return None
    return all_together - int(words[0]), line


def only_sleeps(syscall: Sequence[str] | Sequence[bytes]) -> bool:
    """Return whether a thread sleeps for a time and waits for nothing else.

    Args:
        syscall: The words of its ``/proc/PID/task/TID/syscall``.
    """
    if len(syscall) < 7 or not syscall[0].isdigit():
        return False
    row = blocking(name_of(int(syscall[0]), platform.machine()))
    if row.count_at == 0:  # select of nothing, as time.sleep did before CPython 3.11
        limited = row.limit_at >= 0 and int(syscall[1 + row.limit_at], 16) != 0  # its address
        return int(syscall[1], 16) == 0 and limited
    return row.waits_for is WaitsFor.TIME


def waits_in_epoll(pid: int) -> bool:
    """Return whether the main thread of a process waits in epoll, as an event loop does."""
    try:
        words = read_small(f"/proc/{pid}/task/{pid}/syscall").split()
    except OSError:
        return False
    if not words or not words[0].isdigit():
        return False
    return name_of(int(words[0]), platform.machine()).startswith("epoll_")


def waits_for_a_while(pid: int, tid: int) -> bool:
    """Return whether a thread only sleeps, or waits for a lock with a time limit.

    A wait for events does not count: tasks of that loop may be stuck. Some ten microseconds.
    """
    try:
        words = read_small(f"/proc/{pid}/task/{tid}/syscall").split()
    except OSError:
        return False
    if len(words) < 7 or not words[0].isdigit():
        return False
    named = name_of(int(words[0]), platform.machine())
    if named == "futex":
        return int(words[1 + blocking(named).limit_at], 16) != 0  # its address
    return only_sleeps(words)


def waits_on_a_futex(pid: int, tid: int) -> bool:
    """Return whether a thread sleeps in a futex call without a time limit, or we cannot tell.

    Locks of Python and of C let a thread sleep there. Takes some ten microseconds.
    """
    try:
        words = read_small(f"/proc/{pid}/task/{tid}/syscall").split()
    except OSError as error:
        return not is_gone(error)
    if len(words) < 5 or not words[0].isdigit():
        return False  # on a processor, or stopped
    named = name_of(int(words[0]), platform.machine())
    return named == "futex" and int(words[4], 16) == 0
