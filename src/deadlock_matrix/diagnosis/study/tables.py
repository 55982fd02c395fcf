"""What a study adds to a report: tables and lists, in words that every format can show."""

from __future__ import annotations

import msgspec

from deadlock_matrix.model.verdict import Verdict


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a table; ``worst`` is the verdict that it shows, None if it shows none."""

    text: str
    worst: Verdict | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row, with the interpreters on which it was measured; they are listed under its name."""

    name: str
    interpreters: tuple[str, ...]
    fields: tuple[Field, ...]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table with a title; consecutive tables with the same title share it.

    ``short`` is the title in one word, ``first`` heads the names of the rows, ``columns`` their
    fields.
    """

    title: str
    short: str
    first: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence, with the lines that belong under it."""

    sentence: str
    lines: tuple[str, ...] = ()


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Sentences under a title."""

    title: str
    items: tuple[Item, ...]
