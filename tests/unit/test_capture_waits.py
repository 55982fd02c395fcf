from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path

import pytest

from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.waits import polled_of, timeout_of, word_of
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.thread_facts import NoTimeout, PolledDescriptor, SystemCall, TimeLimit

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs procfs")


class FakeMemory(Memory):
    """A memory that holds a few bytes at one address."""

    def __init__(self, content: dict[int, bytes]) -> None:
        super().__init__(os.getpid(), -1)
        self.content = content

    def read(self, address: int, size: int) -> bytes:
        for start, data in self.content.items():
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        raise Unreadable(f"{address:#x}")


def call(name: str, *arguments: int) -> SystemCall:
    a, b, c, d, e, f = [*arguments, *[0] * (6 - len(arguments))]
    return SystemCall(name=name, arguments=(a, b, c, d, e, f), stack_pointer=0, program_counter=0)


def timespec(seconds: float) -> bytes:
    return struct.pack("<qq", int(seconds), int(seconds % 1 * 1e9))


def limit(fact: object) -> tuple[float, bool]:
    assert isinstance(fact, Known) and isinstance(fact.value, TimeLimit)
    assert isinstance(fact.value.due_s, Known)
    return fact.value.due_s.value, fact.value.exact


MINUS_ONE = 0xFFFF_FFFF_FFFF_FFFF


@pytest.mark.parametrize(
    "blocked",
    [
        call("futex", 0x1000, 0x80, 2, 0),
        call("futex", 0x1000, 0x189, 2, 0),
        call("futex_wait", 0x1000),
        call("poll", 0, 0, MINUS_ONE),
        call("poll", 0, 0, 0xFFFF_FFFF),
        call("ppoll", 0, 0, 0),
        call("select", 0, 0, 0, 0, 0),
        call("epoll_wait", 3, 0, 1, MINUS_ONE),
        call("wait4", MINUS_ONE),
        call("fcntl", 3, 7),
        call("io_getevents", 0x1000, 1, 8, 0x2000, 0),
    ],
)
def test_no_limit(blocked: SystemCall) -> None:
    fact = timeout_of(blocked, FakeMemory({}))
    assert isinstance(fact, Known) and fact.value == NoTimeout()


def test_absolute_limits() -> None:
    monotonic = FakeMemory({0x50: timespec(time.clock_gettime(time.CLOCK_MONOTONIC) + 100)})
    realtime = FakeMemory({0x50: timespec(time.time() + 100)})
    for blocked, memory in [
        (call("futex", 0, 0x89, 0, 0x50), monotonic),
        (call("futex", 0, 0x189, 0, 0x50), realtime),
        (call("futex", 0, 0x86, 0, 0x50), realtime),
        (call("clock_nanosleep", 1, 1, 0x50), monotonic),
        (call("futex_wait", 0, 0, 0, 0, 0x50, 1), monotonic),
        (call("mq_timedreceive", 0, 0, 0, 0, 0x50), realtime),
    ]:
        due, exact = limit(timeout_of(blocked, memory))
        assert exact and 95 < due <= 100.1


def test_relative_limits() -> None:
    memory = FakeMemory({0x50: timespec(2.5), 0x90: struct.pack("<qq", 2, 500_000)})
    for blocked in [
        call("futex", 0, 0x80, 0, 0x50),
        call("nanosleep", 0x50),
        call("clock_nanosleep", 1, 0, 0x50),
        call("poll", 0, 0, 2500),
        call("epoll_wait", 0, 0, 0, 2500),
        call("ppoll", 0, 0, 0x50),
        call("pselect6", 0, 0, 0, 0, 0x50),
        call("select", 0, 0, 0, 0, 0x90),
        call("rt_sigtimedwait", 0, 0, 0x50),
        call("io_getevents", 0, 0, 0, 0, 0x50),
        call("io_pgetevents", 0, 0, 0, 0, 0x50),
    ]:
        assert limit(timeout_of(blocked, memory)) == (2.5, False)


def test_the_timeout_of_recvmmsg_ends_no_wait() -> None:
    """The kernel compares it with the clock only after each message (BUGS in ``recvmmsg(2)``)."""
    here, there = socket.socketpair()
    with here, there:
        blocked = call("recvmmsg", here.fileno(), 0, 1, 0, 0x50)
        directory = os.open("/proc/self", os.O_RDONLY | os.O_DIRECTORY)
        try:
            fact = timeout_of(blocked, Memory(os.getpid(), directory))
        finally:
            os.close(directory)
    assert isinstance(fact, Unknown) and "SO_RCVTIMEO" in fact.reason


def test_a_limit_that_cannot_be_read_is_still_a_limit() -> None:
    fact = timeout_of(call("futex", 0, 0x89, 0, 0x50), FakeMemory({}))
    assert isinstance(fact, Known) and isinstance(fact.value, TimeLimit)
    assert isinstance(fact.value.due_s, Unknown)


def test_restart_syscall_tells_nothing() -> None:
    blocked = call("restart_syscall", 1, 2, 3)
    memory = FakeMemory({})
    for fact in (timeout_of(blocked, memory), word_of(blocked, memory), polled_of(blocked, memory)):
        assert isinstance(fact, Unknown) and "restart_syscall" in fact.reason


def test_unknown_calls_have_unknown_limits() -> None:
    for name in ("io_uring_enter", "ioctl", "syscall_999", "openat"):
        assert isinstance(timeout_of(call(name), FakeMemory({})), Unknown)


def test_poll() -> None:
    array = struct.pack("<ihhihhihh", 3, 1, 0, -1, 1, 0, 9, 5, 0)
    fact = polled_of(call("poll", 0x50, 3, 0), FakeMemory({0x50: array}))
    assert isinstance(fact, Known)
    assert fact.value == (
        PolledDescriptor(descriptor=3, events=1),
        PolledDescriptor(descriptor=9, events=5),
    )
    assert isinstance(polled_of(call("poll", 0x50, 1 << 40), FakeMemory({})), Unknown)


def test_select() -> None:
    sets = {0x100: struct.pack("<QQ", 1 << 3, 1 << 6), 0x200: struct.pack("<QQ", 1 << 3, 1 << 40)}
    fact = polled_of(call("select", 71, 0x100, 0x200, 0, 0), FakeMemory(sets))
    assert isinstance(fact, Known)
    # 104 = 64 + 40 is beyond the 71 asked for
    assert fact.value == (
        PolledDescriptor(descriptor=3, events=5),
        PolledDescriptor(descriptor=70, events=1),
    )
