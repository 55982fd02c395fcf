"""The threads of a ``ThreadPoolExecutor``, and which of them will complete a ``Future``.

A worker is in ``_worker(executor_reference, ..., work_queue)``; while it works, a frame further in
is ``run`` of a ``_WorkItem``, which has the ``Future``. Work that waits for a worker is a
``_WorkItem`` in the ``SimpleQueue`` (``Lib/concurrent/futures/thread.py``; the queue's layout is
that of ``Modules/_queuemodule.c``: a list up to 3.12, a ring from 3.13 on).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from deadlock_matrix.capture.frame_variables import variables_of
from deadlock_matrix.capture.lock_objects import LockObjects
from deadlock_matrix.capture.memory import Unreadable
from deadlock_matrix.capture.python_frames import PythonThread
from deadlock_matrix.capture.python_names import attribute_of
from deadlock_matrix.capture.python_values import text_of_value
from deadlock_matrix.model.stack_facts import How

_FILE = "/concurrent/futures/thread.py"
MOST_ITEMS = 4096
_REFERENT_AT = 0  # of a weakref, behind the header


class Runners(msgspec.Struct, frozen=True, kw_only=True):
    """The threads that could complete a future, by ident; ``how``: ``runner`` or ``pool``."""

    idents: tuple[int, ...]
    how: How


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A thread of a pool: the queue from which it takes work, and what it works on, or 0."""

    queue: int
    executor: int
    future: int


class PoolReader(msgspec.Struct, kw_only=True):
    """Reads the pools of one process."""

    objects: LockObjects
    _queued: dict[int, frozenset[int]] = msgspec.field(default_factory=dict)

    def workers(self, threads: Sequence[PythonThread]) -> dict[int, Worker]:
        """Return the threads of all pools, by ident. What cannot be read does not count as one."""
        found: dict[int, Worker] = {}
        for thread in threads:
            try:
                worker = self._worker(thread)
            except (Unreadable, ValueError):
                continue
            if worker is not None:
                found[thread.ident] = worker
        return found

    def runners(
        self, future: int, threads: Sequence[PythonThread], workers: Mapping[int, Worker]
    ) -> Runners | None:
        """Return who runs a future's work, or all who may; None if no known pool has it."""
        running = tuple(ident for ident, each in workers.items() if each.future == future)
        if running:
            return Runners(idents=running, how="runner")
        by_queue: dict[int, list[int]] = {}
        for ident, worker in workers.items():
            by_queue.setdefault(worker.queue, []).append(ident)
        for queue, idents in by_queue.items():
            try:
                if future not in self._futures_in(queue):
                    continue
                if len(idents) < self._most(workers[idents[0]].executor):
                    return None  # the next caller to submit anything adds a thread
            except (Unreadable, ValueError):
                continue
            return Runners(idents=tuple(idents), how="pool")
        return None

    def _worker(self, thread: PythonThread) -> Worker | None:
        memory, python = self.objects.memory, self.objects.python
        queue = executor = future = 0
        for frame, address in zip(thread.frames, thread.addresses, strict=True):
            if address is None or not frame.file.endswith(_FILE):
                continue
            if frame.function == "_worker":
                own = dict(variables_of(memory, python, address))
                queue = own.get("work_queue", 0)
                reference = own.get("executor_reference", 0)
                if reference:
                    executor = memory.number(reference + python.layout.header + _REFERENT_AT)
            elif frame.function == "run" and queue:
                item = dict(variables_of(memory, python, address)).get("self", 0)
                future = attribute_of(memory, python, item, "future") if item else 0
        return Worker(queue=queue, executor=executor, future=future) if queue else None

    def _most(self, executor: int) -> int:
        """Return how many threads a pool may have.

        Raises:
            Unreadable: It is not known.
        """
        memory, python = self.objects.memory, self.objects.python
        if not executor:
            raise Unreadable("no executor")
        value = attribute_of(memory, python, executor, "_max_workers")
        return int(text_of_value(memory, python.layout, value, python.version >= (3, 12)))

    def _futures_in(self, queue: int) -> frozenset[int]:
        """Return the futures whose work is in a pool's queue."""
        if queue not in self._queued:
            self._queued[queue] = self._read_futures(queue)
        return self._queued[queue]

    def _read_futures(self, queue: int) -> frozenset[int]:
        if self.objects.type(queue) != "_queue.SimpleQueue":
            raise Unreadable("no queue of a pool")
        memory, python = self.objects.memory, self.objects.python
        return frozenset(
            attribute_of(memory, python, item, "future")
            for item in self._items(queue)
            if self.objects.type(item).endswith("_WorkItem")
        )

    def _items(self, queue: int) -> tuple[int, ...]:
        header = self.objects.python.layout.header
        if self.objects.python.version >= (3, 13):
            _, put, get, items, room, count = self.objects.words(queue + header, 6)
            if not 0 <= count <= min(room, MOST_ITEMS) or max(put, get) > room or not room:
                raise Unreadable("no ring in the queue")
            words = self.objects.words(items, room) if room <= MOST_ITEMS else ()
            return tuple(words[(get + at) % room] for at in range(count)) if words else ()
        _, _, table, begin = self.objects.words(queue + header, 4)
        if self.objects.type(table) != "list":
            raise Unreadable("no list in the queue")
        size, items = self.objects.words(table + header, 2)
        if not begin <= size <= MOST_ITEMS:
            raise Unreadable("too much work in the queue")
        return self.objects.words(items, size)[begin:] if size > begin else ()
