"""File locks: who waits for which file, and who has it. None of it is ever proved a deadlock."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from deadlock_matrix import inspect
from deadlock_matrix.model.inspection import Inspection
from deadlock_matrix.model.verdict import Outcome

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/locks"),
    pytest.mark.timeout(120),
]
IN_PID_NAMESPACE = (
    sys.platform == "linux" and str(Path("/proc/self/ns/pid").readlink()) != "pid:[4026531836]"
)
"""``PROC_PID_INIT_INO`` of the kernel's ``include/linux/proc_ns.h`` is the first one's number."""

BEGIN = (
    "import fcntl, os, sys, threading\nfirst, second = open('first', 'w'), open('second', 'w')\n"
)
CROSSED = """
there, here = os.pipe(), os.pipe()
def take(own, other, tell, ask):
    fcntl.flock(own, fcntl.LOCK_EX)
    os.write(tell[1], b"x")
    os.read(ask[0], 1)
    os.write(1, b"ready\\n")
    fcntl.flock(other, fcntl.LOCK_EX)
if os.fork():
    take(open("first"), open("second"), here, there)
else:
    take(open("second"), open("first"), there, here)
"""
TWICE = """
fcntl.flock(first, fcntl.LOCK_EX)
os.write(1, b"ready\\nready\\n")
fcntl.flock(open("first"), fcntl.LOCK_EX)
"""
OF_PARENT = """
fcntl.lockf(first, fcntl.LOCK_EX)
os.write(1, b"ready\\n")
if not os.fork():
    os.write(1, b"ready\\n")
    fcntl.lockf(open("first", "w"), fcntl.LOCK_EX)
os.wait()
"""
OF_ONE_THAT_ENDED = """
if not os.fork():
    fcntl.flock(first, fcntl.LOCK_EX)
    os._exit(0)
os.wait()
os.write(1, b"ready\\nready\\n")
fcntl.flock(open("first"), fcntl.LOCK_EX)
"""


def look_at(script: str, folder: Path) -> Inspection:
    """Two looks at a program, once its threads wait."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + script],
        cwd=folder,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == [b"ready\n"] * 2
        end = time.monotonic() + 60
        while True:
            found = inspect(process.pid)
            # A thread may be in its call before the kernel lists it among those who wait.
            does = [each.does for each in found.threads]
            waiting = [each for each in does if "waits for" in each and "not known" not in each]
            if len(waiting) == len(found.threads) or time.monotonic() > end:
                return found
    finally:
        subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=False)
        process.communicate()


def told_of(found: Inspection, outcome: Outcome) -> dict[int, str]:
    """What each process waits for."""
    assert found.outcome == outcome
    return {each.pid: each.does for each in found.threads}


def test_two_processes_cross_two_locks(tmp_path: Path) -> None:
    told = told_of(look_at(CROSSED, tmp_path), "likely")
    parent, child = sorted(told)
    assert f"waits for a lock (flock) of the file {tmp_path}/second" in told[parent]
    assert f"waits for a lock (flock) of the file {tmp_path}/first" in told[child]
    assert f"taken by process {child}" in told[parent]
    assert f"taken by process {parent}" in told[child]


def test_the_same_file_is_opened_twice(tmp_path: Path) -> None:
    ((pid, told),) = told_of(look_at(TWICE, tmp_path), "likely").items()
    assert f"{tmp_path}/first, taken by process {pid}" in told


def test_a_lock_of_the_parent(tmp_path: Path) -> None:
    told = told_of(look_at(OF_PARENT, tmp_path), "likely")
    parent, child = sorted(told)
    assert told[parent] == "waits for any of its children"
    assert f"waits for a lock (posix) of the file {tmp_path}/first" in told[child]
    assert f"taken by process {parent}" in told[child]


@pytest.mark.skipif(
    IN_PID_NAMESPACE, reason="in a PID namespace, the kernel hides locks of those that have ended"
)
def test_who_took_it_has_ended_and_left_it_to_others(tmp_path: Path) -> None:
    """The lock belongs to the open file, which the parent has too."""
    ((pid, told),) = told_of(look_at(OF_ONE_THAT_ENDED, tmp_path), "not-proved").items()
    assert "waits for a lock (flock)" in told
    assert told.endswith(
        f", which has ended and left it to whoever else has the file open (process {pid})"
    )
