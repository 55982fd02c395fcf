"""Text for people: numbers with their nouns, lists, durations; and text from outside, made fit.

Probes may print anything, even escape sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache


def count(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 cell``, ``2 cells``; ``plural`` if it is not the noun and an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


@lru_cache(maxsize=4096)  # thousands of processes load the same libraries
def base_name(path: str) -> str:
    """Return the last part of a path of any system."""
    return path.replace("\\", "/").rpartition("/")[2]


def short_name(path: str) -> str:
    """Return the last part of a path, with its folder if many files have that name."""
    name = base_name(path)
    folder = base_name(path.replace("\\", "/").removesuffix(f"/{name}"))
    return f"{folder}/{name}" if name.startswith("__") and folder != name else name


def printable(text: str) -> str:
    """Return ``text`` with all but printable characters, tabs and line ends escaped."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escaped(character)
        for character in text.replace("\r\n", "\n")
    )


def one_line(text: str) -> str:
    """Return ``text`` without line ends, as part of a sentence."""
    return printable(" ".join(text.split()))


def last_lines(text: str, count: int) -> tuple[str, ...]:
    """Return the last ``count`` lines that are not empty."""
    lines = [line.rstrip() for line in printable(text).splitlines() if line.strip()]
    return tuple(lines[-count:])


def seconds(value: float) -> str:
    """Return a duration: ``4 ms``, ``2.31 s``, ``48 s``, ``3 min 12 s``, ``2 h 5 min``."""
    if value < 0.9995:
        return f"{value * 1000:.1f} ms" if value < 0.00995 else f"{value * 1000:.0f} ms"
    if value < 9.995:
        return f"{value:.2f} s"
    whole = round(value)
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def listed(words: Sequence[str], joined: str = "and") -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {joined} {words[-1]}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
