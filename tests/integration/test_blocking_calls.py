"""Calls that Python itself does not make, but C code under it: what a thread waits for in them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deadlock_matrix import inspect
from deadlock_matrix.capture.pinned import held_by_calls
from deadlock_matrix.capture.syscalls import NAMES
from deadlock_matrix.model.inspection import Inspection

NUMBERS = {name: number for number, name in NAMES.get(platform.machine(), {}).items()}
IO_SETUP = {"x86_64": 206, "aarch64": 0}
"""It never blocks, so the table of names lacks it."""

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux" or not NUMBERS, reason="calls of Linux, by number"),
    pytest.mark.timeout(120),
]

BEGIN = """
import ctypes, os, socket, sys
from ctypes import POINTER, Structure, byref, c_char, c_int, c_long, c_size_t, c_uint, c_void_p
call = ctypes.CDLL(None, use_errno=True).syscall
numbers = [int(each) for each in sys.argv[1:]]
class Length(Structure):
    _fields_ = [("seconds", c_long), ("nanoseconds", c_long)]
class Part(Structure):
    _fields_ = [("base", c_void_p), ("size", c_size_t)]
class Message(Structure):
    _fields_ = [
        ("name", c_void_p), ("name_size", c_uint), ("parts", POINTER(Part)), ("count", c_size_t),
        ("control", c_void_p), ("control_size", c_size_t), ("flags", c_int), ("received", c_uint),
    ]
def messages(size):
    data = (c_char * size)()
    return (Message * 1)(Message(parts=ctypes.pointer(Part(ctypes.addressof(data), size)), count=1))
"""
RECEIVES = """
here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
print("ready", flush=True)
call(numbers[0], here.fileno(), messages(8), 1, 0, byref(Length(0, 1_000_000)))
"""
SENDS = """
here, there = socket.socketpair()
one = messages(1 << 12)
print("ready", flush=True)
while call(numbers[0], here.fileno(), one, 1, 0) > 0:
    pass
"""
GETS_EVENTS = """
context = ctypes.c_ulong(0)
if call(numbers[1], 8, byref(context)):
    print("this kernel has no AIO", flush=True)
    sys.exit()
limit = byref(Length(600, 0)) if numbers[2] else None
print("ready", flush=True)
call(numbers[0], context, c_long(1), c_long(8), (c_char * 256)(), limit, None)
"""


@contextmanager
def waiting(script: str, what: str, *numbers: int) -> Iterator[Inspection]:
    """A program of one thread that waits, and a look at it."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + script, *map(str, numbers)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        if "no AIO" in said:
            pytest.skip(said)
        assert said == "ready\n"
        end = time.monotonic() + 60
        while True:
            found = inspect(process.pid)
            if what in found.threads[0].does or time.monotonic() > end:
                assert process.poll() is None
                break
        yield found
    finally:
        process.kill()
        process.communicate()


def look_at(script: str, what: str, *numbers: int) -> Inspection:
    """What a look at such a program shows."""
    with waiting(script, what, *numbers) as found:
        return found


def told_of(found: Inspection) -> str:
    """What its only thread does, which proves nothing."""
    assert found.proof is None, found.proof
    (thread,) = found.threads
    return thread.does


def test_messages_are_received_and_the_timeout_of_the_call_is_no_limit() -> None:
    """A millisecond has passed long before somebody looks."""
    found = look_at(RECEIVES, "reads from", NUMBERS["recvmmsg"])
    (thread,) = found.threads
    told = told_of(found)
    assert told.startswith(f"reads from a Unix socket, connected to process {thread.pid}")
    assert "at most" not in told and "time limit" not in told


def test_messages_are_sent_to_a_socket_that_nobody_reads() -> None:
    found = look_at(SENDS, "writes to", NUMBERS["sendmmsg"])
    assert told_of(found).startswith("writes to a Unix socket, connected to process ")


@pytest.mark.parametrize(("name", "limited"), [("io_getevents", False), ("io_pgetevents", True)])
def test_asynchronous_reads_and_writes(name: str, limited: bool) -> None:
    found = look_at(
        GETS_EVENTS, "waits for", NUMBERS[name], IO_SETUP[platform.machine()], int(limited)
    )
    told = told_of(found)
    assert told.startswith("waits for asynchronous reads or writes (libaio)")
    assert told.endswith(", for at most 10 min") is limited


SENDS_IN_PYTHON = """
here, there = socket.socketpair()
print("ready", flush=True)
while True:
    {}
"""
FILES = "[(socket.SOL_SOCKET, socket.SCM_RIGHTS, (0).to_bytes(4, sys.byteorder))]"


@pytest.mark.parametrize(
    ("script", "may_carry"),
    [
        (SENDS, True),
        (SENDS_IN_PYTHON.format(f"here.sendmsg([bytes(4096)], {FILES})"), True),
        (SENDS_IN_PYTHON.format("here.sendmsg([bytes(4096)])"), False),
        (SENDS_IN_PYTHON.format("here.send(bytes(4096))"), False),
    ],
    ids=["sendmmsg", "sendmsg with a file", "sendmsg", "sendto"],
)
def test_a_message_that_is_being_sent_may_carry_files(script: str, may_carry: bool) -> None:
    """Then an end of a pipe may be in nobody's table of descriptors."""
    with waiting(script, "writes to", NUMBERS["sendmmsg"]) as found:
        pid = found.threads[0].pid
        directory = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            assert ("may carry files" in held_by_calls(pid, directory, None)) is may_carry
        finally:
            os.close(directory)
