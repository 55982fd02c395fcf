"""Who knows an object: by what containers, and what nobody but its own thread looks into."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from pythons import interpreter

from deadlock_matrix.capture import python_stacks
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.stack_facts import Enders, ThreadStack

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs procfs"),
    pytest.mark.timeout(120),
]

PROGRAM = """\
import collections, os, sys, threading

class Row:
    def __init__(self, events):
        self.events = events

class Derived(threading.Thread):
    pass

def keep(how, event):
    if how == "dictionary": return {"a": event}
    if how == "keys of a dictionary": return {event: "a"}
    if how == "default dictionary": return collections.defaultdict(list, a=event)
    if how == "ordered dictionary": return collections.OrderedDict(a=event)
    if how == "set": return {event}
    if how == "frozen set": return frozenset([event])
    if how == "deque": return collections.deque([event])
    if how == "list of 100": return [threading.Event() for _ in range(99)] + [event]
    if how == "tuple": return (event,)
    if how == "attribute": return Row({"a": event})
    if how == "numbers": return list(range(100000))
    if how == "long list": return [threading.Event() for _ in range(999)] + [event]
    if how == "long dictionary": return dict(enumerate([threading.Event()] * 999 + [event]))
    if how == "long attribute": return Row([threading.Event()] * 999 + [event])

def work(ready, begun):
    begun.set()
    ready.wait()

def supervise(threads):
    for thread in threads:
        thread.join()

def begin(how):
    ready, begun = threading.Event(), threading.Event()
    kind = Derived if how == "derived thread" else threading.Thread
    worker = kind(target=work, name="worker", args=(ready, begun), daemon=True)
    worker.start()
    begun.wait()
    threading.Thread(target=supervise, name="joins", args=([worker],), daemon=True).start()
    return keep(how, ready)

def wait(kept):
    os.write(1, b"ready\\n")
    os.read(0, 1)

wait(begin(sys.argv[1]))
"""
KEPT = (
    *("dictionary", "keys of a dictionary", "default dictionary", "ordered dictionary", "set"),
    *("frozen set", "deque", "list of 100", "tuple", "attribute"),
)
TOO_LONG = ("long list", "long dictionary", "long attribute")


def stacks_of(version: str, how: str, folder: Path) -> dict[str, ThreadStack]:
    """The stacks of all threads, once the worker waits and is joined."""
    script = folder / "rows.py"
    script.write_text(PROGRAM)
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
            threads = python_stacks.read_stacks(process.pid).threads
            stacks = {each.name or "main": each for each in threads}
            stacks["main"] = next(each for each in threads if each.tid == process.pid)
            waits = [stacks[name].awaits for name in ("worker", "joins") if name in stacks]
            kinds = [each.value.kind for each in waits if isinstance(each, Known)]
            if kinds == ["Event", "Thread"]:
                return stacks
            time.sleep(0.02)
        raise AssertionError(f"they do not wait: {stacks}")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", KEPT)
@pytest.mark.parametrize("version", ["3.8", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"])
def test_what_containers_have(version: str, how: str, tmp_path: Path) -> None:
    stacks = stacks_of(version, how, tmp_path)
    found = stacks["worker"].enders
    assert isinstance(found, Known), found
    assert found.value == Enders(threads=(stacks["main"].tid,), how="users")


@pytest.mark.parametrize("how", TOO_LONG)
@pytest.mark.parametrize("version", ["3.8", "3.11", "3.13", "3.15"])
def test_who_has_too_much_may_know_it(version: str, how: str, tmp_path: Path) -> None:
    found = stacks_of(version, how, tmp_path)["worker"].enders
    assert not isinstance(found, Known) and "more objects than" in found.reason, found


@pytest.mark.parametrize("how", ["nothing", "numbers"])
@pytest.mark.parametrize("version", ["3.8", "3.11", "3.13", "3.15"])
def test_who_joins_a_thread_does_not_use_what_it_works_on(
    version: str, how: str, tmp_path: Path
) -> None:
    found = stacks_of(version, how, tmp_path)["worker"].enders
    assert isinstance(found, Known) and found.value.threads == (), found


def test_a_class_of_its_own_may_use_that(tmp_path: Path) -> None:
    stacks = stacks_of("3.11", "derived thread", tmp_path)
    found = stacks["worker"].enders
    # The target's own frame has the Thread object in neither case; the one that joins has it.
    assert isinstance(found, Known) and stacks["joins"].tid in found.value.threads, found
