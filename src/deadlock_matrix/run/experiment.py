"""Runs cells for somebody who waits: two at once, progress told, within a budget of time."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from deadlock_matrix.model.cell import Cell, Interpreter, Profile, Stdin
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import CellResult, Exited, Signalled
from deadlock_matrix.run.capacity import jobs as capacity
from deadlock_matrix.run.cell import run_cell
from deadlock_matrix.run.environment import make_environment
from deadlock_matrix.run.process import Order
from deadlock_matrix.run.streams import Drain, Input
from deadlock_matrix.run.watchdog import Watchdog
from deadlock_matrix.run.workspace import Workspace

MOST_JOBS = 2
MEMORY_MIB = 1024  # of one cell: torch and transformers need some 700


class Experiment:
    """Workspaces, each used by one cell at a time; see `deadlock_matrix.diagnosis.investigation`.

    It is also the budget: the time begins when it is made.
    """

    def __init__(
        self,
        cache: Path,
        scratch: Path,
        *,
        fingerprint: Known[Fingerprint] | Unknown | None = None,
        budget_s: float = 50.0,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Nothing is started before it is needed.

        Args:
            cache: As in `Workspace`.
            scratch: As in `Workspace`; each workspace gets a folder of its own in it.
            fingerprint: Of the interpreter of all cells.
            budget_s: Seconds that may be spent. Nobody here is cut off by it.
            tell: Called with a line of progress, from the thread that calls `run`.
        """
        self.jobs = min(MOST_JOBS, capacity(MEMORY_MIB))
        self.runs = 0
        self.cache = cache
        self._fingerprint = fingerprint
        self._began = time.monotonic()
        self._budget_s = budget_s
        self._tell = tell
        self._free: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
        self._all = [Workspace(cache, scratch / str(number)) for number in range(self.jobs)]
        for workspace in self._all:
            self._free.put(workspace)
        self._ending = threading.Event()

    def run(self, cells: Sequence[Cell]) -> list[CellResult]:
        """Run cells, as many at once as there are workspaces; results in their order.

        Raises:
            RunError: The harness itself failed.
        """
        self.runs += len(cells)
        if len(cells) == 1:
            return [self._run(cells[0])]
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="cell") as threads:
            futures = [threads.submit(self._run, cell) for cell in cells]
            try:
                return [future.result() for future in futures]
            except BaseException:
                # Cells that wait are not begun; those that run lose their process.
                threads.shutdown(wait=False, cancel_futures=True)
                self.close()
                raise

    def left_s(self) -> float:
        """Seconds left of the budget; negative when it is used up."""
        return self._budget_s - self.elapsed_s()

    def elapsed_s(self) -> float:
        """Seconds since this began."""
        return time.monotonic() - self._began

    def tell(self, text: str) -> None:
        """Tell of progress."""
        self._tell(text)

    def run_alone(self, script: Path, cell: Cell) -> Known[str] | Unknown:
        """Run a script by the cell's interpreter, as a user would, and say what became of it.

        The environment is the caller's own, without what the cell adds: a script that stands alone
        brings that itself.
        """
        self.runs += 1
        workspace = self._free.get()
        environment = make_environment(
            Interpreter(name="alone"), Profile(name="alone"), os.environ,
            Path(sys.executable).parent,
        )  # fmt: skip
        output = Drain()
        try:
            with Input(Stdin.NULL) as stdin:
                supervisor, collector = workspace.supervisor, workspace.collector
                pid = supervisor.start(
                    Order(
                        command=(cell.interpreter.executable, str(script)),
                        environment=environment,
                        folder=script.parent,
                        streams=(stdin.read_end, output.write_end, output.write_end),
                    )
                )
                watched = Watchdog(
                    supervisor, collector, pid, cell.deadline_s, workspace.rates, native=False
                ).watch()
                supervisor.end()
        except BaseException:
            workspace.discard_supervisor()
            raise
        finally:
            output.finish()
            self._free.put(workspace)
        match watched.end:
            case Exited(status=status):
                return known(f"ended with status {status}", "one run")
            case Signalled(signal=number):
                return known(f"was ended by signal {number}", "one run")
        if watched.end.reason == "proved":
            return known("deadlock", f"one run, {watched.duration_s:.1f} s")
        if isinstance(watched.progressing, Unknown):
            return unknown(watched.progressing.reason)
        if watched.progressing.value:
            return unknown("it was still moving when its time was up")
        return known("hang", f"one run, {watched.duration_s:.1f} s")

    def _run(self, cell: Cell) -> CellResult:
        workspace = self._free.get()
        try:
            return run_cell(cell, workspace, self._fingerprint)
        finally:
            if self._ending.is_set():
                workspace.close()  # somebody has closed it before, and the cell opened it again
            self._free.put(workspace)

    def close(self) -> None:
        """End the helpers, and with them every probe."""
        self._ending.set()
        for workspace in self._all:
            workspace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
