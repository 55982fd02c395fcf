"""Which threads of a process have run since the last look, for some ten microseconds a thread.

A thread that sleeps changes nothing in its line of ``/proc/PID/task/TID/schedstat``: the time it
ran, the time it waited for a processor, how often it was given one (Documentation/scheduler/
sched-stats). Where the kernel keeps no such numbers (no CONFIG_SCHED_INFO) it shows zeros, and the
switch counts of ``status`` are taken. What is the same in two looks did not run between them; a
thread that is on a processor all the time may look the same twice.
"""

from __future__ import annotations

import os

from deadlock_matrix.capture.proc_files import is_gone, numbers_in, open_directory, read_small

RunCounts = dict[int, bytes]
"""By thread id. Compare the values; they have no other use."""


def run_counts(pid: int) -> RunCounts:
    """A look at all threads; empty if the process has ended.

    Raises:
        OSError: the process is not ours to read.
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
                found[tid] = _line(tid, tasks)
            except OSError as error:
                if not is_gone(error):
                    raise
    except OSError as error:
        if not is_gone(error):
            raise
    finally:
        os.close(tasks)
    return found


def _line(tid: int, tasks: int) -> bytes:
    try:
        line = read_small(f"{tid}/schedstat", tasks)
    except FileNotFoundError:  # or the thread has ended: then the next one fails as well
        line = b""
    if line.split()[2:] not in ([], [b"0"]):
        return line
    status = read_small(f"{tid}/status", tasks)
    return status[status.find(b"\nvoluntary_ctxt_switches") :]
