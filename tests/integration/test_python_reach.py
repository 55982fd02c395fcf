"""Counts of references: who can get to an object at all, and what hides one."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from pythons import interpreter

from deadlock_matrix.capture import python_stacks
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.stack_facts import ThreadStack

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(120),
]

PROGRAM = """\
import collections, copy, ctypes, functools, itertools, os, sys, threading, weakref
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

hidden = []

class Slots:
    __slots__ = ("desk",)

class Desk:
    def __init__(self):
        self.lock, self.done = threading.Lock(), threading.Event()
        self.inside = threading.Event()

    def serve(self):
        if sys.argv[1] == "frame":
            hidden.append(sys._getframe())
        with self.lock:
            self.inside.set()
            self.done.wait()

    def serve_noted(self):
        hand_on(self)

    def order(self):
        self.inside.wait()
        with self.lock:
            self.done.set()

def hand_on(desk):
    try:
        raise ValueError("noted")
    except ValueError as error:
        hidden.append(error.with_traceback(note(error)))
    desk.serve()

def note(error):
    try:
        raise error
    except ValueError:
        return error.__traceback__

def generate(desk):
    yield
    desk.done.set()

def hide(how, desk):
    if how == "global": return desk
    if how == "method": return desk.done.set
    if how == "deque": return collections.deque([desk])
    if how == "slots":
        slots = Slots()
        slots.desk = desk
        return slots
    if how == "weak reference": return weakref.ref(desk)
    if how == "weak reference to a part": return weakref.ref(desk.done)
    if how == "partial": return functools.partial(print, desk)
    if how == "generator":
        generator = generate(desk)
        next(generator)
        return generator
    if how == "iterator": return itertools.cycle([desk])
    if how == "ctypes": return ctypes.py_object(desk)
    if how == "dictionary": return vars(desk)
    if how == "condition of the event": return desk.done._cond
    if how == "copy of the condition": return copy.copy(desk.done._cond)
    if how == "waiters of the condition": return desk.done._cond._waiters

class Derived(threading.Thread):
    def stop(self):
        self._target.__self__.done.set()

class Job:
    def __init__(self, work):
        self.work = work

    def __call__(self):
        self.work()

def begin():
    desk = Desk()
    noted = sys.argv[1] == "traceback"
    works = [desk.serve_noted if noted else desk.serve, desk.order]
    kind = threading.Thread
    if sys.argv[1] == "thread of a derived class": kind = Derived
    if sys.argv[1] == "target of an own threading.py":
        import own.threading
        kind = own.threading.Thread
        works = [Job(work) for work in works]
        hidden.append(works)
    for name, work in zip(("serve", "order"), works):
        kind(target=work, name=name, daemon=True).start()
    hidden.append(hide(sys.argv[1], desk))

begin()
os.write(1, b"ready\\n")
os.read(0, 1)
"""
HIDERS = (
    *("global", "method", "deque", "slots", "weak reference", "weak reference to a part"),
    *("partial", "generator", "iterator", "ctypes", "dictionary", "condition of the event"),
    *("copy of the condition", "waiters of the condition"),
    *("frame", "traceback", "thread of a derived class", "target of an own threading.py"),
)
OWN_THREADING = """\
import threading

class Thread(threading.Thread):
    def run(self):
        super().run()
"""


def stacks_of(version: str, how: str, folder: Path) -> dict[str, ThreadStack]:
    """The stacks of both threads, once they wait for one another."""
    script = folder / "desk.py"
    script.write_text(PROGRAM)
    (folder / "own").mkdir()
    (folder / "own" / "threading.py").write_text(OWN_THREADING)
    process = subprocess.Popen(
        [interpreter(version), "-I", str(script), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        end = time.monotonic() + 30
        while time.monotonic() < end:
            stacks = {each.name: each for each in python_stacks.read_stacks(process.pid).threads}
            served, ordered = stacks.get("serve"), stacks.get("order")
            if served and ordered and isinstance(ordered.waits_for, Known):
                awaits = served.awaits
                if isinstance(awaits, Known) and awaits.value.name == "self.done":
                    return stacks
            time.sleep(0.02)
        raise AssertionError(f"they do not wait: {stacks}")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14", "3.15"])
def test_nobody_else_has_it(version: str, tmp_path: Path) -> None:
    stacks = stacks_of(version, "nothing", tmp_path)
    both = tuple(sorted((stacks["serve"].tid, stacks["order"].tid)))
    for name in ("serve", "order"):
        fact = stacks[name].reached
        assert isinstance(fact, Known) and fact.value == both, (name, fact)


@pytest.mark.parametrize("how", HIDERS)
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14", "3.15"])
def test_somebody_has_it(version: str, how: str, tmp_path: Path) -> None:
    stacks = stacks_of(version, how, tmp_path)
    both = [stacks["serve"].reached, stacks["order"].reached]
    assert not all(isinstance(fact, Known) for fact in both), both


@pytest.mark.parametrize("version", ["3.8", "3.10"])
def test_before_counts_are_not_used(version: str, tmp_path: Path) -> None:
    stacks = stacks_of(version, "nothing", tmp_path)
    assert not isinstance(stacks["serve"].reached, Known)


BEHIND_A_GENERATOR = """\
import os, sys, threading

stages = []
others = []

def wait_for(go):
    go.wait()

def join():
    others[0].join()

def join_in_turn():
    yield
    join()

def start(go):
    others.append(threading.Thread(target=wait_for, args=(go,), name="waits", daemon=True))
    others[0].start()

def drive():
    go = threading.Event()
    start(go)
    if sys.argv[1] == "function":
        join()
    else:
        stage = join_in_turn()
        if sys.argv[1] == "known generator":
            stages.append(stage)
        next(stage)
        next(stage)

threading.Thread(target=drive, name="drives", daemon=True).start()
os.write(1, b"ready\\n")
os.read(0, 1)
"""


@pytest.mark.parametrize("how", ["function", "generator", "known generator"])
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14", "3.15"])
def test_a_generator_leads_to_the_frames_further_out(
    version: str, how: str, tmp_path: Path
) -> None:
    script = tmp_path / "stages.py"
    script.write_text(BEHIND_A_GENERATOR)
    process = subprocess.Popen(
        [interpreter(version), "-I", str(script), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        end = time.monotonic() + 30
        while time.monotonic() < end:
            stacks = {each.name: each for each in python_stacks.read_stacks(process.pid).threads}
            waits = [stacks[name].awaits for name in ("waits", "drives") if name in stacks]
            kinds = [each.value.kind for each in waits if isinstance(each, Known)]
            if kinds == ["Event", "Thread"]:
                break
            time.sleep(0.02)
        else:
            raise AssertionError(f"they do not wait: {stacks}")
        fact = stacks["waits"].reached
        assert isinstance(fact, Known) == (how == "function"), fact
    finally:
        process.kill()
        process.communicate()
