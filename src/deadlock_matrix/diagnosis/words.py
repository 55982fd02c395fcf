"""Small pieces of sentences: a number with its noun, the name of a file without its folder."""

from __future__ import annotations


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 cell``, ``2 cells``; ``plural`` where it is not the noun and an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def base_name(path: str) -> str:
    """The last part of a path of any system."""
    return path.replace("\\", "/").rpartition("/")[2]
