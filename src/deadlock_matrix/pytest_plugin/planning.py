"""From the command line to the plan of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from deadlock_matrix.cache import cache_folder
from deadlock_matrix.errors import DeadlockMatrixError
from deadlock_matrix.interpreters.identity import identify
from deadlock_matrix.matrix.configuration import load_configuration
from deadlock_matrix.matrix.controls import controls
from deadlock_matrix.matrix.expansion import expand
from deadlock_matrix.matrix.interpreters import resolve
from deadlock_matrix.matrix.listed import read_interpreters
from deadlock_matrix.matrix.repro import repro_root
from deadlock_matrix.matrix.selection import Coverage, Selection
from deadlock_matrix.model.cell import AXES, Cell, Interpreter
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.report.host import describe_host, describe_tool
from deadlock_matrix.report.plan import Plan, run_id, timestamp


def make_plan(config: pytest.Config) -> Plan:
    """Work out what to run, from the configuration file and the options.

    Each interpreter is asked what it is, once and bounded, or remembered from an earlier run.

    Args:
        config: Of a pytest process in which the matrix is on.

    Raises:
        pytest.UsageError: The configuration or an option says something impossible.
    """
    try:
        return _make_plan(config)
    except DeadlockMatrixError as error:
        raise pytest.UsageError(str(error)) from error


def _make_plan(config: pytest.Config) -> Plan:
    start = config.invocation_params.dir
    file = config.getoption("deadlock_matrix")
    configuration = load_configuration(start / file if file else None, start)
    if listed := config.getoption("deadlock_matrix_interpreters_file"):
        interpreters = read_interpreters(start / listed)
        configuration = msgspec.structs.replace(configuration, interpreters=interpreters)
    interpreters = resolve(config.getoption("deadlock_matrix_interpreter"), configuration)
    facts = _identify(interpreters)
    cells = expand(configuration, interpreters, _selection(config), facts)
    names = {cell.interpreter.name for cell in cells}
    used = [interpreter for interpreter in interpreters if interpreter.name in names]
    return Plan(
        tool=describe_tool(),
        host=describe_host(),
        run=run_id(),
        started=timestamp(),
        arguments=tuple(map(str, config.invocation_params.args)),
        interpreters=tuple(each for each in facts if each.name in names),
        controls=controls([each for each in used if not each.unavailable], repro_root()),
        cells=_repeated(cells, config.getoption("deadlock_matrix_repeat")),
    )


def _identify(interpreters: Sequence[Interpreter]) -> tuple[InterpreterFacts, ...]:
    def measure(interpreter: Interpreter) -> InterpreterFacts:
        return identify(interpreter, cache_folder(), measure=True)

    with ThreadPoolExecutor(max_workers=2) as pool:  # each keeps a process busy
        return tuple(pool.map(measure, interpreters))


def report_folder(config: pytest.Config, run: str) -> Path:
    """The folder of the run's journals and report."""
    given = config.getoption("deadlock_matrix_report")
    if given is not None:
        return Path(config.invocation_params.dir, given)
    return config.rootpath / "reports" / run


def cell_id(nodeid: str, ids: Iterable[str]) -> str | None:
    """The id of the cell that a test runs, from the test's; ``None``: it runs none of ``ids``.

    A test may have other parameters beside the cell; pytest joins them with ``-``.
    """
    parameters = nodeid.partition("[")[2].removesuffix("]")
    padded = f"-{parameters}-"
    matching = [id_ for id_ in ids if f"-{_as_pytest_writes(id_)}-" in padded]
    return max(matching, key=len, default=None)


def _as_pytest_writes(text: str) -> str:
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


def _repeated(cells: Sequence[Cell], times: int) -> tuple[Cell, ...]:
    return tuple(
        msgspec.structs.replace(cell, repeat=number)
        for number in range(1, times + 1)
        for cell in cells
    )
