"""What a page shows besides its cells: interpreters, claims, times, cures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deadlock_matrix.diagnosis.cures import cures
from deadlock_matrix.diagnosis.grouping import grouped, interpreter_of
from deadlock_matrix.diagnosis.libraries import short_name
from deadlock_matrix.diagnosis.study.study import (
    Study,
    compared_by,
    tested_claims,
)
from deadlock_matrix.diagnosis.study.tables import Table
from deadlock_matrix.diagnosis.text import one_line, seconds
from deadlock_matrix.model.fact import Unknown
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.render.finished import compared_title, times
from deadlock_matrix.render.html.document import (
    ClaimAnswers,
    InterpreterView,
    StudyTable,
    StudyTables,
    TimesTable,
)
from deadlock_matrix.render.view import described, findings, tables_by_title


def interpreter_views(report: Report, studies: Sequence[Study]) -> Iterator[InterpreterView]:
    """Yield what each interpreter is, as measured."""
    for facts in report.interpreters:
        found = facts.fingerprint.or_else(None)
        packages = found.packages if found is not None else {}
        libraries = found.libraries.or_else(()) if found is not None else ()
        yield InterpreterView(
            name=one_line(facts.name),
            summary=described(facts, studies),
            facts=tuple(_facts(facts)),
            findings=findings(facts, studies),
            libraries=tuple(
                (one_line(short_name(each)), one_line(", ".join(each.users)), one_line(each.path))
                for each in libraries
            ),
            packages=tuple(one_line(f"{name} {packages[name]}") for name in sorted(packages)),
        )


def _facts(facts: InterpreterFacts) -> Iterator[tuple[str, str]]:
    found = facts.fingerprint.or_else(None)
    if found is not None:
        yield "build", one_line(found.build)
    yield "executable", one_line(facts.executable)
    for name, value in facts.set.items():
        yield "sets", one_line(f"{name}={value}")
    if found is not None and isinstance(found.libraries, Unknown):
        yield "libraries", f"not known: {one_line(found.libraries.reason)}"


def claim_answers(
    report: Report, studies: Sequence[Study], rows: Mapping[str, int]
) -> Iterator[ClaimAnswers]:
    """Yield each claim that was tested, then the others; ``rows`` maps a cell's id to its row."""
    for each in tested_claims(report, studies):
        yield ClaimAnswers(
            statement=one_line(each.claim.statement),
            source=each.claim.source,
            answers=tuple(
                (
                    answer.outcome.value,
                    one_line(answer.sentence),
                    tuple(map(one_line, answer.interpreters)),
                    tuple(dict.fromkeys(rows[cell] for cell in answer.cells if cell in rows)),
                )
                for answer in each.answers
            ),
        )


def times_tables(report: Report, studies: Sequence[Study]) -> Iterator[TimesTable]:
    """Yield median times of each entry, by layout, on each interpreter where one finished."""
    for interpreter, results in grouped(report.cells, interpreter_of).items():
        found = times(results, compared_by(studies))
        if found.layouts:
            yield TimesTable(
                interpreter=one_line(interpreter),
                layouts=(*map(one_line, found.layouts), *map(compared_title, found.compared)),
                rows=tuple(
                    (
                        one_line(entry),
                        (
                            *(seconds(row[name]) if name in row else "" for name in found.layouts),
                            *(found.factors[entry].get(name, "") for name in found.compared),
                        ),
                    )
                    for entry, row in found.medians.items()
                ),
            )


def cure_rows(results: Sequence[CellResult]) -> Iterator[tuple[str, ...]]:
    """Yield each place that hangs under the baseline, and what the other profiles do to it."""
    for each in cures(results):
        if each.tried:
            yield one_line(each.place), *(one_line(", ".join(names)) for names in each.tried)


def study_tables(report: Report, studies: Sequence[Study]) -> Iterator[StudyTables]:
    """Yield the tables of studies, those with the same title together."""
    for title, tables in tables_by_title(report, studies):
        yield StudyTables(
            title=one_line(title),
            short=one_line(tables[0].short),
            tables=tuple(map(_study_table, tables)),
        )


def _study_table(table: Table) -> StudyTable:
    return StudyTable(
        head=(one_line(table.first), "interpreters", *map(one_line, table.columns)),
        rows=tuple(
            (
                one_line(row.name),
                one_line(", ".join(row.interpreters)),
                tuple(
                    (one_line(field.text), field.worst.value if field.worst else "")
                    for field in row.fields
                ),
            )
            for row in table.rows
        ),
    )
