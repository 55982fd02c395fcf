"""Cells side by side on this machine, each watched by a thread of this process."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from deadlock_matrix.errors import RunError
from deadlock_matrix.grid.engine import Finished, Started
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.observation import CellResult

MARGIN_S = 90.0  # for evidence, and for ending a process tree that resists
_LOOK_S = 5.0
_CLOSE_S = 5.0

Run = Callable[[Cell, Callable[[], None]], CellResult]


class _Slot:
    """The place of one cell among those that run at once."""

    def __init__(self, free: queue.SimpleQueue[None]) -> None:
        """Take one that is free; wait for it if need be."""
        self._free = free
        self._taken = [free.get()]

    def leave(self) -> None:
        """Let the next cell have it; whoever calls this again, in any thread, does nothing."""
        with suppress(IndexError):
            self._taken.pop()
            self._free.put(None)


class LocalEngine:
    """Some more threads than cells may run at once; they wait, so one process runs dozens of cells.

    While a thread reads what a cell has left, another starts the next cell.
    """

    def __init__(self, run: Run, jobs: int, give_up: Callable[[], None] = lambda: None) -> None:
        """Prepare; start nothing yet.

        Args:
            run: Runs one cell; called from several threads at once. It may call what it is given,
                once the cell's processes have ended: then another cell may start.
            jobs: How many cells to run at once.
            give_up: Makes the running calls end soon.
        """
        self._run = run
        self._jobs = jobs
        self._give_up = give_up
        self._waiting: queue.SimpleQueue[Cell | None] = queue.SimpleQueue()
        self._told: queue.SimpleQueue[Started | Finished] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []
        self._free: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(jobs):
            self._free.put(None)
        self._slots: dict[str, _Slot] = {}

    def run(self, cells: Sequence[Cell]) -> Iterator[Started | Finished]:
        """See `Engine.run`. A cell that comes back long after its deadline is given up."""
        for cell in cells:
            self._waiting.put(cell)
        more = 1 + self._jobs // 8
        for number in range(min(self._jobs + more, len(cells))):
            self._start(f"cell-{number}")
        by_id = {cell.id: cell for cell in cells}
        overdue: dict[str, float] = {}
        while by_id:
            try:
                told = self._told.get(timeout=_LOOK_S)
            except queue.Empty:
                late = [id_ for id_, end in overdue.items() if time.monotonic() > end]
                for id_ in late:
                    del overdue[id_], by_id[id_]
                    self._slots[id_].leave()
                    self._start(f"instead of {id_}")  # its thread is lost
                    yield Finished(id_, RunError(f"no result of {id_} came after its deadline"))
                continue
            if told.cell not in by_id:
                continue  # given up before
            if isinstance(told, Started):
                overdue[told.cell] = time.monotonic() + by_id[told.cell].deadline_s + MARGIN_S
            else:
                del overdue[told.cell], by_id[told.cell]
            yield told

    def close(self) -> None:
        """See `Engine.close`."""
        if self._closed.is_set():
            return
        self._closed.set()
        for _ in self._threads:
            self._waiting.put(None)
            self._free.put(None)
        if any(thread.is_alive() for thread in self._threads):
            self._give_up()
        end = time.monotonic() + _CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _start(self, name: str) -> None:
        # A thread that hangs must not keep the process from ending.
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while not self._closed.is_set():
            slot = _Slot(self._free)
            cell = self._waiting.get()
            if cell is None or self._closed.is_set():
                return
            self._slots[cell.id] = slot
            self._told.put(Started(cell.id))
            try:
                result: CellResult | Exception = self._run(cell, slot.leave)
            except Exception as error:  # it is raised where the result is taken
                result = error
            slot.leave()
            self._told.put(Finished(cell.id, result))
