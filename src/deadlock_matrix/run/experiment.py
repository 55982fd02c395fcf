"""Run cells for somebody who waits: two at once, with progress, within a budget of time."""

from __future__ import annotations

import math
import queue
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deadlock_matrix.closing import Closing
from deadlock_matrix.model.cell import Cell, Interpreter
from deadlock_matrix.model.diagnosis import Sample
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.observation import CellResult, Exited, Signalled
from deadlock_matrix.run.capacity import jobs as capacity
from deadlock_matrix.run.cell import run_cell, unavailable
from deadlock_matrix.run.sampling import Sampler
from deadlock_matrix.run.watchdog import Watched
from deadlock_matrix.run.watched_process import run_watched
from deadlock_matrix.run.workspace import Workspace

INTERRUPTED = "it was interrupted before this was run"
MOST_JOBS = 2
MOST_SAID = 200  # characters of a script's last words
MEMORY_MIB = 1024  # for one cell: large packages need some 700


@dataclass(frozen=True, kw_only=True)
class Alone:
    """What became of a script that was run alone."""

    came_to: Known[str] | Unknown
    watched: Watched | None


class Experiment(Closing):
    """Workspaces, each used by one cell at a time; see `diagnosis.investigation.search`.

    It is also the budget: the time begins when it is made.
    """

    def __init__(
        self,
        cache: Path,
        scratch: Path,
        *,
        interpreter: Interpreter | None = None,
        fingerprint: Known[Fingerprint] | Unknown | None = None,
        budget_s: float = 50.0,
        tell: Callable[[str], None] = lambda text: None,
        sampler: Sampler | None = None,
    ) -> None:
        """Prepare; nothing is started before it is needed.

        Args:
            cache: As in `Workspace`.
            scratch: As in `Workspace`; each workspace gets a folder of its own in it.
            interpreter: The interpreter to which the fingerprint belongs.
            fingerprint: What it was measured to be.
            budget_s: Seconds that may be spent. Nothing that already runs is cut off by it.
            tell: Called with a line of progress, from the thread that calls `run`.
            sampler: Takes samples of the first run, if that runs alone.
        """
        self.jobs = min(MOST_JOBS, capacity(MEMORY_MIB))
        self.runs = 0
        self.cache = cache
        self._interpreter = interpreter
        self._fingerprint = fingerprint
        self._began = time.monotonic()
        self._budget_s = budget_s
        self._tell = tell
        self._free: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
        self._all = [Workspace(cache, scratch / str(number)) for number in range(self.jobs)]
        for workspace in self._all:
            self._free.put(workspace)
        self._ending = threading.Event()
        self._interrupted = threading.Event()
        self.reserve_s = 0.0
        """Seconds of the budget that are kept for what comes last."""
        self.sampler = sampler or Sampler()
        self._sampled: Cell | None = None

    def run(self, cells: Sequence[Cell]) -> list[CellResult]:
        """Run cells, as many at once as there are workspaces; return results in the cells' order.

        Raises:
            RunError: The harness itself failed.
        """
        self.runs += len(cells)
        if len(cells) == 1:
            sampler = self.sampler if self.runs == 1 else None
            if sampler is not None:
                self._sampled = cells[0]
            return [self._run(cells[0], sampler)]
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="cell") as threads:
            futures = [threads.submit(self._run, cell) for cell in cells]
            try:
                return [future.result() for future in futures]
            except BaseException:
                # Waiting cells do not start; running ones lose their process.
                threads.shutdown(wait=False, cancel_futures=True)
                self.close()
                raise

    def samples_of(self, cell: Cell) -> tuple[Sample, ...]:
        """Return where a run of a cell was, if samples were taken of that run."""
        return self.sampler.samples() if cell == self._sampled else ()

    def left_s(self) -> float:
        """Return the seconds left; negative if they are used up, or nobody wants to wait."""
        if self._interrupted.is_set():
            return -math.inf
        return self._budget_s - self.reserve_s - self.elapsed_s()

    def interrupt(self) -> None:
        """End what runs, after a last look at it, and start nothing more."""
        self._interrupted.set()

    @property
    def interrupted(self) -> bool:
        """Whether somebody did not want to wait."""
        return self._interrupted.is_set()

    def elapsed_s(self) -> float:
        """Return the seconds since this began."""
        return time.monotonic() - self._began

    def tell(self, text: str) -> None:
        """Report progress, and how much time is left."""
        if self._interrupted.is_set():
            return
        left = self.left_s()
        self._tell(f"{text} ({left:.0f} s left)" if left > 0 else text)

    def run_alone(
        self, text: str, executable: str, environment: Mapping[str, str], deadline_s: float
    ) -> Alone:
        """Run a script as a stranger would: in an empty folder, with this environment and no more.

        Args:
            text: The script.
            executable: The interpreter.
            environment: The whole environment; usually empty.
            deadline_s: Seconds until it is ended.
        """
        if self._interrupted.is_set():
            return Alone(came_to=unknown(INTERRUPTED), watched=None)
        self.runs += 1
        workspace = self._free.get()
        folder = workspace.scratch / f"alone-{self.runs}"
        folder.mkdir(parents=True)
        script = folder / "reproducer.py"
        script.write_text(text, encoding="utf-8", newline="")
        try:
            ran = run_watched(
                workspace,
                (executable, script.name),
                environment,
                folder,
                deadline_s,
                native=False,
                stop=self._interrupted.is_set,
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._free.put(workspace)
        said = ran.stderr.kept.strip() or ran.stdout.kept
        return Alone(came_to=_came_to(ran.watched, said), watched=ran.watched)

    def _run(self, cell: Cell, sampler: Sampler | None = None) -> CellResult:
        if self._interrupted.is_set():
            return unavailable(cell, INTERRUPTED)
        workspace = self._free.get()
        fingerprint = self._fingerprint if cell.interpreter == self._interpreter else None
        try:
            return run_cell(
                cell, workspace, fingerprint, sampler=sampler, stop=self._interrupted.is_set
            )
        finally:
            if self._ending.is_set():
                workspace.close()  # somebody has closed it meanwhile, and the cell opened it again
            self._free.put(workspace)

    def close(self) -> None:
        """End the helpers, and with them every probe."""
        self._ending.set()
        for workspace in self._all:
            workspace.close()


def _came_to(watched: Watched, said: str) -> Known[str] | Unknown:
    match watched.end:
        case Exited(status=status):
            last = said.strip().rpartition("\n")[2][:MOST_SAID]
            words = f": {last}" if last and status else ""
            return known(f"ended with status {status}{words}", "one run")
        case Signalled(signal=number):
            return known(f"was ended by signal {number}", "one run")
    if watched.end.reason == "proved":
        return known("deadlock", f"one run, {watched.duration_s:.1f} s")
    if isinstance(watched.progressing, Unknown):
        return unknown(watched.progressing.reason)
    if watched.progressing.value:
        return unknown("it was still moving when its time was up")
    return known("hang", f"one run, {watched.duration_s:.1f} s")
