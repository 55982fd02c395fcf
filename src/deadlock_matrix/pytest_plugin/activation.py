"""Which parts of the plugin a pytest process needs once the matrix is on."""

from __future__ import annotations

import sys

import pytest

from deadlock_matrix.pytest_plugin.controller import PROCESS_KEY, Controller
from deadlock_matrix.pytest_plugin.early import EarlyTables
from deadlock_matrix.pytest_plugin.progress import ProgressLine, wants_progress_line
from deadlock_matrix.pytest_plugin.runner import Runner

MEMORY_PER_CELL_MIB = 700  # an interpreter with torch and transformers loaded


def activate(config: pytest.Config) -> None:
    """Register what this process needs: it controls a run, works for one, or does both."""
    manager = config.pluginmanager
    if is_worker(config):
        _end_with_controller(config)
        manager.register(Runner(config), "deadlock-matrix-runner")
        return
    controller = Controller(config)
    manager.register(controller, "deadlock-matrix-controller")
    manager.register(Runner(config, controller), "deadlock-matrix-runner")
    if manager.hasplugin("terminalreporter") and not config.option.collectonly:
        manager.register(EarlyTables(config, controller), "deadlock-matrix-early")
    if wants_progress_line(config):
        manager.register(ProgressLine(config, controller), "deadlock-matrix-progress")
    # Cells take seconds to minutes: one handed out in advance would wait behind a hanging one
    # while another worker has nothing to do.
    if config.getoption("maxschedchunk", None) is None and hasattr(config.option, "maxschedchunk"):
        config.option.maxschedchunk = 1


def _end_with_controller(config: pytest.Config) -> None:
    """A worker whose controller is killed would go on for seconds, and write into the folder."""
    controller = config.workerinput.get(PROCESS_KEY)  # type: ignore[attr-defined]
    if sys.platform == "linux" and controller is not None:
        from deadlock_matrix.run.subreaper import end_with_parent

        end_with_parent(controller)


def is_worker(config: pytest.Config) -> bool:
    """Whether this process runs tests for a pytest-xdist controller."""
    return hasattr(config, "workerinput")


def workers() -> int:
    """How many cells to run at once on this machine."""
    from deadlock_matrix.run.capacity import jobs

    return jobs(MEMORY_PER_CELL_MIB)
