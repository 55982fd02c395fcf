"""The tables of the terminal view: verdicts, and the time an entry takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from deadlock_matrix.diagnosis.grouping import Field, fold, grouped, layout_of, profile_of
from deadlock_matrix.diagnosis.text import one_line, seconds
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.drawing import RULED
from deadlock_matrix.render.finished import compared_title, times

VERDICT_STYLES: dict[Verdict, str] = {
    Verdict.OK: "green",
    Verdict.ERROR: "red",
    Verdict.CRASH: "red",
    Verdict.DEADLOCK: "bold red",
    Verdict.HANG: "bold red",
    Verdict.SLOW: "yellow",
    Verdict.UNAVAILABLE: "bright_black",
    Verdict.INVALID: "magenta",
}

_FIRST_WIDTH = 14
_GAP = 3  # between two columns


def verdict_tables(results: Sequence[CellResult], width: int) -> list[Table]:
    """Tabulate an interpreter's profiles by layouts; entries, contexts and repeats share fields."""
    layouts = list(grouped(results, layout_of))
    rows = {profile: _by_layout(row) for profile, row in grouped(results, profile_of).items()}
    return _tables("profile", layouts, rows, width)


def timing_tables(
    results: Sequence[CellResult], width: int, compared: Mapping[str, str]
) -> list[Table]:
    """Tabulate median seconds of each entry by layouts; empty if no entry has finished.

    ``compared`` maps layouts to those with which they are compared.
    """
    found = times(results, compared, beside=True)
    fields = {
        entry: {layout: Text(seconds(time)) for layout, time in row.items()}
        | {compared_title(layout): Text(told) for layout, told in found.factors[entry].items()}
        for entry, row in found.medians.items()
    }
    columns = list(found.layouts)
    for layout in found.compared:
        columns.insert(columns.index(layout) + 1, compared_title(layout))
    return _tables("median time of", columns, fields, width)


def _by_layout(results: Sequence[CellResult]) -> dict[str, Text]:
    return {
        layout: verdict_text(fold(part)) for layout, part in grouped(results, layout_of).items()
    }


def verdict_text(field: Field) -> Text:
    """Return a field's label in the colour of its worst verdict."""
    label = field.label.replace(Verdict.UNAVAILABLE.value, "n/a")
    return Text(label, style=VERDICT_STYLES[field.worst])


def _tables(
    first: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, Text]], width: int
) -> list[Table]:
    """Return one table, or as many as it takes to be no wider than ``width``, side by side."""
    widths = {
        column: max(len(column), *(len(row.get(column, "-")) for row in rows.values()))
        for column in columns
        if rows
    }
    start = max([_FIRST_WIDTH, *map(len, rows)])
    blocks: list[list[str]] = []
    left = 0
    for column, needed in widths.items():
        if left < needed + _GAP or not blocks:
            blocks.append([])
            left = max(width - start, 0)
        blocks[-1].append(column)
        left -= needed + _GAP
    return [_table(first, block, rows) for block in blocks]


def _table(first: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, Text]]) -> Table:
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column(first, min_width=_FIRST_WIDTH, overflow="fold")
    for column in columns:
        table.add_column(one_line(column), overflow="fold")
    for name, row in rows.items():
        if any(column in row for column in columns):
            fields = (row.get(column, Text("-")) for column in columns)
            table.add_row(one_line(name), *fields)
    return table
