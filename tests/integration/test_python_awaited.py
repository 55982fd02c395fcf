"""What threads wait for, by kind, name and state, and what Python calls them: on every version."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pythons import VERSIONS, interpreter

from deadlock_matrix.capture import python_stacks
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.python_waits import with_locks_of_lines
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.stack_facts import Awaited, ThreadStack

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(120),
]

PROGRAM = """\
import multiprocessing
import os
import queue
import subprocess
import threading
from concurrent.futures import Future


class Numbers(queue.Queue):
    pass


class Store:
    def __init__(self):
        self._lock, self._taken = threading.Lock(), threading.BoundedSemaphore(1)
        self._ready, self._open = threading.Condition(), threading.Event()
        self._slots = threading.Semaphore(0)
        self._gate, self._jobs, self._full = threading.Barrier(3), Numbers(), queue.Queue(2)
        self._done, self._simple = queue.PriorityQueue(), queue.SimpleQueue()
        self._answer = Future()
        self._shared, self._places = multiprocessing.Lock(), multiprocessing.Semaphore(0)
        self._across, self._flag = multiprocessing.Queue(), multiprocessing.Event()
        self._here, self._there = multiprocessing.Pipe()
        self._program = subprocess.Popen(["sleep", "1000"])
        for held in (self._lock, self._taken, self._shared):
            held.acquire()
        self._full.put(1), self._full.put(2), self._done.put(1)

    def lock(self): self._lock.acquire()
    def taken(self):
        with self._taken: pass
    def ready(self):
        with self._ready: self._ready.wait()
    def opened(self): self._open.wait()
    def slots(self): self._slots.acquire()
    def gate(self): self._gate.wait()
    def jobs(self): self._jobs.get()
    def full(self): self._full.put(3)
    def done(self): self._done.join()
    def simple(self): self._simple.get()
    def answer(self): self._answer.result()
    def shared(self):
        with self._shared: pass
    def places(self): self._places.acquire()
    def across(self): self._across.get()
    def flag(self): self._flag.wait()
    def here(self): self._here.recv()
    def program(self): self._program.wait()
    def other(self): first.join()


store = Store()
names = WAITS
first = threading.Thread(target=store.lock, name="keeper of the lock", daemon=True)
first.start()
for name in names:
    threading.Thread(target=getattr(store, name), name=f"waits for {name}", daemon=True).start()
os.write(1, b"ready\\n")
os.read(0, 1)
store._program.kill()
"""

SAYS = {
    "taken": ("BoundedSemaphore", "acquire", "self._taken", "Store", "value 0"),
    "ready": ("Condition", "wait", "self._ready", "Store", ""),
    "opened": ("Event", "wait", "self._open", "Store", "not set"),
    "slots": ("Semaphore", "acquire", "self._slots", "Store", "value 0"),
    "gate": ("Barrier", "wait", "self._gate", "Store", "1 of 3 parties there"),
    "jobs": ("Queue", "get", "self._jobs", "Store", "empty"),
    "full": ("Queue", "put", "self._full", "Store", "holds 2 of 2"),
    "done": ("PriorityQueue", "join", "self._done", "Store", "1 not done"),
    "simple": ("SimpleQueue", "get", "self._simple", "Store", ""),
    "answer": ("Future", "result", "self._answer", "Store", "pending"),
    "shared": ("multiprocessing.Lock", "__enter__", "self._shared", "Store", ""),
    "places": ("multiprocessing.Semaphore", "acquire", "self._places", "Store", ""),
    "across": ("multiprocessing.Queue", "get", "self._across", "Store", ""),
    "flag": ("multiprocessing.Event", "wait", "self._flag", "Store", ""),
    "here": ("Connection", "recv", "self._here", "Store", ""),
    "program": ("Popen", "wait", "self._program", "Store", "process "),
    "other": ("Thread", "join", "first", "", "keeper of the lock"),
}


@pytest.fixture(params=VERSIONS)
def process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    script = tmp_path / "store.py"
    script.write_text(PROGRAM.replace("WAITS", repr(tuple(SAYS))))
    started = subprocess.Popen(
        [interpreter(request.param), "-I", str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    yield started
    os.killpg(started.pid, signal.SIGKILL)
    started.communicate()


def test_every_kind_by_its_name_and_state(process: subprocess.Popen[bytes]) -> None:
    stacks = waiting(process.pid)
    for name, (kind, action, variable, of, detail) in SAYS.items():
        stack = stacks[f"waits for {name}"]
        assert isinstance(stack.awaits, Known), (name, stack.awaits)
        found = stack.awaits.value
        told = (found.kind, found.action, found.name, found.of)
        assert told == (kind, action, variable, of), name
        assert found.detail.startswith(detail) and bool(found.detail) == bool(detail), name
        assert found.function == name
        assert PROGRAM.splitlines()[found.line - 1].count(f"self._{name[:4]}") or name == "other"
    joins, lock = stacks["waits for other"], stacks["keeper of the lock"]
    assert isinstance(joins.awaits, Known) and isinstance(joins.awaits.value.owner, Known)
    assert joins.awaits.value.owner.value == lock.tid
    assert isinstance(lock.waits_for, Known) and not isinstance(lock.awaits, Known)
    assert lock.waits_for.value.name == "self._lock"


JOINED = """\
import os, threading
main, other = threading.current_thread(), threading.Thread(target=os.read, args=(0, 1))
other.start()
threading.Thread(target=main.join, name="joins main", daemon=True).start()
os.write(1, b"ready\\n")
other.join()
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_who_joins_the_main_thread(version: str) -> None:
    """No frame of the main thread shows its object, as those of other threads do."""
    command = [interpreter(version), "-I", "-c", JOINED]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            end = time.monotonic() + 30
            joined: object = None
            while joined != process.pid and time.monotonic() < end:
                stacks = {
                    each.name: each for each in python_stacks.read_stacks(process.pid).threads
                }
                awaits = stacks["joins main"].awaits if "joins main" in stacks else None
                if isinstance(awaits, Known) and isinstance(awaits.value.owner, Known):
                    joined = awaits.value.owner.value
            assert joined == process.pid
        finally:
            process.kill()


ENDS = """\
import os, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
threading.Thread(target=os.read, args=(0, 1), name="saver").start()
os.write(1, b"ready\\n")
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_for_whom_a_program_waits_at_its_end(version: str) -> None:
    command = [interpreter(version), "-I", "-c", ENDS]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            end = time.monotonic() + 30
            found: Awaited | None = None
            while found is None and time.monotonic() < end:
                read = with_python_waits(process.pid)
                (main,) = (each for each in read if each.tid == process.pid)
                if isinstance(main.awaits, Known):
                    found = main.awaits.value
            assert found is not None
            assert (found.kind, found.action, found.detail) == ("Thread", "_shutdown", "saver")
            (saver,) = (each for each in read if each.name == "saver")
            assert isinstance(found.owner, Known) and found.owner.value == saver.tid
            assert main.waits_on_lock_of_line.or_else(False)
        finally:
            process.kill()


def with_python_waits(pid: int) -> tuple[ThreadStack, ...]:
    read = python_stacks.read_stacks(pid).threads
    directory = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Memory(pid, directory) as memory:
            return with_locks_of_lines(memory, read)
    finally:
        os.close(directory)


def waiting(pid: int) -> dict[str, ThreadStack]:
    """The threads by the names that Python has for them, once all wait."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        stacks = {stack.name: stack for stack in python_stacks.read_stacks(pid).threads}
        there = [stacks.get(f"waits for {name}") for name in SAYS]
        if all(stack is not None and isinstance(stack.awaits, Known) for stack in there):
            return stacks
        time.sleep(0.05)
    missing = [name for name in SAYS if f"waits for {name}" not in stacks]
    told = {name: stacks[name].awaits for name in stacks}
    raise AssertionError(f"missing: {missing}; {told}")
