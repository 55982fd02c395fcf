"""Cells side by side on this machine, each watched by a thread of this process."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from deadlock_matrix.errors import RunError
from deadlock_matrix.grid.engine import Finished, Started
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.observation import CellResult

MARGIN_S = 90.0  # for evidence, and for ending a process tree that resists
_LOOK_S = 5.0
_CLOSE_S = 5.0

Run = Callable[[Cell], CellResult]


class LocalEngine:
    """As many threads as cells may run at once; they wait, so one process is enough for dozens."""

    def __init__(self, run: Run, jobs: int, give_up: Callable[[], None] = lambda: None) -> None:
        """Prepare; start nothing yet.

        Args:
            run: Runs one cell; called from several threads at once.
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

    def run(self, cells: Sequence[Cell]) -> Iterator[Started | Finished]:
        """See `Engine.run`. A cell that comes back long after its deadline is given up."""
        for cell in cells:
            self._waiting.put(cell)
        for number in range(min(self._jobs, len(cells))):
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
            cell = self._waiting.get()
            if cell is None or self._closed.is_set():
                return
            self._told.put(Started(cell.id))
            try:
                result: CellResult | Exception = self._run(cell)
            except Exception as error:  # it is raised where the result is taken
                result = error
            self._told.put(Finished(cell.id, result))
