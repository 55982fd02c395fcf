"""The lock a thread sleeps for, its owner, and who is inside ``with``: on every version."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from pythons import VERSIONS, interpreter

from deadlock_matrix.capture import python_stacks
from deadlock_matrix.capture.lock_objects import LockObjects
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.capture.python_frames import read_threads
from deadlock_matrix.capture.python_holders import HolderReader
from deadlock_matrix.capture.python_image import library_of
from deadlock_matrix.capture.python_locks import LockReader
from deadlock_matrix.capture.python_stacks import interpreter_of, thread_ids
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.stack_facts import HeldLock, PythonLock, ThreadStack

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(120),
]

PROGRAM = """\
import contextlib
import os
import threading
import types

class Store:
    def __init__(self):
        self._lock = threading.Lock()
        self._ready = threading.Condition(threading.Lock())
        self._empty = threading.Condition(threading.Lock())
        self._bare = threading.Lock()
        self._full = threading.Condition(self._bare)

    def fill(self, other):
        with self._ready:
            both_stores.wait()
            with other._lock:
                pass

    def empty(self, other):
        with other._lock:
            both_stores.wait()
            with self._ready:
                pass

    def expect(self):
        with self._empty:
            self._empty.wait()

    def expect_more(self):
        with self._bare:
            self._full.wait()

    @contextlib.contextmanager
    def opened(self):
        with self._lock:
            yield self

class Guard:
    def __init__(self):
        self.inner = threading.Lock()
        self.unused = threading.Lock()

    def __enter__(self):
        self.inner.acquire()

    def __exit__(self, *reason):
        self.inner.release()

class Client:
    def __init__(self):
        self.lock = threading.Lock()
        self.lock.acquire()

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.lock.acquire()
        self.lock.release()

first, second, third, left = threading.RLock(), threading.Lock(), threading.Lock(), threading.Lock()
both, both_stores = threading.Barrier(2), threading.Barrier(2)
here, there = Store(), Store()

class Gate:
    lock = None

gate = Gate()
gate.lock = threading.Lock()
gate.lock.acquire()

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
    gate.lock.acquire()

def by_acquire(place, other, rest=True):
    place.slot.acquire()
    try:
        if rest:
            return
        for each in other:
            with open(os.devnull):
                each.slot.acquire()
    finally:
        place.slot.release()

@contextlib.contextmanager
def taken(lock):
    lock.acquire()
    try:
        yield
    finally:
        lock.release()

def by_generator():
    with taken(far):
        shut.acquire()

def given_back():
    near.acquire()
    try:
        near.release()
        shut.acquire()
        near.acquire()
    finally:
        near.release()

def managed():
    with Client() as client, guard, aside.opened(), contextlib.ExitStack() as stack:
        for each in (stacked, beyond.opened()):
            stack.enter_context(each)
        client.lock.acquire()

class Base:
    pass

class Mixin:
    of_class = threading.Lock()

class Place(Base, Mixin):
    __slots__ = ("slot", "many", "far")

    def __init__(self):
        self.slot, self.far, self.many = threading.Lock(), here, [None, threading.Lock()]

    @classmethod
    def by_class(cls):
        with cls.of_class:
            cls.of_class.acquire()

    def by_instance(self):
        with self.slot, self.many[1], TABLE["secret"], settings.lock, self.far.alone:
            self.own.acquire()

    own = threading.Lock()
    own.acquire()

TABLE = {"secret": threading.Lock()}
settings = types.ModuleType("settings")
settings.lock, here.alone = threading.Lock(), threading.Lock()
place, other_place, third_place = Place(), Place(), Place()
far, near = threading.Condition(threading.Lock()), threading.Lock()
shut = threading.Lock()
for each in (other_place.slot, shut):
    each.acquire()
for _ in range(3000):  # until its code is specialised
    by_acquire(third_place, ())

threading.Thread(target=by_acquire, args=[Place(), [other_place], False], daemon=True).start()
guard, aside, stacked, beyond = Guard(), Store(), threading.Lock(), Store()
threading.Thread(target=here.fill, args=[there], daemon=True).start()
threading.Thread(target=here.empty, args=[there], daemon=True).start()
threading.Thread(target=here.expect, daemon=True).start()
threading.Thread(target=here.expect_more, daemon=True).start()
for work in (over_and_under, under_and_over, baton, managed, by_generator, given_back):
    threading.Thread(target=work, daemon=True).start()
for work in (Place.by_class, place.by_instance):
    threading.Thread(target=work, daemon=True).start()
os.write(1, b"ready\\n")
os.read(0, 1)
"""
WAITING = {
    "over_and_under",
    "under_and_over",
    "baton",
    "fill",
    "empty",
    "expect",
    "expect_more",
    "managed",
    "by_class",
    "by_instance",
    "by_acquire",
    "by_generator",
    "given_back",
}


@pytest.fixture(params=VERSIONS)
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
    """The threads by their functions, once they sleep for their locks."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        stacks = {function_of(stack): stack for stack in python_stacks.read_stacks(pid).threads}
        asleep = {name for name, stack in stacks.items() if isinstance(stack.waits_for, Known)}
        if asleep == WAITING:
            return stacks
        time.sleep(0.05)
    raise AssertionError("they do not wait for their locks")


def function_of(stack: ThreadStack) -> str:
    """The innermost of the program's own; nothing while the thread runs and shows none."""
    own = [frame.function for frame in stack.python if frame.file.endswith("/locks.py")]
    return own[-1] if own else ""


def lock_of(stack: ThreadStack) -> PythonLock:
    assert isinstance(stack.waits_for, Known)
    return stack.waits_for.value


def owner_of(lock: PythonLock) -> int:
    return lock.owner.value if isinstance(lock.owner, Known) else 0


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
    assert lock_of(stacks["baton"]).kind == "Lock" and held_by(stacks["baton"]) == []


def test_names(process: subprocess.Popen[bytes]) -> None:
    stacks = waiting(process.pid)
    (ready,), (lock,) = held_by(stacks["fill"]), held_by(stacks["empty"])
    assert (ready.name, ready.of) == ("self._ready", "Store")
    assert (lock.name, lock.of) == ("other._lock", "Store")
    waits, other = lock_of(stacks["fill"]), lock_of(stacks["empty"])
    assert (waits.name, waits.of, waits.function) == ("other._lock", "Store", "fill")
    assert (other.name, other.of, other.function) == ("self._ready", "Store", "empty")
    assert waits.address == lock.address and other.address == ready.address
    assert lock_of(stacks["over_and_under"]).name == "second"
    assert [each.name for each in held_by(stacks["over_and_under"])] == ["first"]
    baton = lock_of(stacks["baton"])
    assert (baton.name, baton.of) == ("gate.lock", "Gate")


def test_names_of_what_is_kept_elsewhere(process: subprocess.Popen[bytes]) -> None:
    stacks = waiting(process.pid)
    by_class, by_instance = lock_of(stacks["by_class"]), lock_of(stacks["by_instance"])
    assert (by_class.name, by_class.of) == ("cls.of_class", "Place")
    assert (by_instance.name, by_instance.of) == ("self.own", "Place")
    assert [(each.name, each.of) for each in held_by(stacks["by_instance"])] == [
        ("self.slot", "Place"),
        ("self.many[1]", "Place"),
        ("TABLE[...]", ""),
        ("settings.lock", ""),
        ("self.far.alone", "Store"),
    ]


def test_locks_taken_by_acquire(process: subprocess.Popen[bytes]) -> None:
    stacks = waiting(process.pid)
    lines = PROGRAM.splitlines()
    found = {
        name: [
            (each.name, each.of, each.function, lines[each.line - 1].strip(), each.acquired)
            for each in held_by(stacks[name])
        ]
        for name in ("by_acquire", "by_generator", "given_back")
    }
    assert found == {
        "by_acquire": [("place.slot", "Place", "by_acquire", "place.slot.acquire()", True)],
        "by_generator": [("lock", "", "taken", "lock.acquire()", True)],
        "given_back": [],
    }


def test_locks_behind_context_managers(process: subprocess.Popen[bytes]) -> None:
    held = held_by(waiting(process.pid)["managed"])
    lines = PROGRAM.splitlines()
    found = [(each.name, each.function, lines[each.line - 1].strip()) for each in held]
    line = "with Client() as client, guard, aside.opened(), contextlib.ExitStack() as stack:"
    assert found == [
        ("guard", "managed", line),
        ("self._lock", "opened", "with self._lock:"),
        ("stacked", "managed", line),
        ("self._lock", "opened", "with self._lock:"),
    ]
    assert {each.kind for each in held} == {"Lock"}


class Torn(Memory):
    """Memory in which now and then a read shows a byte that somebody has just changed."""

    def __init__(self, pid: int, directory: int, chance: Random) -> None:
        super().__init__(pid, directory)
        self._chance = chance

    def read(self, address: int, size: int) -> bytes:
        data = bytearray(super().read(address, size))
        if size and self._chance.random() < 0.05:
            data[self._chance.randrange(size)] = self._chance.randrange(256)
        return bytes(data)


def test_torn_memory_never_invents_a_lock_or_an_owner(process: subprocess.Popen[bytes]) -> None:
    truth = {
        stack.tid: lock_of(stack)
        for stack in waiting(process.pid).values()
        if isinstance(stack.waits_for, Known)
    }
    directory = os.open(f"/proc/{process.pid}", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for seed in range(100):
            with Memory(process.pid, directory) as memory:
                library = library_of(memory)
                assert library is not None
                python = interpreter_of(memory, library)
                threads = read_threads(memory, python, thread_ids(directory))
            idents = {thread.ident: thread.own_tid for thread in threads}
            with Torn(process.pid, directory, Random(seed)) as torn:
                objects = LockObjects(memory=torn, python=python)
                locks = LockReader(objects=objects, tids=idents, source="")
                holders = HolderReader(objects=objects, source="")
                for thread in threads:
                    holders.held(thread)
                    lock = truth.get(thread.own_tid)
                    found = locks.waited_for(thread, lock.word) if lock else None
                    if lock and isinstance(found, Known):
                        assert found.value.address == lock.address
                        assert owner_of(found.value) in (0, owner_of(lock))
    finally:
        os.close(directory)


def test_a_condition_that_waits_for_a_notice_has_given_its_lock_back(
    process: subprocess.Popen[bytes],
) -> None:
    stacks = waiting(process.pid)
    for expecting in (stacks["expect"], stacks["expect_more"]):
        assert held_by(expecting) == []
        assert lock_of(expecting).function == "wait"
