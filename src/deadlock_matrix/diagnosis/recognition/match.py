"""The result of looking for one sign: it was seen, it is not there, or nobody could look."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

Bindings = dict[str, str]
"""What named groups of patterns matched, by group; within a sign, a group means a single text."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """It is there; ``where`` says in which thread, line or file."""

    where: str
    bound: Bindings = {}


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody looked where it would be, and it is not there."""


class Unlooked(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody could look, and why not."""

    why: str


Look = Seen | Absent | Unlooked
ABSENT = Absent()


def both(first: Look, second: Look) -> Look:
    """Combine the results for two things that must both be there."""
    for look in (first, second):
        if isinstance(look, Absent):
            return look
    for look in (first, second):
        if isinstance(look, Unlooked):
            return look
    assert isinstance(first, Seen) and isinstance(second, Seen)
    where = ", ".join(dict.fromkeys(filter(None, (first.where, second.where))))
    return Seen(where=where, bound=first.bound | second.bound)


def every(looks: Iterable[Look]) -> Look:
    """Combine results that must all be there; after an absent one nothing more is asked for."""
    found: Look = Seen(where="")
    for look in looks:
        found = both(found, look)
        if isinstance(found, Absent):
            return found
    return found


def best(looks: Iterable[Look]) -> Look:
    """Choose one of these: the first that was seen, else the first nobody could look for."""
    found: Look = ABSENT
    for look in looks:
        if isinstance(look, Seen):
            return look
        if isinstance(found, Absent):
            found = look
    return found
