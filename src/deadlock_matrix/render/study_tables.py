"""The tables and listings of studies, on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Drawn
from rich.text import Text

from deadlock_matrix.diagnosis.study.tables import Field, Listing, Row, Table
from deadlock_matrix.diagnosis.text import one_line
from deadlock_matrix.render.drawing import RULED, section
from deadlock_matrix.render.tables import VERDICT_STYLES

_FIELD_WIDTH = 8


def table_sections(
    tables: Iterable[tuple[str, Sequence[Table]]],
) -> Iterator[RenderableType]:
    """Yield a section for each title, with its tables."""
    for title, alike in tables:
        yield from section(title, _spaced(alike))


def listing_sections(listings: Iterable[Listing]) -> Iterator[RenderableType]:
    """Yield a section for each listing."""
    for listing in listings:
        yield from section(listing.title, _lines(listing))


def _spaced(tables: Iterable[Table]) -> Iterator[RenderableType]:
    for number, each in enumerate(tables):
        yield from [Text("")] * bool(number)
        yield _drawn(each)


def _drawn(of: Table) -> Drawn:
    table = Drawn(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column(one_line(of.first), overflow="fold")
    for column in of.columns:
        table.add_column(one_line(column), overflow="fold", min_width=_FIELD_WIDTH)
    for row in of.rows:
        table.add_row(_name(row), *map(_field, row.fields))
    return table


def _name(row: Row) -> RenderableType:
    below = Text(one_line(", ".join(row.interpreters)))
    return Group(Text(one_line(row.name)), Padding(below, (0, 0, 0, 2)))


def _field(field: Field) -> Text:
    style = VERDICT_STYLES[field.worst] if field.worst is not None else ""
    return Text(one_line(field.text), style=style)


def _lines(listing: Listing) -> Iterator[RenderableType]:
    for item in listing.items:
        yield Text(one_line(item.sentence))
        yield from (Padding(Text(one_line(line)), (0, 0, 0, 4)) for line in item.lines)
