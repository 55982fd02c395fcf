"""Text from outside, made fit for Markdown: it shows as it is, and does nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from deadlock_matrix.diagnosis.text import one_line, printable

_SYNTAX = frozenset("\\`*_[]|~^#")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"}
_LIST = re.compile(r"^(\d*)([-+=.)])")  # at the beginning of a line or of an item
# What GitHub makes of text after Markdown: mentions, issue numbers, links, emoji. An invisible
# comment splits the text there, so that GitHub does not find it.
_LINKED = re.compile(
    r"(?<=@)(?=\w)|(?<=#)(?=\d)|(?i:(?<=\bGH)(?=-\d))|(?<=:)(?=//)|(?i:(?<=www)(?=\.))"
    r"|(?<=:)(?=[\w+-]+:)"
)
_PARTED = "<!-- -->"
_LONGEST = 2000


def clipped(text: str, longest: int = _LONGEST) -> str:
    """Return ``text`` on one line, at most so many characters long."""
    shown = one_line(text)
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def escaped(text: str, longest: int = _LONGEST) -> str:
    """Escape a line of prose, also for a table: no HTML, no Markdown, no mention, no link."""
    parts = _LINKED.split(clipped(text, longest))
    literal = _PARTED.join("".join(map(_literal, part)) for part in parts)
    return _LIST.sub(r"\1\\\2", literal)


def code(text: str, longest: int = 300) -> str:
    """Return code within a line, but not in a table; nothing in it is a mention or a link."""
    shown = clipped(text, longest) or " "
    fence = "`" * (_longest_run(shown) + 1)
    # Markdown strips one space at either end, and the space keeps the text's backtick off the
    # fence.
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown}{fence}"


def fenced(text: str, language: str = "text") -> str:
    """Return a block of code, with a fence that is longer than any inside."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return "\n".join([f"{fence}{language}", printable(text).rstrip("\n"), fence])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of fields that are already escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def details(summary: str, body: str) -> str:
    """Return a folded part; ``summary`` is already escaped."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _literal(character: str) -> str:
    return f"\\{character}" if character in _SYNTAX else _ENTITIES.get(character, character)


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
