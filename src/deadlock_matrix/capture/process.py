"""The facts of one whole process."""

from __future__ import annotations

import os

from deadlock_matrix.capture.command import age_of, command_of
from deadlock_matrix.capture.descriptor_tables import own_descriptors
from deadlock_matrix.capture.descriptors import descriptors_of
from deadlock_matrix.capture.file_locks import file_locks_of
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.named_calls import named_calls, unread
from deadlock_matrix.capture.peers import peers_of
from deadlock_matrix.capture.proc_files import (
    is_gone,
    numbers_in,
    open_directory,
    read_small,
    read_whole,
    reason_of,
)
from deadlock_matrix.capture.proc_text import Stat, parse_stat, parse_status, text_of
from deadlock_matrix.capture.procfs import ThreadsRead, read_threads, sleeps_uninterruptibly
from deadlock_matrix.capture.python_runtime import runtime_of
from deadlock_matrix.capture.unix_sockets import descriptors_in_flight
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.process_facts import Library, ProcessFacts, PythonRuntime, Signals

_STUCK = "not read while a thread of the process sleeps uninterruptibly"


def read_process(
    pid: int,
    architecture: str,
    shares: Known[tuple[int, ...]] | Unknown,
    alarms: Known[tuple[float, ...]] | Unknown,
) -> ProcessFacts:
    """Read one process: threads first, then the rest, then the thread ids once more.

    A leader that has ended no longer shows memory or descriptors; then those of a thread that runs
    on are taken as the process's.

    Args:
        pid: The process.
        architecture: The target's, for the names of system calls.
        shares: The processes that run on the same memory, see `shared_memory.sharers`.
        alarms: What is known of its alarms, read beforehand, see `interval_timers`.

    Raises:
        OSError: It ended meanwhile (`proc_files.is_gone`), or we may not read it.
        ValueError: The kernel's files are not as documented.
    """
    directory = open_directory(f"/proc/{pid}")
    tasks = thread = -1
    try:
        tasks = open_directory("task", directory)
        stat = parse_stat(read_small("stat", directory))
        own = parse_status(read_small("status", directory))
        stuck = sleeps_uninterruptibly(tasks, architecture)
        speaker = _speaker(pid, stat.state, tasks)
        thread = open_directory(str(speaker), tasks)
        with Memory(pid, thread) as memory:
            read = read_threads(pid, tasks, architecture, None if stuck else memory)
            descriptors = descriptors_of(pid, thread)
            named = unread(_STUCK) if stuck else named_calls(memory, read.threads)
            return ProcessFacts(
                pid=pid,
                own_pid=own.own_process_id,
                parent=stat.parent,
                started=stat.started,
                executable=_executable(pid, directory),
                command=unknown(_STUCK) if stuck else command_of(pid, directory),
                age_s=age_of(pid, stat.started),
                stopped_by=_stopped_by(pid, stat),
                signals=_signals(pid, read),
                tracer=_tracer(pid, read),
                timers=_timers(pid, directory),
                alarms=alarms,
                descriptors=descriptors,
                file_locks=file_locks_of(pid, descriptors, read.threads),
                peers=peers_of(pid, thread, descriptors, read.threads),
                own_descriptors=own_descriptors(speaker, read.threads),
                descriptors_in_flight=descriptors_in_flight(pid, thread, descriptors),
                shares_memory_with=shares,
                libraries=unknown(_STUCK) if stuck else _libraries(memory),
                shared_files=unknown(_STUCK) if stuck else _shared(memory),
                special_mappings=unknown(_STUCK) if stuck else _special(memory),
                python=unknown(_STUCK) if stuck else _python(memory, stat.started),
                cancelling=named.cancelling,
                cancelling_at_once=named.cancelling_at_once,
                old_gil_calls=named.old_gil_calls,
                threads=tuple(read.threads),
                threads_after=tuple(sorted(numbers_in(tasks))),
            )
    finally:
        for opened in (thread, tasks, directory):
            if opened >= 0:
                os.close(opened)


def _speaker(pid: int, state: str, tasks: int) -> int:
    """Return the leader, or the first thread that has not ended."""
    if state in "ZX":
        for tid in sorted(numbers_in(tasks)):
            try:
                if parse_stat(read_small(f"{tid}/stat", tasks)).state not in "ZX":
                    return tid
            except OSError as error:
                if not is_gone(error):
                    raise
    return pid


def _stopped_by(pid: int, stat: Stat) -> Known[int] | Unknown:
    if stat.state != "T":
        return unknown("it is not stopped")
    if not stat.exit_code:
        return unknown("the kernel no longer tells, or never did: its parent has asked")
    return known(stat.exit_code, f"/proc/{pid}/stat")


def _executable(pid: int, directory: int) -> Known[str] | Unknown:
    """Return the link's text; it ends in `` (deleted)`` if the file was removed or replaced."""
    try:
        link = os.readlink("exe", dir_fd=directory)
    except OSError as error:
        return unknown(reason_of(error, f"/proc/{pid}/exe"))
    return known(text_of(os.fsencode(link)), f"/proc/{pid}/exe")


def _signals(pid: int, read: ThreadsRead) -> Known[Signals] | Unknown:
    """Collect handlers, which belong to the process, and signals pending for it or for any thread.

    A handler may go while the threads are read (SA_RESETHAND): a signal that was seen caught, or
    seen not ignored, even once counts as that.
    """
    if not read.statuses:
        return unknown("no thread of the process could be read")
    pending = caught = 0
    ignored = -1
    for status in read.statuses:
        pending |= status.pending | status.pending_shared
        caught |= status.caught
        ignored &= status.ignored
    signals = Signals(caught=caught, ignored=ignored, pending=pending)
    return known(signals, f"/proc/{pid}/task/*/status")


def _tracer(pid: int, read: ThreadsRead) -> Known[int] | Unknown:
    """Return who traces any of the threads: tracing is by thread."""
    if not read.statuses:
        return unknown("no thread of the process could be read")
    tracers = [status.tracer for status in read.statuses if status.tracer]
    return known(tracers[0] if tracers else 0, f"/proc/{pid}/task/*/status")


def _timers(pid: int, directory: int) -> Known[tuple[str, ...]] | Unknown:
    """Return the POSIX timers (timer_create), one text each.

    Interval timers (setitimer, alarm) are not in it: see `interval_timers`.
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


def _shared(memory: Memory) -> Known[tuple[str, ...]] | Unknown:
    try:
        return known(memory.maps.shared_files(), f"/proc/{memory.pid}/maps")
    except OSError as error:
        return unknown(reason_of(error, f"/proc/{memory.pid}/maps"))


def _special(memory: Memory) -> Known[tuple[str, ...]] | Unknown:
    try:
        return known(memory.maps.special(), f"/proc/{memory.pid}/maps")
    except OSError as error:
        return unknown(reason_of(error, f"/proc/{memory.pid}/maps"))


def _python(memory: Memory, started: int) -> Known[PythonRuntime] | Unknown:
    return runtime_of(memory, started)
