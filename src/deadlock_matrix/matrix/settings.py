"""The configuration as the rest of the program sees it, and what must hold in it."""

from __future__ import annotations

import math
import sys

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.axes import Named, check_names, check_patterns, choose
from deadlock_matrix.matrix.selection import Patterns, Preset
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
from deadlock_matrix.model.comparison import Gate
from deadlock_matrix.model.verdict import Verdict

BASELINE = "baseline"


class _Frozen(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Expectation(_Frozen, frozen=True, kw_only=True):
    """The verdicts that the cells described by ``axes`` may have, and why.

    ``systems`` are values of ``sys.platform``; empty for all. ``deadline_s`` replaces the deadline.
    """

    axes: Patterns
    verdicts: tuple[Verdict, ...]
    reason: str
    systems: tuple[str, ...] = ()
    deadline_s: float | None = None

    def covers(self, cell: Cell, system: str = sys.platform) -> bool:
        """Return whether this is about ``cell``, on this system."""
        return (not self.systems or system in self.systems) and all(
            choose([getattr(cell, axis).name], patterns) for axis, patterns in self.axes.items()
        )


class Configuration(_Frozen, frozen=True, kw_only=True):
    """The axes with all their values, and what is known about the cells.

    ``source`` is the file from which the user's values come; empty if there is none.
    """

    target: str
    entries: tuple[Entry, ...]
    layouts: tuple[Layout, ...]
    profiles: tuple[Profile, ...]
    contexts: tuple[Context, ...]
    interpreters: tuple[Interpreter, ...]
    presets: tuple[Preset, ...]
    expectations: tuple[Expectation, ...]
    deadline_s: float
    watch_modules: tuple[str, ...]
    source: str = ""
    gate: Gate = Gate()

    def values(self, axis: Axis) -> tuple[Named, ...]:
        """Return the values of one axis, in their order."""
        found: dict[Axis, tuple[Named, ...]] = {
            "interpreter": self.interpreters,
            "profile": self.profiles,
            "layout": self.layouts,
            "entry": self.entries,
            "context": self.contexts,
        }
        return found[axis]

    @property
    def baseline(self) -> Profile:
        """The profile that sets nothing, and unsets every variable that any other one names."""
        return next(profile for profile in self.profiles if profile.name == BASELINE)

    def names(self, axis: Axis) -> tuple[str, ...]:
        """Return the names of the values of one axis, in their order."""
        return tuple(value.name for value in self.values(axis))

    def expectation(self, cell: Cell, system: str = sys.platform) -> Expectation | None:
        """Return what is expected of ``cell``; the last one if there are several."""
        said = [each for each in self.expectations if each.covers(cell, system)]
        return said[-1] if said else None


def check(configuration: Configuration) -> None:
    """Check what the types cannot say.

    Raises:
        ConfigurationError: One sentence about the first thing that is wrong.
    """
    for axis in AXES:
        check_names(axis, configuration.values(axis))
    check_names("preset", configuration.presets)
    _check_deadline("the configuration", configuration.deadline_s)
    for entry in configuration.entries:
        # Whether it is Python is for the interpreter that runs it to say: it may be a newer one.
        if not entry.statement.strip():
            raise ConfigurationError(f"entry {entry.name!r}: the statement is empty")
    for context in configuration.contexts:
        _check_context(context)
    for layout in configuration.layouts:
        _check_python(layout)
    for profile in configuration.profiles:
        _check_variables(profile)
    for preset in configuration.presets:
        for part in preset.parts:
            _check_axes(configuration, part.axes, f"preset {preset.name!r}")
    for number, expectation in enumerate(configuration.expectations, start=1):
        where = f"[[expect]] number {number}"
        _check_axes(configuration, expectation.axes, where)
        if expectation.deadline_s is not None:
            _check_deadline(where, expectation.deadline_s)


def check_gate(gate: Gate) -> None:
    """Check that a gate can fail, and that what it lets pass is listed once and explained.

    Raises:
        ConfigurationError: One sentence about the first thing that is wrong.
    """
    if not gate.fail_on:
        raise ConfigurationError("[gate] fail-on is empty, so the gate could never fail")
    seen: set[tuple[str, str]] = set()
    for number, expected in enumerate(gate.expected, start=1):
        where = f"[[gate.expected]] number {number}"
        if not expected.reason:
            raise ConfigurationError(f"{where} has an empty reason; say why it is so")
        if not expected.cell:
            raise ConfigurationError(f"{where} has an empty cell; give a cell's id, or a pattern")
        if expected.kind not in gate.fail_on:
            raise ConfigurationError(
                f"{where}: {expected.kind.value} does not fail the gate, so it needs no exception; "
                "remove this, or add the kind to fail-on"
            )
        if (expected.cell, expected.kind) in seen:
            raise ConfigurationError(
                f"{where}: {expected.kind.value} of {expected.cell} is listed twice; keep one"
            )
        seen.add((expected.cell, expected.kind))


def _check_axes(configuration: Configuration, axes: Patterns, where: str) -> None:
    for axis, patterns in axes.items():
        # Interpreters can also be named on the command line, so not all their names are here.
        if axis != "interpreter":
            check_patterns(axis, configuration.names(axis), patterns, where)


def _check_deadline(where: str, seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConfigurationError(f"{where}: deadline-s = {seconds} is not a number of seconds")


def _check_context(context: Context) -> None:
    if context.calling is Calling.FORK and not context.prelude.strip():
        raise ConfigurationError(
            f"context {context.name!r}: calling = 'fork' needs a prelude, "
            "which the parent runs before it forks"
        )


def _check_python(layout: Layout) -> None:
    try:
        SpecifierSet(layout.python)
    except InvalidSpecifier:
        raise ConfigurationError(
            f"layout {layout.name!r}: python = {layout.python!r} is not a version specifier "
            "such as '>=3.8,<3.13'"
        ) from None


def _check_variables(profile: Profile) -> None:
    for variable in (*profile.set, *profile.unset):
        if not variable or "=" in variable or "\0" in variable:
            raise ConfigurationError(
                f"profile {profile.name!r}: {variable!r} cannot be the name of a variable"
            )
