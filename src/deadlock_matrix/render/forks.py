"""What became of forked children, by the BLAS that was loaded, and what cures those that hang."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deadlock_matrix.diagnosis.blas import PRODUCT
from deadlock_matrix.diagnosis.cures import Cures, cures, harms
from deadlock_matrix.diagnosis.endings import probe_facts
from deadlock_matrix.model.cell import Calling
from deadlock_matrix.model.fact import Unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.drawing import RULED
from deadlock_matrix.render.fork_tables import FIRST, ForkTable, blas_of, fork_tables
from deadlock_matrix.render.grid import grouped, interpreter_of, profile_of
from deadlock_matrix.render.plain import count, listed, one_line
from deadlock_matrix.render.tables import VERDICT_STYLES

_FIELD_WIDTH = 8


def forked_children(report: Report) -> Iterator[RenderableType]:
    """The fork tables: the BLAS in the process by the order of imports, and the child's fate."""
    for number, each in enumerate(fork_tables(report)):
        yield from [Text("")] * bool(number)
        yield _table(each)


def _table(of: ForkTable) -> Table:
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column(FIRST, overflow="fold")
    for question in of.questions:
        table.add_column(question, overflow="fold", min_width=_FIELD_WIDTH)
    for row in of.rows:
        fields = (
            Text(text, style=VERDICT_STYLES[worst] if worst is not None else "")
            for text, worst in row.fields
        )
        first = Group(Text(row.blas), Padding(Text(", ".join(row.interpreters)), (0, 0, 0, 2)))
        table.add_row(first, *fields)
    return table


def threading_layers(report: Report) -> Iterator[RenderableType]:
    """For each interpreter: the BLAS in effect and its threads, under every profile."""
    results = [
        result
        for result in report.cells
        if result.cell.context.calling is Calling.MAIN
        and result.cell.entry.name == PRODUCT
        and result.verdict is Verdict.OK
    ]
    for interpreter, rows in grouped(results, interpreter_of).items():
        said: dict[str, list[str]] = {}
        for profile, runs in grouped(rows, profile_of).items():
            each = dict.fromkeys(f"{blas_of(report, run)}, {_threads(run)}" for run in runs)
            said.setdefault(" or ".join(each), []).append(profile)
        if len(said) == 1 and len(rows) > 1:
            yield one_line(f"{interpreter}: {next(iter(said))}, under every profile")
            continue
        yield one_line(f"{interpreter}:")
        for line in (f"{told}: {', '.join(names)}" for told, names in said.items()):
            yield Padding(Text(one_line(line)), (0, 0, 0, 4))


def cure_lines(results: Sequence[CellResult]) -> Iterator[RenderableType]:
    """What was tried on each place that hangs under the baseline; alike ones share their lines."""
    groups: dict[tuple[tuple[str, ...], ...], list[Cures]] = {}
    for each in cures(results):
        if each.cured or each.uncured or each.otherwise:
            key = each.cured, each.uncured, each.otherwise
            groups.setdefault(key, []).append(each)
    for (cured, uncured, otherwise), places in groups.items():
        for place in places:
            where = f"{place.interpreter}/{place.layout}/{place.entry}/{place.context}"
            yield one_line(f"{where}: hung in {place.hung} of {count(place.runs, 'run')}")
        for word, profiles in (
            ("cured by", cured), ("not by", uncured), ("something else under", otherwise)
        ):  # fmt: skip
            if profiles:
                yield Padding(Text(f"{word} {listed(profiles)}"), (0, 0, 0, 4))
    yield from _harm_lines(results)


def _harm_lines(results: Sequence[CellResult]) -> Iterator[RenderableType]:
    groups: dict[tuple[str, ...], list[Cures]] = {}
    for each in harms(results):
        groups.setdefault(each.uncured, []).append(each)
    for profiles, places in groups.items():
        for place in places:
            where = f"{place.interpreter}/{place.layout}/{place.entry}/{place.context}"
            yield one_line(f"{where}: comes through under the baseline")
        yield Padding(Text(f"made to hang by {listed(profiles)}"), (0, 0, 0, 4))


def _threads(result: CellResult) -> str:
    facts = probe_facts(result)
    if facts is None or isinstance(facts.threads, Unknown):
        return "threads not counted"
    return count(len(facts.threads.value), "thread")
