"""What a blocked system call waits for and until when, from its arguments and the memory they name.

Source: the calls' manual pages and the kernel's ``kernel/futex/syscalls.c`` and ``fs/select.c``.
Numbers are little-endian, ``struct timespec`` is two 64-bit words: 64-bit targets only.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence

from deadlock_matrix.capture.descriptors import target_of
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.proc_files import read_whole
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.system_calls import Limit, WaitsFor, blocking
from deadlock_matrix.model.thread_facts import (
    NoTimeout,
    PolledDescriptor,
    SystemCall,
    TimeLimit,
    Timeout,
    Word,
)

FUTEX_PRIVATE = 128
FUTEX_CLOCK_REALTIME = 256
FUTEX_COMMAND_MASK = ~(128 | FUTEX_CLOCK_REALTIME)
FUTEX_WAIT, FUTEX_LOCK_PI, FUTEX_WAIT_BITSET = 0, 6, 9
FUTEX_WAIT_REQUEUE_PI, FUTEX_LOCK_PI2 = 11, 13
JOINABLE = 2  # glibc's THREAD_STATE_JOINABLE

POLLIN, POLLPRI, POLLOUT = 1, 2, 4
POLLED_LIMIT = 4096
EPOLL_LIMIT = 1 << 14

NOT_A_FUTEX = "the thread is not in a futex wait"
NOT_A_POLL = "the thread is not in poll, select or epoll_wait"
NOT_IN_A_CALL = "the thread is not blocked in a system call"
RESTARTED = (
    "restart_syscall goes on with an interrupted wait; its arguments are not those of that wait"
)


def word_of(call: SystemCall, memory: Memory) -> Known[Word] | Unknown:
    """Read the memory around the futex that a thread waits on."""
    if call.name != "futex_waitv" and blocking(call.name).waits_for is WaitsFor.WORD:
        # glibc's pthread_join: not private, because the kernel wakes it when the thread has ended.
        joins = call.name == "futex" and not call.arguments[1] & FUTEX_PRIVATE
        return memory.word(call.arguments[0], of_thread=joins and call.arguments[2] == JOINABLE)
    if call.name == "futex_waitv":
        if call.arguments[1] != 1:
            return unknown(f"futex_waitv waits on {call.arguments[1]} words at once")
        try:
            return memory.word(memory.number(call.arguments[0] + 8))
        except Unreadable as error:
            return unknown(f"memory not readable: {error}")
    return unknown(RESTARTED if call.name == "restart_syscall" else NOT_A_FUTEX)


# --- until when ---------------------------------------------------------------------------------


def _int32(word: int) -> int:
    value = word & 0xFFFF_FFFF
    return value - (1 << 32) if value & 0x8000_0000 else value


def _seconds(memory: Memory, address: int, parts_per_second: int) -> float:
    seconds, parts = struct.unpack("<qq", memory.read(address, 16))
    return float(seconds + parts / parts_per_second)


def _relative(
    memory: Memory, address: int, parts_per_second: int = 1_000_000_000
) -> Known[Timeout]:
    """Read a limit given as a length: an upper bound, as nobody knows when the wait began."""
    if address == 0:
        return known(NoTimeout(), "system call argument: no time limit")
    try:
        due: Known[float] | Unknown = known(
            max(0.0, _seconds(memory, address, parts_per_second)),
            f"/proc/{memory.pid}/mem: a length, counted from a moment unknown",
        )
    except Unreadable as error:
        due = unknown(f"memory not readable: {error}")
    return known(TimeLimit(due_s=due, exact=False), "system call argument: a time limit")


def _milliseconds(limit: int) -> Known[Timeout]:
    if limit < 0:
        return known(NoTimeout(), "system call argument: no time limit")
    due = known(limit / 1000, "argument: a length, counted from a moment unknown")
    return known(TimeLimit(due_s=due, exact=False), "system call argument: a time limit")


def _absolute(memory: Memory, address: int, clock: int) -> Known[Timeout]:
    """Return a limit given as an instant.

    A target in another time namespace has another monotonic clock: ``due_s`` is then off by the
    difference; that there is a limit is still right.

    ``due_s`` is then off by the difference; that there is a limit is still right.
    """
    if address == 0:
        return known(NoTimeout(), "system call argument: no time limit")
    try:
        left = _seconds(memory, address, 1_000_000_000) - time.clock_gettime(clock)
        due: Known[float] | Unknown = known(
            max(0.0, left), f"/proc/{memory.pid}/mem: an instant on clock {clock}"
        )
    except Unreadable as error:
        due = unknown(f"memory not readable: {error}")
    except OSError:
        due = unknown(f"the observer cannot read clock {clock}")
    return known(TimeLimit(due_s=due, exact=True), "system call argument: a time limit")


def _futex_timeout(call: SystemCall, memory: Memory) -> Known[Timeout] | Unknown:
    operation, address = call.arguments[1], call.arguments[3]
    command = operation & FUTEX_COMMAND_MASK & 0xFFFF_FFFF
    realtime = bool(operation & FUTEX_CLOCK_REALTIME)
    clock = time.CLOCK_REALTIME if realtime else time.CLOCK_MONOTONIC
    if command == FUTEX_WAIT:
        return _relative(memory, address)
    if command == FUTEX_LOCK_PI:
        return _absolute(memory, address, time.CLOCK_REALTIME)
    if command in (FUTEX_WAIT_BITSET, FUTEX_WAIT_REQUEUE_PI, FUTEX_LOCK_PI2):
        return _absolute(memory, address, clock)
    return unknown(f"futex operation {operation:#x} is not a wait")


def _descriptor_timeout(number: int, memory: Memory) -> Known[Timeout] | Unknown:
    try:
        target = target_of(number, memory.directory)
    except OSError as error:
        return unknown(f"/proc/{memory.pid}/fd/{number}: {os.strerror(error.errno or 0)}")
    if target.startswith(("pipe:[", "fifo:[")):
        return known(NoTimeout(), f"/proc/{memory.pid}/fd/{number}: a pipe has no time limit")
    if target.startswith("socket:["):
        return unknown("a socket's own time limit (SO_RCVTIMEO) cannot be read from outside")
    return unknown(f"whether {target!r} has a time limit of its own cannot be read from outside")


def timeout_of(call: SystemCall, memory: Memory) -> Known[Timeout] | Unknown:
    """Return until when the system call waits at the latest."""
    name, arguments = call.name, call.arguments
    row = blocking(name)
    limit = arguments[row.limit_at]
    match row.limit:
        case Limit.NONE:
            return known(NoTimeout(), f"{name} has no time limit")
        case Limit.OF_DESCRIPTOR:
            return _descriptor_timeout(_int32(arguments[row.descriptors_at[0]]), memory)
        case Limit.MILLISECONDS:
            return _milliseconds(_int32(limit))
        case Limit.LENGTH:
            return _relative(memory, limit)
        case Limit.LENGTH_IN_MICROSECONDS:
            return _relative(memory, limit, parts_per_second=1_000_000)
        case Limit.INSTANT:
            clocked = row.clock_at >= 0
            clock = _int32(arguments[row.clock_at]) if clocked else time.CLOCK_REALTIME
            return _absolute(memory, limit, clock)
        case Limit.BY_OPERATION:
            return _timeout_by_operation(call, memory)
    return unknown(RESTARTED if name == "restart_syscall" else f"not known for {name}")


def _timeout_by_operation(call: SystemCall, memory: Memory) -> Known[Timeout] | Unknown:
    arguments = call.arguments
    if call.name == "futex":
        return _futex_timeout(call, memory)
    if call.name == "clock_nanosleep":
        if arguments[1] & 1:  # TIMER_ABSTIME
            return _absolute(memory, arguments[2], _int32(arguments[0]))
        return _relative(memory, arguments[2])
    if call.name == "fcntl" and _int32(arguments[1]) in (7, 38):  # F_SETLKW, F_OFD_SETLKW
        return known(NoTimeout(), "fcntl's wait for a file lock has no time limit")
    return unknown(f"not known for {call.name}")


# --- on which descriptors -----------------------------------------------------------------------


def _pollfds(memory: Memory, address: int, count: int) -> tuple[PolledDescriptor, ...]:
    data = memory.read(address, 8 * count)
    return tuple(
        PolledDescriptor(descriptor=descriptor, events=events)
        for descriptor, events, _ in struct.iter_unpack("<ihh", data)
        if descriptor >= 0  # the kernel skips negative ones
    )


def _fd_sets(memory: Memory, addresses: Sequence[int], count: int) -> tuple[PolledDescriptor, ...]:
    size = (count + 63) // 64 * 8  # whole machine words, as the kernel copies them
    wanted: dict[int, int] = {}
    for address, event in zip(addresses, (POLLIN, POLLOUT, POLLPRI), strict=True):
        if address == 0:
            continue
        bits = int.from_bytes(memory.read(address, size), "little")
        for number in range(count):
            if bits >> number & 1:
                wanted[number] = wanted.get(number, 0) | event
    return tuple(PolledDescriptor(descriptor=n, events=e) for n, e in sorted(wanted.items()))


def _epoll(memory: Memory, number: int) -> tuple[PolledDescriptor, ...]:
    """Parse the lines ``tfd: 5 events: 19 data: .. pos:0 ino:3e sdev:d`` of an epoll's ``fdinfo``.

    A line names the number under which a file was registered. If that number has been closed and
    reused while a copy keeps the file open, it is another file now: the inode tells.
    """
    found: list[PolledDescriptor] = []
    for line in read_whole(f"fdinfo/{number}", memory.directory).splitlines():
        if not line.startswith(b"tfd:"):
            continue
        if len(found) == EPOLL_LIMIT:
            raise Unreadable(f"an epoll of more than {EPOLL_LIMIT} descriptors")
        fields = line.replace(b":", b": ").split()
        values = dict(zip(fields[::2], fields[1::2], strict=False))
        target = int(values[b"tfd:"])
        link = os.readlink(f"fd/{target}", dir_fd=memory.directory)
        inode = int(values[b"ino:"], 16) if b"ino:" in values else None
        if link.startswith(("pipe:[", "socket:[")) and f"[{inode}]" not in link:
            raise Unreadable(f"descriptor {target} of the epoll is another file now")
        events = int(values[b"events:"], 16) & 0xFFFF
        found.append(PolledDescriptor(descriptor=target, events=events))
    return tuple(found)


def polled_of(call: SystemCall, memory: Memory) -> Known[tuple[PolledDescriptor, ...]] | Unknown:
    """Return the descriptors that a thread in poll, select or epoll_wait waits on.

    A file polled through an epoll inside another epoll is not followed. Reliable while the target's
    threads sleep: the arrays are in its own memory.
    """
    source = f"/proc/{memory.pid}/mem"
    row = blocking(call.name)
    addresses = [call.arguments[at] for at in row.arrays_at]
    try:
        if row.waits_for is WaitsFor.EVENTS and len(addresses) == 1:
            count = call.arguments[row.count_at]
            if count > POLLED_LIMIT:
                return unknown(f"{call.name} on {count} descriptors: too many to read")
            return known(_pollfds(memory, addresses[0], count), source)
        if row.waits_for is WaitsFor.EVENTS:
            count = _int32(call.arguments[row.count_at])
            if not 0 <= count <= POLLED_LIMIT:
                return unknown(f"{call.name} up to descriptor {count}: too many")
            return known(_fd_sets(memory, addresses, count), source)
        if row.waits_for is WaitsFor.EPOLL:
            number = _int32(call.arguments[row.descriptors_at[0]])
            return known(_epoll(memory, number), f"/proc/{memory.pid}/fdinfo/{number}")
    except Unreadable as error:
        return unknown(f"memory not readable: {error}")
    except (OSError, ValueError, KeyError) as error:
        return unknown(f"descriptors of {call.name}: {error}")
    return unknown(RESTARTED if call.name == "restart_syscall" else NOT_A_POLL)
