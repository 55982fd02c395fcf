"""From the axes' values and a selection to cells."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import cast

import msgspec
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.axes import Named, check_names, check_patterns, choose
from deadlock_matrix.matrix.pairwise import Row, cover_pairs
from deadlock_matrix.matrix.selection import (
    DEFAULT_PRESET,
    Condition,
    Coverage,
    Part,
    Patterns,
    Selection,
    parse_condition,
)
from deadlock_matrix.matrix.settings import Configuration
from deadlock_matrix.model.cell import (
    AXES,
    Axis,
    Calling,
    Cell,
    Context,
    Entry,
    Interpreter,
    Layout,
    Profile,
)
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import Fingerprint, InterpreterFacts
from deadlock_matrix.wording import suggestion

OLDEST_PYTHON = Version("3.8")  # on which the probe's script runs


NOTHING_TO_IMPORT = (
    'there is nothing to import: add statement = "import mypackage" to [tool.deadlock-matrix] in '
    "pyproject.toml, or name a study with --study"
)


def expand(
    configuration: Configuration,
    interpreters: Sequence[Interpreter],
    selection: Selection | None = None,
    facts: Sequence[InterpreterFacts] = (),
) -> tuple[Cell, ...]:
    """Return the cells that ``selection`` wants, in the order of the axes' values.

    A combination that cannot be run, such as a layout in syntax that the interpreter does not have,
    is a cell too, and comes out unavailable. Under pairwise coverage it covers nothing: every pair
    is in a cell that can be run, if ``facts`` about the interpreters are given, and each reason for
    which cells cannot be run has one cell to show it.

    Args:
        configuration: The axes' values.
        interpreters: The values of the first axis.
        selection: What is wanted; by default the preset ``default``.
        facts: What is known about the interpreters.

    Raises:
        ConfigurationError: A pattern matches nothing, or nothing is left to run.
    """
    if not configuration.entries:
        raise ConfigurationError(NOTHING_TO_IMPORT)
    selection = selection or Selection()
    check_names("interpreter", interpreters)
    if not interpreters:
        raise ConfigurationError("no interpreter is given; name one")
    grid = _Grid(configuration, interpreters, facts)
    included = grid.merge(selection.include)
    excluded = grid.parse(selection.exclude, "--exclude")
    rows: set[Row] = set()
    for part in _parts(configuration, selection):
        rows.update(grid.rows(part, included, excluded))
    if not rows:
        raise ConfigurationError(_nothing_left(selection))
    return tuple(grid.cell(row) for row in sorted(rows))


def unavailable_reason(cell: Cell, fingerprint: Known[Fingerprint] | Unknown) -> str | None:
    """Return why ``cell`` cannot be run, as far as is known beforehand; ``None`` if it may run.

    Args:
        cell: Only its context, layout and interpreter matter.
        fingerprint: That of the cell's interpreter.
    """
    if cell.interpreter.unavailable:
        return cell.interpreter.unavailable
    if cell.context.calling in (Calling.FORK, Calling.FORK_AGAIN) and sys.platform == "win32":
        return f"context {cell.context.name!r} forks, which Windows cannot"
    if isinstance(fingerprint, Unknown):
        return f"interpreter {cell.interpreter.name!r}: {fingerprint.reason}"
    given = fingerprint.value.version
    try:
        version = Version(given)
    except InvalidVersion:
        return None
    if version.release < OLDEST_PYTHON.release:
        return f"Python {given} is older than {OLDEST_PYTHON}, the oldest that can be probed"
    # 3.15.0a1 counts as 3.15: what a layout needs comes with the first pre-releases.
    if not SpecifierSet(cell.layout.python).contains(version.base_version):
        return f"layout {cell.layout.name!r} needs Python {cell.layout.python}, this is {given}"
    return _missing_distribution(cell, fingerprint.value)


def _missing_distribution(cell: Cell, fingerprint: Fingerprint) -> str | None:
    values = ("context", cell.context), ("layout", cell.layout), ("entry", cell.entry)
    for axis, value in values:
        for name in value.requires:
            if canonicalize_name(name) not in fingerprint.packages:
                return f"{axis} {value.name!r} needs {name}, which the interpreter does not have"
    return None


class _Grid:
    """The values of all axes; a row is a cell as the numbers of its values."""

    def __init__(
        self,
        configuration: Configuration,
        interpreters: Sequence[Interpreter],
        facts: Sequence[InterpreterFacts],
    ) -> None:
        self.configuration = configuration
        self.fingerprints: Mapping[str, Known[Fingerprint] | Unknown] = {
            each.name: each.fingerprint for each in facts
        }
        self.values: dict[Axis, tuple[Named, ...]] = {
            axis: configuration.values(axis) for axis in AXES
        }
        self.values["interpreter"] = tuple(interpreters)
        self.names = {axis: [value.name for value in self.values[axis]] for axis in AXES}

    def merge(self, conditions: Sequence[str]) -> Patterns:
        """Return conditions as patterns by axis, any of which may hold."""
        merged: Patterns = {}
        for condition in self.parse(conditions):
            for axis, pattern in condition.items():
                merged[axis] = (*merged.get(axis, ()), pattern)
        return merged

    def parse(self, conditions: Sequence[str], where: str = "") -> list[Condition]:
        """Return conditions, each pattern of which matches a value.

        ``where`` is the option that gave them; empty for the one that has the axis's name.
        """
        parsed = [parse_condition(condition) for condition in conditions]
        for condition in parsed:
            for axis, pattern in condition.items():
                check_patterns(axis, self.names[axis], [pattern], where or f"--{axis}")
        return parsed

    def rows(self, part: Part, included: Patterns, excluded: Iterable[Condition]) -> list[Row]:
        """Return the rows of one part that are included and not excluded."""
        numbers = []
        for axis in AXES:
            names = choose(self.names[axis], part.axes.get(axis, ()))
            wanted = choose(names, included.get(axis, ()))
            numbers.append([self.names[axis].index(name) for name in wanted])
        left_out = [
            {
                at: {self.names[axis].index(name) for name in choose(self.names[axis], [pattern])}
                for at, axis in enumerate(AXES)
                if (pattern := condition.get(axis)) is not None
            }
            for condition in excluded
        ]
        rows = [
            row
            for row in product(*numbers)
            if not any(all(row[at] in those for at, those in each.items()) for each in left_out)
        ]
        return rows if part.coverage is Coverage.FULL else self._cover(rows)

    def _cover(self, rows: Sequence[Row]) -> list[Row]:
        possible = []
        impossible: dict[str, Row] = {}
        for row in rows:
            reason = self._reason(row)
            if reason is None:
                possible.append(row)
            else:
                impossible.setdefault(f"{row[0]} {reason}", row)
        return [*cover_pairs(possible), *impossible.values()]

    def _reason(self, row: Row) -> str | None:
        cell = self.cell(row)
        fingerprint = self.fingerprints.get(cell.interpreter.name)
        return None if fingerprint is None else unavailable_reason(cell, fingerprint)

    def cell(self, row: Row) -> Cell:
        """Return the cell that a row stands for."""
        found = {axis: self.values[axis][at] for axis, at in zip(AXES, row, strict=True)}
        cell = Cell(
            target=self.configuration.target,
            interpreter=cast(Interpreter, found["interpreter"]),
            profile=cast(Profile, found["profile"]),
            layout=cast(Layout, found["layout"]),
            entry=cast(Entry, found["entry"]),
            context=cast(Context, found["context"]),
            deadline_s=self.configuration.deadline_s,
            watch_modules=self.configuration.watch_modules,
        )
        expectation = self.configuration.expectation(cell)
        if expectation is None:
            return cell
        return msgspec.structs.replace(
            cell,
            expect=expectation.verdicts,
            deadline_s=expectation.deadline_s or cell.deadline_s,
        )


def _parts(configuration: Configuration, selection: Selection) -> tuple[Part, ...]:
    if selection.coverage is not None:
        if selection.preset is not None:
            raise ConfigurationError(
                f"preset {selection.preset!r} and coverage {selection.coverage.value!r} "
                "are both given; keep one of the two"
            )
        return (Part(coverage=selection.coverage),)
    wanted = selection.preset or DEFAULT_PRESET
    for preset in configuration.presets:
        if preset.name == wanted:
            return preset.parts
    names = [preset.name for preset in configuration.presets]
    raise ConfigurationError(f"no preset is called {wanted!r}{suggestion(wanted, names)}")


def _nothing_left(selection: Selection) -> str:
    given = " and ".join(
        f"{word} {', '.join(conditions)}"
        for word, conditions in (("--include", selection.include), ("--exclude", selection.exclude))
        if conditions
    )
    if selection.coverage is not None:
        return f"{given} leaves no cell to run"
    preset = selection.preset or DEFAULT_PRESET
    advice = "; coverage 'full' or 'pairwise' looks at the whole matrix"
    return f"{given or 'the selection'} leaves no cell of the preset {preset!r} to run{advice}"
