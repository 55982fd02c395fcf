"""What became of forked children, by the BLAS that was loaded, as tables of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from deadlock_matrix.diagnosis.grouping import SEVERITY, grouped, interpreter_of
from deadlock_matrix.diagnosis.study.tables import Field, Row, Table
from deadlock_matrix.model.cell import Calling
from deadlock_matrix.model.fact import unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.studies.splitlearn.blas import PRODUCT, asks_for_a_product, blas_in_effect

TITLE = "A product of matrices in a forked child"
SHORT = "Forks"
FIRST = "BLAS in the process"
_LAYER = "MKL_THREADING_LAYER"


def fork_tables(report: Report) -> list[Table]:
    """Tabulate by the order of the imports, and by the package's layout; empty if none ran.

    Only entries that ask numpy for a product of matrices count, as others do not hang on it; and
    only profiles that choose MKL's threads, or nothing: the others are reported as cures.
    Interpreters on the same BLAS share a row if the same became of their children.
    """
    results = [result for result in report.cells if _is_asked(result)]
    by_package = grouped(results, lambda result: str(_asks_by_package(result)))
    return [_table(report, part) for part in by_package.values()]


def _table(report: Report, results: Sequence[CellResult]) -> Table:
    questions = sorted(set(map(_question, results)), key=_order)
    rows = tuple(
        Row(
            name=blas,
            interpreters=names,
            fields=tuple(_became(grouped(part, _question).get(each, [])) for each in questions),
        )
        for blas, group in _by_blas(report, results).items()
        for names, part in _alike(group).items()
    )
    return Table(title=TITLE, short=SHORT, first=FIRST, columns=tuple(questions), rows=rows)


def _became(results: Sequence[CellResult]) -> Field:
    """Return ``ok``, ``deadlock``, with figures if not all cells are alike."""
    if not results:
        return Field(text="-")
    counts = Counter(result.verdict for result in results)
    worst_first = sorted(counts, key=SEVERITY.index)
    parts = [f"{verdict.value} {counts[verdict]}" for verdict in worst_first]
    text = ", ".join(parts) if len(parts) > 1 else worst_first[0].value
    return Field(text=text, worst=worst_first[0])


def _is_asked(result: CellResult) -> bool:
    cell = result.cell
    return (
        cell.context.calling is Calling.FORK_AGAIN
        and asks_for_a_product(cell)
        and result.verdict is not Verdict.UNAVAILABLE
        and set(cell.profile.set) <= {_LAYER}
    )


def _asks_by_package(result: CellResult) -> bool:
    return result.cell.entry.name.startswith("package")


def _question(result: CellResult) -> str:
    """Return ``numpy``, ``torch, numpy``: the order of the imports; ``eager package``."""
    if _asks_by_package(result):
        # Layouts matter only to the entry that imports the package.
        return f"{result.cell.layout.name} package"
    order = result.cell.entry.name.removesuffix(PRODUCT).strip("-").split("-")
    return ", ".join(order) if order != [""] else "numpy"


def _order(question: str) -> tuple[int, str]:
    return question.count(","), question


def _by_blas(report: Report, results: Sequence[CellResult]) -> dict[str, list[CellResult]]:
    rows: dict[str, list[CellResult]] = {}
    for result in results:
        rows.setdefault(blas_in(report, result), []).append(result)
    return dict(sorted(rows.items()))


def _alike(results: Sequence[CellResult]) -> dict[tuple[str, ...], list[CellResult]]:
    """Group results of interpreters on which each question has the same verdicts."""
    groups: dict[frozenset[tuple[str, Verdict]], list[str]] = {}
    by_name = grouped(results, interpreter_of)
    for name, rows in by_name.items():
        verdicts = frozenset((_question(each), each.verdict) for each in rows)
        groups.setdefault(verdicts, []).append(name)
    return {
        tuple(names): [each for name in names for each in by_name[name]]
        for names in groups.values()
    }


def blas_in(report: Report, result: CellResult) -> str:
    """Return the BLAS that numpy computed on in a cell of a report, in words."""
    facts = report.fingerprints
    nothing = unknown("the interpreter was not identified")
    found = blas_in_effect(result, facts.get(interpreter_of(result), nothing))
    return found.or_else("not known")
