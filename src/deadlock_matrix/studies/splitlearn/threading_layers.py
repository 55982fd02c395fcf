"""What numpy computes on in each interpreter, under every profile."""

from __future__ import annotations

from collections.abc import Iterator

from deadlock_matrix.diagnosis.grouping import grouped, interpreter_of, profile_of
from deadlock_matrix.diagnosis.study.tables import Item, Listing
from deadlock_matrix.diagnosis.text import count
from deadlock_matrix.model.cell import Calling
from deadlock_matrix.model.fact import Unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.studies.splitlearn.blas import PRODUCT
from deadlock_matrix.studies.splitlearn.forks import blas_in

TITLE = "What numpy computes on"


def threading_layers(report: Report) -> list[Listing]:
    """List, for each interpreter, the BLAS in effect and its threads, under every profile."""
    return [Listing(title=TITLE, items=tuple(_items(report)))]


def _items(report: Report) -> Iterator[Item]:
    results = [
        result
        for result in report.cells
        if result.cell.context.calling is Calling.MAIN
        and result.cell.entry.name == PRODUCT
        and result.verdict is Verdict.OK
    ]
    for interpreter, own in grouped(results, interpreter_of).items():
        said: dict[str, list[str]] = {}
        for profile, runs in grouped(own, profile_of).items():
            each = dict.fromkeys(f"{blas_in(report, run)}, {_threads(run)}" for run in runs)
            said.setdefault(" or ".join(each), []).append(profile)
        if len(said) == 1 and len(own) > 1:
            yield Item(sentence=f"{interpreter}: {next(iter(said))}, under every profile")
            continue
        lines = tuple(f"{told}: {', '.join(names)}" for told, names in said.items())
        yield Item(sentence=f"{interpreter}:", lines=lines)


def _threads(result: CellResult) -> str:
    facts = result.probe
    if facts is None or isinstance(facts.threads, Unknown):
        return "threads not counted"
    return count(len(facts.threads.value), "thread")
