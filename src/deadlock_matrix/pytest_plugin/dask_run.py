"""A run whose cells the workers of a Dask scheduler run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from deadlock_matrix.cache import cache_folder
from deadlock_matrix.errors import Unavailable
from deadlock_matrix.grid.announcement import Announcement, Planned, machine_name, plan_interpreters
from deadlock_matrix.model.report import Host

if TYPE_CHECKING:
    from distributed import LocalCluster

    from deadlock_matrix.grid.dask_engine import Cluster, DaskEngine

LOCAL = "local"

KILLED_WITHIN_S = 2.0


class DaskRun:
    """The connection, and what the workers have; close it at the end."""

    def __init__(self, config: pytest.Config) -> None:
        """Connect, and wait for the first worker.

        Raises:
            Unavailable: Dask is not installed, nobody answers, or there is no worker.
        """
        try:
            from deadlock_matrix.grid.dask_engine import Cluster
            from deadlock_matrix.grid.security import make_security
        except ImportError as error:
            raise Unavailable(f"--dask needs deadlock-matrix[dask]: {error}") from error
        self._config = config
        self._include_host: bool = config.getoption("deadlock_matrix_include_host")
        self._wait_s: float = config.getoption("deadlock_matrix_dask_wait")
        self._local: LocalCluster | None = None
        self._worker: subprocess.Popen[bytes] | None = None
        self._cluster: Cluster | None = None
        self._engine: DaskEngine | None = None
        self._planned: tuple[Planned, ...] = ()
        address: str = config.getoption("deadlock_matrix_dask")
        files = (config.getoption(f"deadlock_matrix_tls_{name}") for name in ("ca", "cert", "key"))
        try:
            security = None
            if address == LOCAL:
                address = self._start_local()
            else:
                security = make_security(address, *(each or "" for each in files))
            self._cluster = Cluster(address, security)
            self.announced = self._cluster.wait_for_workers(self._wait_s)
        except BaseException:
            self.close()
            raise

    def plan(self, wanted: Sequence[str]) -> tuple[Planned, ...]:
        """Return the interpreters of the run."""
        names = [] if self._local is not None else wanted  # those were given to the worker
        self._planned = plan_interpreters(self.announced, names, include_host=self._include_host)
        return self._planned

    def by_name(self) -> dict[str, Planned]:
        """Return the same by name, without those that nobody has."""
        return {each.interpreter.name: each for each in self._planned if each.label}

    def machines(self, run: str) -> dict[str, Host]:
        """Return the present machines, by their names in results."""
        return {self._name(run, each): each.host for each in self.announced}

    def engine(self, run: str) -> DaskEngine:
        """Return what runs the cells."""
        from deadlock_matrix.grid.dask_engine import DaskEngine

        assert self._cluster is not None
        self._engine = DaskEngine(
            self._cluster,
            {each.interpreter.name: each for each in self._planned},
            run,
            cache_folder(),
            include_host=self._include_host,
            wait_s=self._wait_s,
        )
        return self._engine

    def ended(self) -> tuple[dict[str, Host], tuple[str, ...]]:
        """Return machines that joined later, and notes for the report."""
        if self._engine is None:
            return {}, ()
        again = self._engine.again
        what = "cell was" if again == 1 else "cells were"
        note = f"{again} {what} started again, because the worker that ran it was lost"
        return self._engine.machines, (note,) if again else ()

    def close(self) -> None:
        """Disconnect, and end what was started here."""
        if self._cluster is not None:
            self._cluster.close()
        if self._worker is not None:
            self._worker.terminate()
            try:
                self._worker.wait(15)
            except subprocess.TimeoutExpired:
                self._worker.kill()
                with suppress(subprocess.TimeoutExpired):
                    self._worker.wait(KILLED_WITHIN_S)
        if self._local is not None:
            with suppress(Exception):  # it is over in any case
                self._local.close(timeout=5)

    def _name(self, run: str, announcement: Announcement) -> str:
        return machine_name(run, announcement, include_host=self._include_host)

    def _start_local(self) -> str:
        from distributed import LocalCluster

        self._local = LocalCluster(
            n_workers=0, processes=False, dashboard_address=None, host="127.0.0.1", protocol="tcp"
        )
        address: str = self._local.scheduler_address
        file = self._config.getoption("deadlock_matrix")
        command = [sys.executable, "-m", "deadlock_matrix", "worker", address]
        command += [f"--config={file}"] if file else []
        for name in self._config.getoption("deadlock_matrix_interpreter"):
            command.append(f"--interpreter={name}")
        if jobs := self._config.getoption("deadlock_matrix_jobs"):
            command.append(f"--jobs={jobs}")
        self._worker = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, cwd=self._config.invocation_params.dir, **_tied()
        )
        return address


def _tied() -> dict[str, Any]:
    if sys.platform != "linux":
        return {}
    from deadlock_matrix.run.subreaper import end_with_parent

    return {"preexec_fn": partial(end_with_parent, os.getpid())}
