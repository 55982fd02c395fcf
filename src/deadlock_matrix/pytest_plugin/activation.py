"""Which parts of the plugin a pytest process needs once the matrix is on."""

from __future__ import annotations

import sys

import pytest

from deadlock_matrix.pytest_plugin.controller import PROCESS_KEY, Controller
from deadlock_matrix.pytest_plugin.dispatch import Dispatcher
from deadlock_matrix.pytest_plugin.early import EarlyTables
from deadlock_matrix.pytest_plugin.progress import ProgressLine, wants_progress_line
from deadlock_matrix.pytest_plugin.runner import Runner


def activate(config: pytest.Config) -> None:
    """Register what this process needs: it controls a run, works for one, or does both."""
    manager = config.pluginmanager
    if is_worker(config):
        _end_with_controller(config)
        manager.register(Runner(config), "deadlock-matrix-runner")
        return
    controller = Controller(config)
    manager.register(controller, "deadlock-matrix-controller")
    runner = Runner(config, controller)
    manager.register(runner, "deadlock-matrix-runner")
    if config.getoption("deadlock_matrix_dask") is not None:
        dispatcher = Dispatcher(runner, controller.open_dask_engine)
        manager.register(dispatcher, "deadlock-matrix-dispatcher")
    elif (jobs := config.getoption("deadlock_matrix_jobs")) is not None:
        _dispatch(config, runner, workers() if jobs == "auto" else int(jobs))
    if manager.hasplugin("terminalreporter") and not config.option.collectonly:
        manager.register(EarlyTables(config, controller), "deadlock-matrix-early")
    if wants_progress_line(config):
        manager.register(ProgressLine(config, controller), "deadlock-matrix-progress")
    if (events := config.getoption("deadlock_matrix_events")) is not None:
        from deadlock_matrix.pytest_plugin.events import Events

        path = config.invocation_params.dir / events
        manager.register(Events(controller, path), "deadlock-matrix-events")
    if config.getoption("deadlock_matrix_fail_fast"):
        _stop_at_first_failure(config)
    # Cells take seconds to minutes: one that is handed out in advance would wait behind one that
    # hangs while another worker has nothing to do.
    if config.getoption("maxschedchunk", None) is None and hasattr(config.option, "maxschedchunk"):
        config.option.maxschedchunk = 1


def _dispatch(config: pytest.Config, runner: Runner, jobs: int) -> None:
    from deadlock_matrix.grid.local import LocalEngine

    def engine() -> LocalEngine:
        return LocalEngine(runner.run, jobs, runner.give_up)

    config.pluginmanager.register(Dispatcher(runner, engine), "deadlock-matrix-dispatcher")


def _stop_at_first_failure(config: pytest.Config) -> None:
    """Do what ``-x`` does. pytest-xdist has read the option by now."""
    config.option.maxfail = 1
    distributed = config.pluginmanager.getplugin("dsession")
    if distributed is not None:
        distributed.maxfail = 1


def _end_with_controller(config: pytest.Config) -> None:
    """End with the controller: a worker would go on for seconds, and write into the folder."""
    controller = config.workerinput.get(PROCESS_KEY)  # type: ignore[attr-defined]
    if sys.platform == "linux" and controller is not None:
        from deadlock_matrix.run.subreaper import end_with_parent

        end_with_parent(controller)


def is_worker(config: pytest.Config) -> bool:
    """Return whether this process runs tests for a pytest-xdist controller."""
    return hasattr(config, "workerinput")


def workers() -> int:
    """Return how many cells to run at once on this machine."""
    from deadlock_matrix.run.capacity import MEMORY_PER_CELL_MIB, jobs

    return jobs(MEMORY_PER_CELL_MIB)
