"""Plan a run: from what is wanted to the cells, and the facts about their interpreters."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import msgspec

from deadlock_matrix.app.configuration import load_configuration
from deadlock_matrix.cache import cache_folder
from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.grid.announcement import Planned
from deadlock_matrix.interpreters.identity import identify
from deadlock_matrix.matrix.configuration import Configuration
from deadlock_matrix.matrix.contents import contents
from deadlock_matrix.matrix.controls import controls
from deadlock_matrix.matrix.expansion import expand
from deadlock_matrix.matrix.interpreters import resolve
from deadlock_matrix.matrix.listed import read_interpreters
from deadlock_matrix.matrix.reach import reaches_installed
from deadlock_matrix.matrix.repro import repro_root
from deadlock_matrix.matrix.selection import Selection
from deadlock_matrix.matrix.shards import parse_shard, take_shard
from deadlock_matrix.model.cell import Cell, Interpreter
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.report import Host, Shard
from deadlock_matrix.report.earlier import read_earlier
from deadlock_matrix.report.host import describe_host, describe_tool
from deadlock_matrix.report.plan import Plan, run_id, timestamp
from deadlock_matrix.report.shards import expected_times


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to run.

    Attributes:
        folder: Where to begin looking for a configuration; paths are relative to it.
        configuration: A file to read instead of the nearest ``pyproject.toml``.
        study: The study to run, whatever the configuration says.
        interpreters: Names, as `matrix.interpreters.resolve` takes them.
        interpreters_file: A list of interpreters that replaces the configured ones.
        selection: Which cells.
        repeat: How often to run each.
        shard: A part of the cells, ``1/4``; empty for all.
        shard_times: An earlier report whose times balance the shards.
    """

    folder: Path
    configuration: Path | None = None
    study: str = ""
    interpreters: tuple[str, ...] = ()
    interpreters_file: Path | None = None
    selection: Selection = Selection()
    repeat: int = 1
    shard: str = ""
    shard_times: Path | None = None


def choose_cells(wanted: Wanted) -> tuple[Cell, ...]:
    """Return the wanted cells, in the order in which they run.

    No interpreter is asked what it is, so some of these cells may turn out to be unavailable.

    Raises:
        ConfigurationError: The configuration or the selection says something impossible.
        Unavailable: There is no such interpreter or study.
    """
    configuration, interpreters = _resolve(wanted)
    return _repeated(expand(configuration, interpreters, wanted.selection), wanted.repeat)


class Elsewhere(Protocol):
    """Other machines that have the interpreters of a run."""

    def plan(self, wanted: Sequence[str]) -> Sequence[Planned]:
        """Return the interpreters that these names mean."""
        ...

    def machines(self, run: str) -> dict[str, Host]:
        """Return the machines, by their names in the results of ``run``."""
        ...


def make_plan(
    wanted: Wanted, arguments: Sequence[str] = (), elsewhere: Elsewhere | None = None
) -> Plan:
    """Work out what to run.

    Each interpreter is asked what it is, once and bounded, or remembered from an earlier run. What
    its libraries do when they run is measured only if a cell could load any.

    Args:
        wanted: What to run.
        arguments: The command line, for the report.
        elsewhere: The machines that have the interpreters; without it, this machine has them.

    Raises:
        ConfigurationError: The configuration or the selection says something impossible.
        Unavailable: There is no such interpreter or study.
    """
    if elsewhere is None:
        configuration, interpreters = _resolve(wanted)
        facts = _identify(interpreters)
    else:
        configuration = load_configuration(wanted.configuration, wanted.folder, wanted.study)
        planned = elsewhere.plan(wanted.interpreters)
        interpreters = tuple(each.interpreter for each in planned)
        facts = tuple(each.facts for each in planned)
    cells = expand(configuration, interpreters, wanted.selection, facts)
    if elsewhere is None:
        reaching = {each.interpreter.name for each in cells if reaches_installed(each)}
        some = [each for each in interpreters if each.name in reaching and not each.unavailable]
        measured = {each.name: each for each in _identify(some, measure=True)}
        facts = tuple(measured.get(each.name, each) for each in facts)
    cells, shard = _shard(wanted, _repeated(cells, wanted.repeat))
    names = {cell.interpreter.name for cell in cells}
    used = [each for each in interpreters if each.name in names and not each.unavailable]
    own_controls = controls(used, repro_root(), configuration.baseline)
    # Elsewhere, only the worker can tell what its interpreter finds by itself.
    here = [each for each in (*own_controls, *cells) if elsewhere is None or each.layout.overlays]
    run = run_id()
    return Plan(
        tool=describe_tool(),
        host=describe_host(),
        run=run,
        started=timestamp(),
        arguments=tuple(arguments),
        interpreters=tuple(each for each in facts if each.name in names),
        controls=own_controls,
        cells=cells,
        contents=contents(here),
        shard=shard,
        machines=elsewhere.machines(run) if elsewhere is not None else {},
    )


def _resolve(wanted: Wanted) -> tuple[Configuration, tuple[Interpreter, ...]]:
    configuration = load_configuration(wanted.configuration, wanted.folder, wanted.study)
    if wanted.interpreters_file is not None:
        listed = read_interpreters(wanted.interpreters_file)
        configuration = msgspec.structs.replace(configuration, interpreters=listed)
    return configuration, resolve(wanted.interpreters, configuration)


def _shard(wanted: Wanted, cells: tuple[Cell, ...]) -> tuple[tuple[Cell, ...], Shard | None]:
    if not wanted.shard:
        if wanted.shard_times is not None:
            raise ConfigurationError("--shard-times only balances shards: add --shard I/N")
        return cells, None
    expected = None
    if wanted.shard_times is not None:
        earlier = read_earlier(wanted.shard_times).report
        expected = expected_times(earlier, (cell.id for cell in cells))
    return take_shard(cells, parse_shard(wanted.shard), expected)


def _identify(
    interpreters: Sequence[Interpreter], *, measure: bool = False
) -> tuple[InterpreterFacts, ...]:
    def ask(interpreter: Interpreter) -> InterpreterFacts:
        return identify(interpreter, cache_folder(), measure=measure)

    with ThreadPoolExecutor(max_workers=2) as pool:  # each keeps a process busy
        return tuple(pool.map(ask, interpreters))


def _repeated(cells: Sequence[Cell], times: int) -> tuple[Cell, ...]:
    return tuple(
        msgspec.structs.replace(cell, repeat=number)
        for number in range(1, times + 1)
        for cell in cells
    )
