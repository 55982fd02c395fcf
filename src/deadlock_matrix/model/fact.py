"""A fact is known, with its source, or unknown, with its reason.

There is no third state: "could not look" is never written as ``None``, ``-1`` or ``False``,
because a proof must be able to tell "it is not so" from "nobody knows".
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")
D = TypeVar("D")


class Known(
    msgspec.Struct, Generic[T], frozen=True, kw_only=True, tag_field="fact", tag="known", gc=False
):
    """A value that was read, and where it was read."""

    value: T
    source: str

    def or_else(self, default: object) -> T:
        """Return the value."""
        return self.value


class Unknown(msgspec.Struct, frozen=True, kw_only=True, tag_field="fact", tag="unknown"):
    """A value that could not be read, and why not."""

    reason: str

    def or_else(self, default: D) -> D:
        """Return ``default``, where that value and not knowing come to the same."""
        return default


class Aside(Unknown, frozen=True, kw_only=True, tag="aside"):
    """A value that is known, but lies in a file beside the one that is read.

    Whoever does not follow the reference has an `Unknown` that says so. The file is named by its
    content: ``file`` is its path, with slashes, from the folder of the referring file, ``sha256``
    the hash of its bytes in hexadecimal, ``size`` their number; ``source`` is that of the value.
    """

    file: str
    sha256: str
    size: int
    source: str


def known(value: T, source: str) -> Known[T]:
    """Shorthand: ``known(3, "/proc/1/status")``."""
    return Known(value=value, source=source)


def unknown(reason: str) -> Unknown:
    """Shorthand: ``unknown("permission denied")``."""
    return Unknown(reason=reason)
