"""Samples of where a run spends its time, taken from outside while it runs.

Each sample stands for the time since the one before. Reading a stack costs the process nothing but
the processor that the reader uses, so the reader tries to use at most a fifth of one. A stack that
broke because the process went on meanwhile is not a sample.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from deadlock_matrix.capture.collector import Collector
from deadlock_matrix.capture.glance import Glance
from deadlock_matrix.capture.python_frames import BROKEN
from deadlock_matrix.errors import CaptureError
from deadlock_matrix.model.diagnosis import Sample
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.process_facts import ProcessFacts
from deadlock_matrix.model.stack_facts import ThreadStack
from deadlock_matrix.model.system_calls import WaitsFor, blocking

EVERY_S = 0.02
SELDOM_S = 0.25  # at least this often, however long a read takes
SHARE = 4
"""The reader rests this many times as long as it worked."""

LOOK_AFTER_S = 0.3
"""In one place for this long, it is worth a look at what it waits for."""

TELL_EVERY_S = 2.0
_WITHOUT_DESCRIPTOR = {
    WaitsFor.TIME: "its own sleep",
    WaitsFor.CHILD: "a child process",
    WaitsFor.WORD: "a lock",
    WaitsFor.FILE: "a file to be opened",
}
_WAITS = {"read": "data from", "pread": "data from", "write": "room in", "pwrite": "room in",
          "flock": "the lock of", "fcntl": "the lock of", "fsync": "the disk under"}  # fmt: skip
_Key = tuple[object, ...]


@dataclass
class _Place:
    frames: tuple[PythonFrame, ...]
    call: str
    seconds: float = 0.0
    times: int = 0
    detail: str = ""
    looked: bool = False

    def sample(self) -> Sample:
        return Sample(
            frames=self.frames,
            call=self.call,
            detail=self.detail,
            seconds=self.seconds,
            times=self.times,
        )


class Sampler:
    """Collects the samples of one run."""

    def __init__(self, tell: Callable[[Sample, float], None] = lambda sample, s: None) -> None:
        """Prepare; nothing is taken yet.

        Args:
            tell: Called now and then, with where the run is, and the seconds that it has taken.
        """
        self._tell = tell
        self._places: dict[_Key, _Place] = {}
        self._last = 0.0
        self._next = 0.0
        self._next_told = 0.0
        self._began = 0.0

    def samples(self) -> tuple[Sample, ...]:
        """Return what was taken, one sample for each place."""
        return tuple(place.sample() for place in self._places.values())

    def take(self, collector: Collector, pid: int, glance: Glance) -> None:
        """Take a sample if it is time for one.

        Args:
            collector: Reads the stacks.
            pid: The process.
            glance: The latest glance at its main thread.
        """
        now = time.monotonic()
        if not self._last:
            self._began = self._last = now
            self._next_told = now + TELL_EVERY_S
        if now < self._next:
            return
        worked = collector.cpu_s()
        call = _call(glance)
        stack = _deepest(collector, pid, asleep=bool(call))
        worked = collector.cpu_s() - worked
        self._next = time.monotonic() + min(max(EVERY_S, worked * SHARE), SELDOM_S)
        if stack is None:
            return
        call = call if stack.tid == pid else ""
        frames = tuple(_without_values(frame) for frame in stack.python)
        key = (call, *((f.file, f.line, f.function, *f.values.values()) for f in frames))
        place = self._places.setdefault(key, _Place(frames=frames, call=call))
        place.seconds += now - self._last
        place.times += 1
        self._last = now
        if place.seconds > LOOK_AFTER_S and not place.looked and call:
            place.looked = True
            place.detail = _detail(collector, pid)
        if now >= self._next_told:
            self._next_told = now + TELL_EVERY_S
            self._tell(place.sample(), now - self._began)


def _deepest(collector: Collector, pid: int, *, asleep: bool) -> ThreadStack | None:
    """Return the main thread or, if that is asleep, the thread that is deepest in imports."""
    try:
        (facts,) = collector.python_stacks([pid])
    except (CaptureError, ValueError):
        return None
    if not isinstance(facts.stacks, Known):
        return None
    threads = [each for each in facts.stacks.value.threads if each.python]
    if any(frame.function == BROKEN for each in threads for frame in each.python):
        return None

    def depth(thread: ThreadStack) -> tuple[bool, int, bool]:
        main = thread.tid == pid
        imports = sum(frame.function == "_find_and_load" for frame in thread.python)
        return main and not asleep, imports, main

    return max(threads, key=depth, default=None)


def _without_values(frame: PythonFrame) -> PythonFrame:
    """Return the frame with only the name of the module that it imports; the rest is for proofs."""
    name = {"name": frame.values["name"]} if "name" in frame.values else {}
    return replace(frame, values=name)


def _call(glance: Glance) -> str:
    """Return the system call that the main thread sleeps in, by its number; empty if it runs."""
    if glance.state not in "SD" or not glance.syscall or glance.syscall.startswith("running"):
        return ""
    return glance.syscall.split(None, 1)[0]


def _detail(collector: Collector, pid: int) -> str:
    """Say what the main thread waits for."""
    try:
        snapshot = collector.snapshot([pid])
    except CaptureError:
        return ""
    process = next((each for each in snapshot.processes if each.pid == pid), None)
    return _waits_for(process) if process is not None else ""


def _waits_for(process: ProcessFacts) -> str:
    thread = next((each for each in process.threads if each.tid == process.pid), None)
    call = thread.call if thread is not None else None
    if call is None:
        return ""
    row = blocking(call.name)
    if row.waits_for in _WITHOUT_DESCRIPTOR:
        return _WITHOUT_DESCRIPTOR[row.waits_for]
    peers = process.peers.or_else(())
    tcp = [peer.other for peer in peers if peer.protocol == "TCP"]
    if tcp:
        return f"the network, {tcp[0]}"
    descriptors = process.descriptors.or_else(())
    target = next((each.target for each in descriptors if each.number == call.arguments[0]), "")
    if row.of_sockets:
        return "the network"
    for start, words in _WAITS.items():
        if call.name.startswith(start) and target:
            return f"{words} {target}"
    return ""
