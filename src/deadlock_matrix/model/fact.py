"""A fact is known, with its source, or unknown, with its reason.

There is no third state: "could not look" is never written as ``None``, ``-1`` or ``False``,
because a proof must be able to tell "it is not so" from "nobody knows".
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Known(msgspec.Struct, Generic[T], frozen=True, kw_only=True, tag_field="fact", tag="known"):
    """A value that was read, and where it was read."""

    value: T
    source: str


class Unknown(msgspec.Struct, frozen=True, kw_only=True, tag_field="fact", tag="unknown"):
    """A value that could not be read, and why not."""

    reason: str


def known(value: T, source: str) -> Known[T]:
    """Shorthand: ``known(3, "/proc/1/status")``."""
    return Known(value=value, source=source)


def unknown(reason: str) -> Unknown:
    """Shorthand: ``unknown("permission denied")``."""
    return Unknown(reason=reason)
