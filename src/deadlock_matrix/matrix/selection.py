"""Which cells of the matrix are wanted: presets, inclusion and exclusion, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.model.cell import AXES, Axis, Context
from deadlock_matrix.wording import suggestion

DEFAULT_PRESET = "default"
SMOKE_PRESET = "smoke"

Condition = dict[Axis, str]
Patterns = dict[Axis, tuple[str, ...]]


class _Frozen(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Coverage(StrEnum):
    """How densely a part of the matrix is covered."""

    FULL = "full"  # every combination
    PAIRWISE = "pairwise"  # every pair of values of two axes at least once


class Part(_Frozen, frozen=True, kw_only=True):
    """A block of the matrix: the values of each axis, by patterns; no pattern means all values."""

    axes: Patterns = {}
    coverage: Coverage = Coverage.FULL


class Preset(_Frozen, frozen=True, kw_only=True):
    """A selection with a name: the union of its parts."""

    name: str
    parts: tuple[Part, ...]
    summary: str = ""


class Selection(_Frozen, frozen=True, kw_only=True):
    """What the user asks for.

    Attributes:
        include: Conditions ``axis=pattern``. Of several about one axis any may hold; an axis that
            none is about may have every value.
        exclude: Conditions ``axis=pattern`` or ``axis=pattern,axis=pattern``; a cell for which all
            of one condition holds is left out.
        preset: The name of a preset; by default ``default``.
        coverage: Cover the whole matrix to this degree, instead of a preset.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    preset: str | None = None
    coverage: Coverage | None = None


def own_target_presets(contexts: Sequence[Context]) -> tuple[Preset, ...]:
    """Return presets for a target of the user's own, if the file defines none of these names.

    A context that needs distributions is left to those who request it: not every interpreter has
    them.
    """
    plain = tuple(context.name for context in contexts if not context.requires)
    return (
        Preset(
            name=DEFAULT_PRESET,
            summary="every profile from the main thread, and every context without variables",
            parts=(
                Part(axes={"context": ("main",)}),
                Part(axes={"profile": ("baseline",), "context": plain}),
            ),
        ),
        Preset(
            name=SMOKE_PRESET,
            summary="the entries as they are, from the main thread and from a second one",
            parts=(Part(axes={"profile": ("baseline",), "context": ("main", "thread")}),),
        ),
    )


def parse_condition(text: str) -> Condition:
    """Read ``axis=pattern`` or ``axis=pattern,axis=pattern``.

    Raises:
        ConfigurationError: It has another form, or names no axis.
    """
    condition: Condition = {}
    for piece in text.split(","):
        name, equals, pattern = (word.strip() for word in piece.partition("="))
        if not equals or not pattern:
            raise ConfigurationError(f"{text!r} is not of the form axis=value")
        axis = next((axis for axis in AXES if axis == name), None)
        if axis is None:
            raise ConfigurationError(
                f"{text!r}: no axis is called {name!r}{suggestion(name, AXES)}"
            )
        if axis in condition:
            raise ConfigurationError(f"{text!r} names the axis {axis!r} twice")
        condition[axis] = pattern
    return condition


def parse_coverage(text: str) -> Coverage:
    """Read the word for a coverage.

    Raises:
        ConfigurationError: There is no such coverage.
    """
    words = [coverage.value for coverage in Coverage]
    if text not in words:
        raise ConfigurationError(f"no coverage is called {text!r}{suggestion(text, words)}")
    return Coverage(text)
