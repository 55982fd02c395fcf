"""Decide which of the two processes this is, and what it does inside."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deadlock_matrix.pytest_plugin.guard import fork, journal

_writer: journal.Writer | None = None
"""The journal's writer, in a session under watch."""

_replay: Callable[[pytest.Config], object] | None = None
"""Makes the plugin that replays ended sessions, in a watcher that has one to report."""


def begin(early_config: pytest.Config, args: list[str], parser: pytest.Parser) -> None:
    """Split, unless this is the inside of a guarded session. Returns at once in the child.

    The parent watches, and returns only if it has results to report that its child could not
    report.
    """
    global _replay, _writer
    if "PYTEST_XDIST_WORKER" in os.environ or _writer is not None:
        return
    split = None if fork.folder() is not None else fork.split()
    if split is None:
        inside = fork.folder()
        assert inside is not None
        _writer = journal.Writer(inside)  # from here on, before any conftest file is imported
        return
    from deadlock_matrix.pytest_plugin.guard import outside

    _replay = outside.stay(split, early_config, args, parser)


def configure(config: pytest.Config) -> None:
    """Register the part of this process: recording, or replaying."""
    if _replay is not None:
        config.pluginmanager.register(_replay(config), "deadlock_matrix_replay")
        return
    from deadlock_matrix.pytest_plugin.guard import recorder
    from deadlock_matrix.pytest_plugin.guard.left import hung

    register = config.pluginmanager.register
    workerinput = getattr(config, "workerinput", {})
    given = workerinput.get(recorder.FOLDER_KEY)
    folder = Path(given) if given else fork.folder()
    if folder is None or not folder.is_dir():
        return
    if given:
        fork.end_with_parent()
        writer = journal.Writer(folder, workerinput["workerid"])
        results = recorder.Results(config, writer)
        from deadlock_matrix.pytest_plugin.guard.workers import NoSecondTime

        register(recorder.Recorder(writer), "deadlock_matrix_recorder")
        register(NoSecondTime(folder), "deadlock_matrix_workers")
    else:
        writer = _writer or journal.Writer(folder)
        results = recorder.Results(config, writer)
        ours = recorder.SessionRecorder(folder, config, writer, results)
        register(ours, "deadlock_matrix_recorder")
    register(results, recorder.RESULTS)
    if hung(folder)[0] or given:  # without workers, only an earlier session hung
        from deadlock_matrix.pytest_plugin.guard.fixtures import HungFixtures

        register(HungFixtures(folder), "deadlock_matrix_fixtures")
    done = fork.done(folder)
    if done:
        register(recorder.Remainder(config, done), "deadlock_matrix_remainder")
