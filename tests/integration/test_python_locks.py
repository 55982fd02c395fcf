"""The lock a thread sleeps for, its owner, and who is inside ``with``: on every version."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pythons import WITH_GIL, interpreter

from deadlock_matrix.capture import python_stacks
from deadlock_matrix.model.evidence import HeldLock, PythonLock, ThreadStack
from deadlock_matrix.model.fact import Known

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(120),
]

PROGRAM = """\
import os
import threading

first, second, third, left = threading.RLock(), threading.Lock(), threading.Lock(), threading.Lock()
both = threading.Barrier(2)

def over_and_under():
    with first:
        with left:
            pass
        both.wait()
        with second:
            pass

def under_and_over():
    with open(os.devnull), second:
        for _ in range(2):
            try:
                both.wait()
            finally:
                with first, third:
                    pass

def baton():
    third.acquire()
    third.acquire()

def bound():
    list(map(third.acquire, [True]))

for work in (over_and_under, under_and_over, baton, bound):
    threading.Thread(target=work, daemon=True).start()
os.write(1, b"ready\\n")
os.read(0, 1)
"""
WAITING = {"over_and_under", "under_and_over", "baton", "bound"}


@pytest.fixture(params=WITH_GIL)
def process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    script = tmp_path / "locks.py"
    script.write_text(PROGRAM)
    command = [interpreter(request.param), "-I", str(script)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    yield started
    started.kill()
    started.communicate()


def waiting(pid: int) -> dict[str, ThreadStack]:
    """The four threads by their functions, once they sleep for their locks."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        stacks = {stack.python[-1].function: stack for stack in python_stacks.read_stacks(pid)}
        asleep = {name for name, stack in stacks.items() if isinstance(stack.waits_for, Known)}
        if asleep == WAITING:
            return stacks
        time.sleep(0.05)
    raise AssertionError("they do not wait for their locks")


def lock_of(stack: ThreadStack) -> PythonLock:
    assert isinstance(stack.waits_for, Known)
    return stack.waits_for.value


def held_by(stack: ThreadStack) -> list[HeldLock]:
    assert isinstance(stack.holds, Known)
    return list(stack.holds.value)


def test_locks_and_holders(process: subprocess.Popen[bytes]) -> None:
    stacks = waiting(process.pid)
    over, under = stacks["over_and_under"], stacks["under_and_over"]
    lines = PROGRAM.splitlines()
    held, other = held_by(over), held_by(under)
    assert [(each.kind, each.function, lines[each.line - 1].strip()) for each in held] == [
        ("RLock", "over_and_under", "with first:")
    ]
    assert [(each.kind, each.function, lines[each.line - 1].strip()) for each in other] == [
        ("Lock", "under_and_over", "with open(os.devnull), second:")
    ]
    assert lock_of(over).kind == "Lock" and lock_of(over).address == other[0].address
    assert lock_of(under).kind == "RLock" and lock_of(under).address == held[0].address
    owner = lock_of(under).owner
    assert isinstance(owner, Known) and owner.value == over.tid
    assert not isinstance(lock_of(over).owner, Known)
    # Two threads wait for the same lock, one of them in a bound method that C code calls.
    assert lock_of(stacks["baton"]).address == lock_of(stacks["bound"]).address
    assert held_by(stacks["baton"]) == held_by(stacks["bound"]) == []
