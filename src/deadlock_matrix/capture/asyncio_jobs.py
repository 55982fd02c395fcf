"""Jobs of executors that tasks of asyncio wait for, and the threads that run them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from deadlock_matrix.capture.asyncio_layout import TaskLayout
from deadlock_matrix.capture.asyncio_objects import Objects
from deadlock_matrix.capture.frame_variables import variables_of
from deadlock_matrix.capture.python_frames import PythonThread

_FUTURE = "_asyncio.Future"
_JOBS = "/concurrent/futures/thread.py"
_MOST_CALLBACKS = 16


class JobReader(msgspec.Struct, kw_only=True):
    """Reads the jobs of one process."""

    objects: Objects
    layout: TaskLayout
    folder: str  # asyncio's own
    threads: tuple[PythonThread, ...]
    tids: Mapping[int, int]
    _jobs: dict[int, int] | None = None  # from concurrent futures to threads

    def concurrent(self, future: int) -> int:
        """Return the future of ``concurrent.futures`` whose result is copied into this one, or 0.

        A callback made by ``asyncio.futures._chain_future`` has it as ``source``.
        """
        for function in self._callbacks(future):
            if self.objects.type(function) != "function":
                continue
            for value in self._closed_over(function):
                if self.objects.type(value) == "Future" and not self.objects.descends_from(
                    value, _FUTURE
                ):
                    return value
        return 0

    def _callbacks(self, future: int) -> list[int]:
        first = self.objects.word(future + self.layout.first_callback)
        more = self.objects.word(future + self.layout.more_callbacks)
        found = [first] if first else []
        if more and self.objects.type(more) == "list":
            for pair in list(self.objects.members(more))[:_MOST_CALLBACKS]:
                found.extend(list(self.objects.members(pair))[:1])
        return found

    def _closed_over(self, function: int) -> list[int]:
        """Return the values of the outer function's variables that an inner function uses."""
        header = self.objects.python.layout.header
        closure = self.objects.closure(function)
        if not closure or self.objects.type(closure) != "tuple":
            return []
        cells = [
            each for each in self.objects.members(closure) if self.objects.type(each) == "cell"
        ]
        values = [self.objects.word(cell + header) for cell in cells]
        return [value for value in values if value]

    def thread_of(self, source: int) -> int:
        """Return the thread that runs the job of a concurrent future, by its ``_WorkItem.run``."""
        if self._jobs is None:
            self._jobs = {}
            for thread in self.threads:
                for frame, at in zip(thread.frames, thread.addresses, strict=True):
                    if at is None or frame.function != "run" or not frame.file.endswith(_JOBS):
                        continue
                    memory, python = self.objects.memory, self.objects.python
                    found = dict(variables_of(memory, python, at, ("self",)))
                    item = self.objects.attributes(found["self"]) if "self" in found else {}
                    if "future" in item:
                        self._jobs[item["future"]] = self.tids.get(thread.own_tid, 0)
        return self._jobs.get(source, 0)

    def thread_in(self, function: str) -> int:
        """Return the thread that is in a function of asyncio, or 0."""
        for thread in self.threads:
            if any(
                frame.function == function and frame.file.rpartition("/")[0] == self.folder
                for frame in thread.frames
            ):
                return self.tids.get(thread.own_tid, 0)
        return 0
