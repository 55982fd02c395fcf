"""The facts of one whole process."""

from __future__ import annotations

import os
from collections.abc import Iterable

from deadlock_matrix.capture.cancellation import cancelling_libraries
from deadlock_matrix.capture.descriptors import descriptors_of
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.proc_files import (
    numbers_in,
    open_directory,
    read_small,
    read_whole,
    reason_of,
)
from deadlock_matrix.capture.proc_text import parse_stat, parse_status, text_of
from deadlock_matrix.capture.procfs import ThreadsRead, read_threads, sleeps_uninterruptibly
from deadlock_matrix.capture.python_runtime import runtime_of
from deadlock_matrix.capture.shared_memory import shares_memory_with
from deadlock_matrix.model.evidence import Library, ProcessFacts, PythonRuntime, Signals
from deadlock_matrix.model.fact import Known, Unknown, known, unknown

_STUCK = "not read while a thread of the process sleeps uninterruptibly"


def read_process(pid: int, architecture: str, everybody: Iterable[int]) -> ProcessFacts:
    """Reads one process: threads first, then the rest, then the thread ids once more.

    Args:
        pid: the process.
        architecture: of the target, for the names of system calls.
        everybody: ids of all processes, to find those on the same memory.

    Raises:
        OSError: it ended meanwhile (`proc_files.is_gone`), or is not ours to read.
        ValueError: the kernel's files are not as documented.
    """
    directory = open_directory(f"/proc/{pid}")
    tasks = -1
    try:
        tasks = open_directory("task", directory)
        stat = parse_stat(read_small("stat", directory))
        own = parse_status(read_small("status", directory))
        stuck = sleeps_uninterruptibly(tasks, architecture)
        with Memory(pid, directory) as memory:
            read = read_threads(pid, tasks, architecture, None if stuck else memory)
            return ProcessFacts(
                pid=pid,
                own_pid=own.own_process_id,
                parent=stat.parent,
                started=stat.started,
                executable=_executable(pid, directory),
                signals=_signals(pid, read),
                tracer=_tracer(pid, read),
                timers=_timers(pid, directory),
                descriptors=descriptors_of(pid, directory),
                shares_memory_with=_sharers(pid, stat.state, everybody),
                libraries=unknown(_STUCK) if stuck else _libraries(memory),
                special_mappings=unknown(_STUCK) if stuck else _special(memory),
                python=unknown(_STUCK) if stuck else _python(memory, stat.started),
                cancelling=unknown(_STUCK) if stuck else cancelling_libraries(memory, read.threads),
                threads=tuple(read.threads),
                threads_after=tuple(sorted(numbers_in(tasks))),
            )
    finally:
        if tasks >= 0:
            os.close(tasks)
        os.close(directory)


def _sharers(pid: int, state: str, everybody: Iterable[int]) -> Known[tuple[int, ...]] | Unknown:
    """A process that has ended has no memory, and kcmp would call any two such equal."""
    if state in "ZX":
        return known((), "its state: it has ended")
    return shares_memory_with(pid, everybody)


def _executable(pid: int, directory: int) -> Known[str] | Unknown:
    """The link's text; `` (deleted)`` behind it when the file has been removed or replaced."""
    try:
        link = os.readlink("exe", dir_fd=directory)
    except OSError as error:
        return unknown(reason_of(error, f"/proc/{pid}/exe"))
    return known(text_of(os.fsencode(link)), f"/proc/{pid}/exe")


def _signals(pid: int, read: ThreadsRead) -> Known[Signals] | Unknown:
    """Handlers belong to the process; pending are those of the process and of any thread."""
    if not read.statuses:
        return unknown("no thread of the process could be read")
    pending = 0
    for status in read.statuses:
        pending |= status.pending | status.pending_shared
    last = read.statuses[-1]
    signals = Signals(caught=last.caught, ignored=last.ignored, pending=pending)
    return known(signals, f"/proc/{pid}/task/*/status")


def _tracer(pid: int, read: ThreadsRead) -> Known[int] | Unknown:
    """Tracing is by thread: whoever traces any of them."""
    if not read.statuses:
        return unknown("no thread of the process could be read")
    tracers = [status.tracer for status in read.statuses if status.tracer]
    return known(tracers[0] if tracers else 0, f"/proc/{pid}/task/*/status")


def _timers(pid: int, directory: int) -> Known[tuple[str, ...]] | Unknown:
    """POSIX timers (timer_create), one text each.

    Source: ``/proc/PID/timers``, which exists only in kernels with CONFIG_CHECKPOINT_RESTORE.
    Interval timers (setitimer, alarm) are not in it: they can only send SIGALRM, SIGVTALRM or
    SIGPROF, which shows in the caught signals.
    """
    try:
        raw = read_whole("timers", directory)
    except OSError as error:
        return unknown(reason_of(error, f"/proc/{pid}/timers"))
    timers: list[str] = []
    for line in text_of(raw).splitlines():
        if line.startswith("ID:"):
            timers.append(line)
        elif timers:
            timers[-1] += f"; {line}"
    return known(tuple(timers), f"/proc/{pid}/timers")


def _libraries(memory: Memory) -> Known[tuple[Library, ...]] | Unknown:
    try:
        return known(memory.maps.libraries(), f"/proc/{memory.pid}/maps")
    except OSError as error:
        return unknown(reason_of(error, f"/proc/{memory.pid}/maps"))


def _special(memory: Memory) -> Known[tuple[str, ...]] | Unknown:
    try:
        return known(memory.maps.special(), f"/proc/{memory.pid}/maps")
    except OSError as error:
        return unknown(reason_of(error, f"/proc/{memory.pid}/maps"))


def _python(memory: Memory, started: int) -> Known[PythonRuntime] | Unknown:
    return runtime_of(memory, started)
