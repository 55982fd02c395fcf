"""Tasks of asyncio out of memory, on every version: what each awaits, its line, who holds what."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pythons import WITH_GIL, interpreter

from deadlock_matrix.capture import python_stacks
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.tasks import EventLoop, Task, TaskAwaits

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(120),
]

PROGRAM = """\
import asyncio
import copy
import os
import socket
import sys
import threading
import weakref

sys.path.insert(0, os.path.dirname(__file__))
from app.asyncio.locks import Event as OwnEvent

replies = weakref.WeakValueDictionary()
registry = []

class Store:
    def __init__(self):
        self._lock = asyncio.Lock()

    async def take(self, other):
        async with self._lock:
            await asyncio.sleep(0)
            async with other._lock:
                pass

async def hold(what):
    async with what:
        await asyncio.get_running_loop().create_future()

async def acquire(what):
    await asyncio.sleep(0)
    async with what:
        pass

async def wait(what):
    await what.wait()

async def notified(condition):
    async with condition:
        await condition.wait()

async def get(queue):
    await queue.get()

async def bare(what):
    return await what

async def together(*tasks):
    await asyncio.gather(*tasks)

async def any_of(*tasks):
    await asyncio.wait(tasks)

async def within(task):
    await asyncio.wait_for(task, 3600)

async def receive(ours):
    await asyncio.get_running_loop().sock_recv(ours, 1)

async def job(started):
    def read():
        started.set()
        os.read(0, 1)
    await asyncio.get_running_loop().run_in_executor(None, read)

async def numbers():
    await asyncio.get_running_loop().create_future()
    yield 1

async def expected():
    reply = replies[1] = asyncio.get_running_loop().create_future()
    await reply

async def expected_by_a_method():
    event = asyncio.Event()
    replies[2] = event
    await event.wait()

class State:
    def __init__(self):
        self.ready = asyncio.Event()

class Shared:
    attributes = {}

    def __init__(self):
        self.__dict__ = self.attributes

async def by_its_dictionary():
    state = State()
    attributes = vars(state)
    await state.ready.wait()

async def by_a_registered_dictionary():
    state = State()
    registry.append(vars(state))
    await state.ready.wait()

async def by_a_shared_dictionary():
    shared = Shared()
    shared.ready = asyncio.Event()
    await shared.ready.wait()

async def by_a_copy():
    condition = asyncio.Condition()
    registry.append(copy.copy(condition))
    async with condition:
        await condition.wait()

async def by_its_future():
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.create_future = created
    await event.wait()

def created():
    loop = asyncio.get_running_loop()
    del loop.create_future
    future = loop.create_future()
    registry.append(future)
    return future

async def iterate():
    async for _ in numbers():
        pass

async def main():
    def start(coroutine, name):
        task = asyncio.ensure_future(coroutine)
        task.set_name(name)
        return task

    loop = asyncio.get_running_loop()
    one, other, semaphore = Store(), Store(), asyncio.Semaphore(1)
    condition, started, pair = asyncio.Condition(), threading.Event(), socket.socketpair()
    pair[0].setblocking(False)
    end = start(bare(loop.create_future()), "future")
    tasks = [
        end,
        start(one.take(other), "one"),
        start(other.take(one), "other"),
        start(hold(semaphore), "holder"),
        start(acquire(semaphore), "semaphore"),
        start(wait(asyncio.Event()), "event"),
        start(notified(condition), "condition"),
        start(get(asyncio.Queue()), "queue"),
        start(bare(end), "task"),
        start(together(end, end), "gather"),
        start(any_of(end), "wait"),
        start(within(end), "wait_for"),
        start(asyncio.sleep(3600), "sleep"),
        start(receive(pair[0]), "socket"),
        start(job(started), "job"),
        start(iterate(), "generator"),
        start(expected(), "weak"),
        start(expected_by_a_method(), "weak event"),
        start(by_its_dictionary(), "dictionary"),
        start(by_a_registered_dictionary(), "registered dictionary"),
        start(by_a_shared_dictionary(), "shared dictionary"),
        start(by_a_copy(), "copied condition"),
        start(by_its_future(), "registered future"),
        start(wait(OwnEvent()), "own event"),
    ]
    while not started.is_set():
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    print("ready", flush=True)
    await asyncio.wait(tasks)

asyncio.run(main())
"""

OWN_EVENT = """\
import asyncio

class Event:
    async def wait(self):
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(3600, future.set_result, None)
        await future
"""
"""A file of the program's own that is called like one of asyncio's."""


@pytest.fixture(params=WITH_GIL)
def process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    script = tmp_path / "tasks.py"
    script.write_text(PROGRAM)
    own = tmp_path / "app" / "asyncio" / "locks.py"
    own.parent.mkdir(parents=True)
    own.write_text(OWN_EVENT)
    command = [interpreter(request.param), "-I", str(script)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    yield started
    started.kill()
    started.communicate()


def loop_of(pid: int) -> EventLoop:
    """The loop, once its main task waits too."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        loops = python_stacks.read_stacks(pid).loops
        for loop in loops.value if isinstance(loops, Known) else ():
            if all(task.steady and isinstance(task.awaits, Known) for task in loop.tasks):
                return loop
        time.sleep(0.05)
    raise AssertionError("they do not come to rest")


def awaits(task: Task) -> TaskAwaits:
    assert isinstance(task.awaits, Known), (task.name, task.awaits)
    return task.awaits.value


def line_of(text: str) -> int:
    return PROGRAM[: PROGRAM.index(text)].count("\n") + 1


def own_line(task: Task) -> int:
    return next(each.line for each in reversed(task.frames) if each.file.endswith("/tasks.py"))


def test_what_every_task_awaits(process: subprocess.Popen[bytes]) -> None:
    loop = loop_of(process.pid)
    assert loop.tid == process.pid and loop.what == "_UnixSelectorEventLoop"
    tasks = {task.name: task for task in loop.tasks}
    kinds = {name: awaits(task).kind for name, task in tasks.items() if "Task" not in name}
    expected = {
        "future": "future", "one": "lock", "other": "lock", "holder": "future",
        "semaphore": "semaphore", "event": "event", "condition": "condition", "queue": "queue",
        "task": "task", "gather": "gather", "wait": "tasks", "sleep": "timer", "socket": "io",
        "job": "executor", "generator": "future", "weak": "future", "weak event": "event",
        "dictionary": "event", "registered dictionary": "event", "shared dictionary": "event",
        "copied condition": "condition", "registered future": "event", "own event": "future",
    }  # fmt: skip
    limited = {name for name, task in tasks.items() if task.limited or awaits(task).limited}
    assert kinds.pop("wait_for") in ("tasks", "task") and "wait_for" in limited
    assert kinds == expected
    assert limited == {"wait_for", "sleep"}


def test_locks_and_who_is_inside(process: subprocess.Popen[bytes]) -> None:
    tasks = {task.name: task for task in loop_of(process.pid).tasks}
    (one,), (other,), (holder,) = (tasks[name].inside for name in ("one", "other", "holder"))
    assert awaits(tasks["one"]).address == other.address
    assert awaits(tasks["other"]).address == one.address
    assert awaits(tasks["semaphore"]).address == holder.address
    assert (one.name, one.of, one.line) == ("self._lock", "Store", line_of("async with self._lock"))
    assert awaits(tasks["one"]).name == "other._lock" and awaits(tasks["one"]).busy
    assert own_line(tasks["one"]) == line_of("async with other._lock")
    assert tasks["condition"].inside == ()  # while it waits, it has given the lock back
    assert awaits(tasks["condition"]).name == "condition"


def test_tasks_that_wait_for_tasks(process: subprocess.Popen[bytes]) -> None:
    tasks = {task.name: task for task in loop_of(process.pid).tasks}
    end = tasks["future"].address
    for name in ("task", "gather", "wait"):
        assert awaits(tasks[name]).tasks == (end,), name
    assert [frame.function for frame in tasks["generator"].frames] == ["iterate", "numbers"]
    assert awaits(tasks["job"]).thread not in (0, process.pid)


def test_who_has_a_reference_to_what_they_wait_for(process: subprocess.Popen[bytes]) -> None:
    loop = loop_of(process.pid)
    tasks = {task.name: task for task in loop.tasks}
    for name in ("queue", "event", "holder", "generator", "condition", "dictionary"):
        found = awaits(tasks[name])
        own = {tasks[name].address, *([loop.main] if name == "condition" else [])}
        assert set(found.known_to) == own and not found.known_to_others, name
    for name in ("weak", "weak event"):  # whoever looks it up may complete it
        assert awaits(tasks[name]).known_to_others, name
    for name in ("registered dictionary", "shared dictionary"):  # the event is a value of it
        assert awaits(tasks[name]).known_to_others, name
    for name in ("copied condition", "registered future", "own event"):  # its future has others
        assert awaits(tasks[name]).known_to_others, name
    assert tasks["future"].address in awaits(tasks["future"]).known_to
    assert loop.main == next(task.address for task in loop.tasks if task.name.startswith("Task"))


def test_inspect_tells_them(process: subprocess.Popen[bytes]) -> None:
    command = [sys.executable, "-m", "deadlock_matrix", "inspect", str(process.pid)]
    text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert text.returncode == 36
    first = text.stdout.partition("\n")[0]
    assert "task 'one' in take" in first and "waits for Lock other._lock of Store" in first
    assert "held by task 'other'" in first
    shown = subprocess.run([*command, "--json"], capture_output=True, timeout=60, check=False)
    document: dict[str, Any] = json.loads(shown.stdout)
    told = {each["name"]: each for each in document["tasks"]}
    assert {name for name, each in told.items() if each["core"]} == {"task 'one'", "task 'other'"}
    (held,) = told["task 'one'"]["held_by"]
    assert held["name"] == "task 'other'" and "inside `async with self._lock`" in held["how"]


HELD_ACROSS = Path(__file__).parents[2] / "repro/scenarios/asyncio-lock-held-across-an-await"


@pytest.mark.parametrize("version", WITH_GIL)
def test_the_task_that_keeps_a_lock_of_threads_is_named(version: str) -> None:
    script = HELD_ACROSS / "held_across_an_await.py"
    command = [sys.executable, "-m", "deadlock_matrix", "watch", "--timeout", "60", "--"]
    command += [interpreter(version), "-I", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 35
    line = script.read_text().partition("with lock")[0].count("\n") + 1
    where = f"(held_across_an_await.py:{line})"
    assert f" in update {where} is stuck for good" in done.stderr
    assert f"held by task 'first' (inside `with lock` at held_across_an_await.py:{line})" in (
        done.stderr
    )
