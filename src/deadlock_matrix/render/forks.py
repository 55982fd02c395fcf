"""What became of forked children, by the BLAS that was loaded, and what cures those that hang."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deadlock_matrix.diagnosis.blas import blas_in_effect
from deadlock_matrix.diagnosis.cures import Cures, cures, harms
from deadlock_matrix.diagnosis.endings import probe_facts
from deadlock_matrix.model.cell import Calling
from deadlock_matrix.model.fact import Known, Unknown, unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.drawing import RULED
from deadlock_matrix.render.grid import SEVERITY, grouped, interpreter_of, profile_of
from deadlock_matrix.render.plain import count, listed, one_line
from deadlock_matrix.render.tables import STYLES

_MULTIPLIES = "multiply"  # what the names of the entries end with that ask numpy for a product
_LAYER = "MKL_THREADING_LAYER"
_FIELD_WIDTH = 8


def forked_children(report: Report) -> Iterator[RenderableType]:
    """Tables: the BLAS in the process by the order of imports, and what became of the child.

    Only of entries that ask numpy for a product of matrices: others' results do not hang on it; and
    only under profiles that choose MKL's threads, or nothing: what others do is told as a cure.
    Interpreters on the same BLAS share a row if the same became of their children.
    """
    results = [result for result in report.cells if _asks_for_a_product(result)]
    if not results:
        return
    # By the order of the imports, and by the layout of the package: two tables that fit.
    by_package = grouped(results, lambda result: str(_asks_by_package(result)))
    for number, part in enumerate(by_package.values()):
        yield from [Text("")] * bool(number)
        yield _table(_by_blas(report, part), sorted(set(map(_question, part)), key=_order))


def _table(by_blas: Mapping[str, Sequence[CellResult]], questions: Sequence[str]) -> Table:
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column("BLAS in the process", overflow="fold")
    for question in questions:
        table.add_column(question, overflow="fold", min_width=_FIELD_WIDTH)
    for blas, group in by_blas.items():
        for names, part in _alike(group).items():
            by_question = grouped(part, _question)
            fields = (_became(by_question.get(question, [])) for question in questions)
            first = Group(Text(blas), Padding(Text(", ".join(names)), (0, 0, 0, 2)))
            table.add_row(first, *fields)
    return table


def _became(results: Sequence[CellResult]) -> Text:
    """``ok``, ``deadlock``; with figures where not all results are alike."""
    if not results:
        return Text("-")
    counts = Counter(result.verdict for result in results)
    worst_first = sorted(counts, key=SEVERITY.index)
    parts = [f"{verdict.value} {counts[verdict]}" for verdict in worst_first]
    text = ", ".join(parts) if len(parts) > 1 else worst_first[0].value
    return Text(text, style=STYLES[worst_first[0]])


def threading_layers(report: Report) -> Iterator[RenderableType]:
    """For each interpreter: the BLAS in effect and its threads, under every profile."""
    results = [
        result
        for result in report.cells
        if result.cell.context.calling is Calling.MAIN
        and result.cell.entry.name == _MULTIPLIES
        and result.verdict is Verdict.OK
    ]
    for interpreter, rows in grouped(results, interpreter_of).items():
        said: dict[str, list[str]] = {}
        for profile, runs in grouped(rows, profile_of).items():
            each = dict.fromkeys(f"{_blas(report, run)}, {_threads(run)}" for run in runs)
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


def _asks_for_a_product(result: CellResult) -> bool:
    cell = result.cell
    return (
        cell.context.calling is Calling.FORK_AGAIN
        and cell.entry.name.endswith(_MULTIPLIES)
        and result.verdict is not Verdict.UNAVAILABLE
        and set(cell.profile.set) <= {_LAYER}
    )


def _asks_by_package(result: CellResult) -> bool:
    return result.cell.entry.name.startswith("package")


def _question(result: CellResult) -> str:
    """``numpy``, ``torch, numpy``: the order of the imports; ``eager package``."""
    if _asks_by_package(result):
        # Layouts matter to the entry that imports the package, and to no other.
        return f"{result.cell.layout.name} package"
    order = result.cell.entry.name.removesuffix(_MULTIPLIES).strip("-").split("-")
    return ", ".join(order) if order != [""] else "numpy"


def _order(question: str) -> tuple[int, str]:
    return question.count(","), question


def _by_blas(report: Report, results: Sequence[CellResult]) -> dict[str, list[CellResult]]:
    rows: dict[str, list[CellResult]] = {}
    for result in results:
        rows.setdefault(_blas(report, result), []).append(result)
    return dict(sorted(rows.items()))


def _alike(results: Sequence[CellResult]) -> dict[tuple[str, ...], list[CellResult]]:
    """Results by interpreters of which each question has the same verdicts."""
    groups: dict[frozenset[tuple[str, Verdict]], list[str]] = {}
    by_name = grouped(results, interpreter_of)
    for name, rows in by_name.items():
        verdicts = frozenset((_question(each), each.verdict) for each in rows)
        groups.setdefault(verdicts, []).append(name)
    return {
        tuple(names): [each for name in names for each in by_name[name]]
        for names in groups.values()
    }


def _blas(report: Report, result: CellResult) -> str:
    facts = {each.name: each.fingerprint for each in report.interpreters}
    nothing = unknown("the interpreter was not identified")
    found = blas_in_effect(result, facts.get(interpreter_of(result), nothing))
    return one_line(found.value if isinstance(found, Known) else "not known")


def _threads(result: CellResult) -> str:
    facts = probe_facts(result)
    if facts is None or isinstance(facts.threads, Unknown):
        return "threads not counted"
    return count(len(facts.threads.value), "thread")
