"""What a blocked thread waits for: its system call, and everything that is read because of it."""

from __future__ import annotations

import errno
import os

import msgspec

from deadlock_matrix.capture.code import code_of
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.proc_files import (
    is_gone,
    read_small,
    reason_of,
)
from deadlock_matrix.capture.proc_text import parse_syscall, text_of
from deadlock_matrix.capture.waits import NOT_IN_A_CALL, polled_of, timeout_of, word_of
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.thread_facts import (
    Activity,
    Code,
    OnCpu,
    PolledDescriptor,
    SystemCall,
    Timeout,
    Word,
)

_MOVED = "the thread moved while it was read"
_NOT_OURS = "memory is not read while a thread of the process sleeps uninterruptibly"


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that depends on the system call a thread is in."""

    activity: Known[Activity] | Unknown
    word: Known[Word] | Unknown
    polled: Known[tuple[PolledDescriptor, ...]] | Unknown
    timeout: Known[Timeout] | Unknown
    code: Known[Code] | Unknown
    channel: Known[str] | Unknown


def _nothing(
    reason: str, activity: Known[Activity] | Unknown, channel: Known[str] | Unknown | None = None
) -> Wait:
    return Wait(
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
) -> Wait:
    if memory is None:
        return _nothing(_NOT_OURS, activity, channel)
    return Wait(
        activity=activity,
        word=word_of(call, memory),
        polled=polled_of(call, memory),
        timeout=timeout_of(call, memory),
        code=code_of(call.program_counter, memory),
        channel=channel,
    )


def _channel_of(directory: int, source: str) -> Known[str] | Unknown:
    """Return the kernel function in which the thread sleeps; a running one shows ``0``."""
    try:
        name = text_of(read_small("wchan", directory)).strip()
    except OSError as error:
        if error.errno == errno.ESRCH:
            raise
        return unknown(reason_of(error, source))
    return unknown("the kernel does not show it") if name in ("", "0") else known(name, source)


def wait_of(directory: int, architecture: str, memory: Memory | None, source: str) -> Wait:
    """Read the system call before and after the memory it names: both must show the same wait."""
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
