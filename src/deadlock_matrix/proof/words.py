"""Small pieces of sentences."""

from __future__ import annotations

from collections.abc import Sequence


def base_name(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


def alternatives(names: Sequence[str]) -> str:
    """Return ``SIGHUP, SIGINT or SIGTERM``."""
    return _joined(names, "or")


def enumeration(names: Sequence[str]) -> str:
    """Return ``thread 1, thread 2 and thread 3``."""
    return _joined(names, "and")


def _joined(names: Sequence[str], word: str) -> str:
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""


def duration(seconds: float) -> str:
    """Return ``0.8 s``, ``12 min``, ``28.0 h``."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
