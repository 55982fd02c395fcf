"""What the cells of a run share: folders, the helper that guards probes, the one that looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from deadlock_matrix.capture.collector import Collector, open_collector
from deadlock_matrix.closing import Closing
from deadlock_matrix.run.cell_folder import CellFolder
from deadlock_matrix.run.process import Supervisor
from deadlock_matrix.run.rates import Rates
from deadlock_matrix.run.supervisors import open_supervisor


class Workspace(Closing):
    """For cells that run one after another; whoever runs others meanwhile has another workspace.

    ``cache`` outlives the run (assembled layouts, built libraries, fingerprints); ``scratch`` is
    for what the probes write.
    """

    def __init__(self, cache: Path, scratch: Path, rates: Rates | None = None) -> None:
        """Prepare; nothing is started before it is needed."""
        self.cache = cache
        self.scratch = scratch
        self._folders: list[CellFolder] = []
        self.rates = rates or Rates()
        self._supervisor: Supervisor | None = None

    @cached_property
    def collector(self) -> Collector:
        """The reader of facts, kept for all cells."""
        collector = open_collector()
        collector.warm_up()
        return collector

    @property
    def supervisor(self) -> Supervisor:
        """The guard of the probes; a new one if the last was lost."""
        if self._supervisor is None:
            self._supervisor = open_supervisor()
        return self._supervisor

    @contextmanager
    def cell_folder(self) -> Iterator[CellFolder]:
        """Lend a folder to a cell; the cell before may still have another one."""
        folder = self._folders.pop() if self._folders else CellFolder(self.scratch)
        with folder:
            yield folder
        self._folders.append(folder)

    def discard_supervisor(self) -> None:
        """After an error, end what it had, and start afresh for the next cell."""
        if self._supervisor is not None:
            self._supervisor.close()
            self._supervisor = None

    def close(self) -> None:
        """End the helpers, and with them every probe, and remove the folders in which they ran."""
        self.discard_supervisor()
        for folder in self._folders:
            folder.close()
        # Taken out first: somebody else may close this at the same moment.
        collector = self.__dict__.pop("collector", None)
        if collector is not None:
            collector.close()
