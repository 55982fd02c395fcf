"""The values of the axes: their names, patterns over them, and what profiles set and unset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

import msgspec

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.schema import AxesTable, Patterns
from deadlock_matrix.model.cell import AXES, Axis, Profile
from deadlock_matrix.wording import duplicate, suggestion

# What a cell's id contains between slashes, and ``axis=pattern`` contains.
_NAME = re.compile(r"\w[\w.+-]*")


class Named(Protocol):
    """A value of an axis."""

    @property
    def name(self) -> str:
        """Unique within its axis."""


NamedT = TypeVar("NamedT", bound=Named)


def check_names(axis: str, values: Iterable[Named]) -> None:
    """Check that every value has a name that is fit for an id, and that no name occurs twice.

    Raises:
        ConfigurationError: One sentence about the first name that is wrong.
    """
    names = [value.name for value in values]
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{axis} {name!r}: a name is letters and digits, with '.', '_', '+' and '-' inside"
            )
    twice = duplicate(names)
    if twice is not None:
        raise ConfigurationError(f"{axis} {twice!r} is defined twice; give each its own name")


def to_name(text: str) -> str:
    """Return the name nearest to ``text``: characters that a name cannot contain become ``-``."""
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.+") or "unnamed"


def extend(built_in: Sequence[NamedT], own: Sequence[NamedT]) -> tuple[NamedT, ...]:
    """Return the built-in values, then the user's; one with a built-in's name replaces it."""
    replaced = {value.name: value for value in own}
    known = {value.name for value in built_in}
    kept = [replaced.get(value.name, value) for value in built_in]
    return (*kept, *(value for value in own if value.name not in known))


def isolate(profiles: Sequence[Profile]) -> tuple[Profile, ...]:
    """Make each profile unset every variable that another names and it does not set.

    So two cells differ by exactly what their profiles say, whatever the caller's environment is.

    Raises:
        ConfigurationError: A profile sets and unsets the same variable.
    """
    for profile in profiles:
        if both := sorted(set(profile.set) & set(profile.unset)):
            raise ConfigurationError(
                f"profile {profile.name!r} both sets and unsets {both[0]}; keep one of the two"
            )
    named = {variable for each in profiles for variable in (*each.set, *each.unset)}
    return tuple(
        msgspec.structs.replace(profile, unset=tuple(sorted(named - set(profile.set))))
        for profile in profiles
    )


def patterns_of(table: AxesTable) -> dict[Axis, tuple[str, ...]]:
    """Return the patterns of a table by axis; axes that it does not name are left out."""
    found: dict[Axis, tuple[str, ...]] = {}
    for axis in AXES:
        patterns: Patterns = getattr(table, axis)
        if patterns:
            found[axis] = (patterns,) if isinstance(patterns, str) else patterns
    return found


def choose(names: Sequence[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """Return those of ``names`` that ``patterns`` choose, in the order of ``names``.

    These are glob patterns, and case matters; one that begins with ``!`` removes what it matches.
    Without a pattern that adds, all names count.
    """
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return tuple(
        name
        for name in names
        if (not wanted or any(fnmatchcase(name, pattern) for pattern in wanted))
        and not any(fnmatchcase(name, pattern) for pattern in unwanted)
    )


def check_patterns(axis: str, names: Sequence[str], patterns: Sequence[str], where: str) -> None:
    """Check that each pattern matches a name.

    Raises:
        ConfigurationError: The first that does not, with the nearest right spelling.
    """
    for pattern in patterns:
        plain = pattern.removeprefix("!")
        if not any(fnmatchcase(name, plain) for name in names):
            raise ConfigurationError(
                f"{where}: no {axis} is called {plain!r}{suggestion(plain, names)}"
            )
