"""From pytest's options to what is wanted of a run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deadlock_matrix.app import planning
from deadlock_matrix.errors import DeadlockMatrixError
from deadlock_matrix.matrix.selection import Coverage, Selection
from deadlock_matrix.model.cell import AXES
from deadlock_matrix.report.plan import Plan

if TYPE_CHECKING:
    from deadlock_matrix.pytest_plugin.dask_run import DaskRun


def make_plan(config: pytest.Config, dask: DaskRun | None = None) -> Plan:
    """Work out what to run, from the configuration file and the options.

    Args:
        config: That of a pytest process in which the matrix is on.
        dask: The run whose workers have the interpreters; without it, this machine has them.

    Raises:
        pytest.UsageError: The configuration or an option says something impossible.
    """
    try:
        arguments = tuple(map(str, config.invocation_params.args))
        return planning.make_plan(_wanted(config), arguments, dask)
    except DeadlockMatrixError as error:
        raise pytest.UsageError(str(error)) from error


def _wanted(config: pytest.Config) -> planning.Wanted:
    start = config.invocation_params.dir
    file = config.getoption("deadlock_matrix")
    listed = config.getoption("deadlock_matrix_interpreters_file")
    times = config.getoption("deadlock_matrix_shard_times")
    return planning.Wanted(
        folder=start,
        configuration=start / file if file else None,
        study=config.getoption("deadlock_matrix_study") or "",
        interpreters=tuple(config.getoption("deadlock_matrix_interpreter")),
        interpreters_file=start / listed if listed else None,
        selection=_selection(config),
        repeat=config.getoption("deadlock_matrix_repeat"),
        shard=config.getoption("deadlock_matrix_shard") or "",
        shard_times=start / times if times else None,
    )


def report_folder(config: pytest.Config, run: str) -> Path:
    """Return the folder of the run's journals and report."""
    given = config.getoption("deadlock_matrix_report")
    if given is not None:
        return Path(config.invocation_params.dir, given)
    return config.rootpath / "reports" / run


def cell_id(nodeid: str, ids: Iterable[str]) -> str | None:
    """Return the id of the cell that a test runs, or ``None`` if it runs none of ``ids``.

    A test may have other parameters besides the cell; pytest joins them with ``-``.
    """
    parameters = parameters_of(nodeid)
    padded = f"-{parameters}-"
    matching = [id_ for id_ in ids if f"-{as_pytest_writes(id_)}-" in padded]
    return max(matching, key=len, default=None)


def parameters_of(nodeid: str) -> str:
    """Return the text between the brackets of a test's id."""
    return nodeid.partition("[")[2].removesuffix("]")


def as_pytest_writes(text: str) -> str:
    """Return a parameter's id as pytest writes it into a test's."""
    return text.encode("unicode_escape").decode("ascii")


def _selection(config: pytest.Config) -> Selection:
    include = tuple(
        f"{axis}={pattern}"
        for axis in AXES
        if axis != "interpreter"  # those are resolved, not selected
        for pattern in config.getoption(f"deadlock_matrix_{axis}")
    )
    coverage = config.getoption("deadlock_matrix_coverage")
    return Selection(
        include=include,
        exclude=tuple(config.getoption("deadlock_matrix_exclude")),
        preset=config.getoption("deadlock_matrix_preset"),
        coverage=None if coverage is None else Coverage(coverage),
    )
