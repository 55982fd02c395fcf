"""Text from outside, made fit to stand in Markdown: it shows as it is, and does nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from deadlock_matrix.diagnosis.text import one_line, printable

_SYNTAX = frozenset("\\`*_[]|~^#")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"}
_LIST = re.compile(r"^(\d*)([-+=.)])")  # at the beginning of a line or of an item
# What GitHub makes of text after Markdown: mentions, numbers of issues, links, emoji. A comment,
# which nobody sees, parts the text there, so that it is not found.
_LINKED = re.compile(
    r"(?<=@)(?=\w)|(?<=#)(?=\d)|(?i:(?<=\bGH)(?=-\d))|(?<=:)(?=//)|(?i:(?<=www)(?=\.))"
    r"|(?<=:)(?=[\w+-]+:)"
)
_PARTED = "<!-- -->"
_LONGEST = 2000


def clipped(text: str, longest: int = _LONGEST) -> str:
    """``text`` on one line, at most so many characters long."""
    shown = one_line(text)
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def escaped(text: str, longest: int = _LONGEST) -> str:
    """One line of prose, also in a table: no HTML, no Markdown, no mention, no link."""
    parts = _LINKED.split(clipped(text, longest))
    literal = _PARTED.join("".join(map(_literal, part)) for part in parts)
    return _LIST.sub(r"\1\\\2", literal)


def code(text: str, longest: int = 300) -> str:
    """A piece of code in a line, not in a table; nothing in it is a mention or a link."""
    shown = clipped(text, longest) or " "
    fence = "`" * (_longest_run(shown) + 1)
    # A space is taken off at either end, and keeps a backtick of the text from the fence.
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown}{fence}"


def fenced(text: str, language: str = "text") -> str:
    """A block of code, with a fence that is longer than any inside."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return "\n".join([f"{fence}{language}", printable(text).rstrip("\n"), fence])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of fields that are escaped already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def details(summary: str, body: str) -> str:
    """A part that is folded away; ``summary`` is escaped already."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _literal(character: str) -> str:
    return f"\\{character}" if character in _SYNTAX else _ENTITIES.get(character, character)


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
