"""What a page tells besides its cells: interpreters, claims, times, cures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deadlock_matrix.diagnosis.claims import CLAIMS, Answer, Outcome, examine
from deadlock_matrix.diagnosis.cures import cures
from deadlock_matrix.diagnosis.findings import findings, short_name
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import Fingerprint, InterpreterFacts
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.render.finished import factor_text, median_s, speedup
from deadlock_matrix.render.fork_tables import FIRST, fork_tables
from deadlock_matrix.render.grid import entry_of, grouped, interpreter_of, layout_of
from deadlock_matrix.render.html.document import (
    ClaimAnswers,
    ForkView,
    InterpreterView,
    TimesTable,
)
from deadlock_matrix.render.plain import one_line, seconds

_COMPARED = "lazy is"
_MATTERING = ("torch", "transformers", "numpy")


def interpreter_views(report: Report) -> Iterator[InterpreterView]:
    """What each interpreter is, as measured."""
    for facts in report.interpreters:
        known = facts.fingerprint
        if isinstance(known, Known):
            yield _interpreter(facts, known.value)
        else:
            yield InterpreterView(
                name=one_line(facts.name),
                summary=f"not identified: {one_line(known.reason)}",
                facts=tuple(_variables(facts)),
                findings=(),
                libraries=(),
                packages=(),
            )


def _interpreter(facts: InterpreterFacts, found: Fingerprint) -> InterpreterView:
    packages = found.packages
    parts = [f"{found.implementation} {found.version}", found.distribution]
    parts += ["free-threaded"] * found.free_threaded
    parts += [f"{name} {packages[name]}" for name in _MATTERING if name in packages]
    libraries = found.libraries.value if isinstance(found.libraries, Known) else ()
    return InterpreterView(
        name=one_line(facts.name),
        summary=one_line(", ".join(filter(None, parts))),
        facts=(("build", one_line(found.build)), *_variables(facts)),
        findings=tuple(one_line(finding.sentence) for finding in findings(found)),
        libraries=tuple(
            (one_line(short_name(each)), one_line(", ".join(each.users)), one_line(each.path))
            for each in libraries
        ),
        packages=tuple(one_line(f"{name} {packages[name]}") for name in sorted(packages)),
    )


def _variables(facts: InterpreterFacts) -> Iterator[tuple[str, str]]:
    yield "executable", one_line(facts.executable)
    for name, value in facts.set.items():
        yield "sets", one_line(f"{name}={value}")
    if isinstance(facts.fingerprint, Known):
        libraries = facts.fingerprint.value.libraries
        if not isinstance(libraries, Known):
            yield "libraries", f"not known: {one_line(libraries.reason)}"


def claim_answers(report: Report, rows: Mapping[str, int]) -> Iterator[ClaimAnswers]:
    """Each claim that was tested, then the others; ``rows`` leads from a cell's id to its row."""
    answers: dict[str, list[Answer]] = {}
    for answer in examine(report):
        answers.setdefault(answer.claim, []).append(answer)
    tested = [name for name, each in answers.items() if any(map(_told, each))]
    if not tested:
        return
    for claim in sorted(CLAIMS, key=lambda claim: claim.name not in tested):
        yield ClaimAnswers(
            statement=one_line(claim.statement),
            source=claim.source,
            answers=tuple(_alike(answers.get(claim.name, ()), rows)),
        )


def _told(answer: Answer) -> bool:
    return answer.outcome is not Outcome.NOT_TESTABLE


def _alike(
    answers: Sequence[Answer], rows: Mapping[str, int]
) -> Iterator[tuple[str, str, tuple[str, ...], tuple[int, ...]]]:
    groups: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        groups.setdefault((answer.outcome.value, answer.sentence), []).append(answer)
    for (outcome, sentence), each in groups.items():
        cells = dict.fromkeys(
            rows[cell] for answer in each for cell in answer.cells if cell in rows
        )
        names = tuple(one_line(answer.interpreter) for answer in each)
        yield outcome, one_line(sentence), names, tuple(cells)


def times_tables(report: Report) -> Iterator[TimesTable]:
    """Median time of each entry, by layout, on each interpreter where one came to its end."""
    for interpreter, results in grouped(report.cells, interpreter_of).items():
        medians = {
            entry: {
                layout: time
                for layout, part in grouped(own, layout_of).items()
                if (time := median_s(part)) is not None
            }
            for entry, own in grouped(results, entry_of).items()
        }
        layouts = [
            name
            for name in grouped(results, layout_of)
            if any(name in each for each in medians.values())
        ]
        if layouts:
            yield _times(interpreter, layouts, medians)


def _times(
    interpreter: str, layouts: Sequence[str], medians: Mapping[str, Mapping[str, float]]
) -> TimesTable:
    factors = {entry: speedup(times) for entry, times in medians.items()}
    compared = any(factor is not None for factor in factors.values())
    rows: list[tuple[str, tuple[str, ...]]] = []
    for entry, times in medians.items():
        fields = [seconds(times[name]) if name in times else "" for name in layouts]
        factor = factors[entry]
        fields += [factor_text(factor) if factor is not None else ""] * compared
        if times:
            rows.append((one_line(entry), tuple(fields)))
    return TimesTable(
        interpreter=one_line(interpreter),
        layouts=(*map(one_line, layouts), *([_COMPARED] * compared)),
        rows=tuple(rows),
    )


def cure_rows(results: Sequence[CellResult]) -> Iterator[tuple[str, ...]]:
    """Each place that hangs under the baseline, and what the other profiles do to it."""
    for each in cures(results):
        if each.cured or each.uncured or each.otherwise:
            place = f"{each.interpreter}/{each.layout}/{each.entry}/{each.context}"
            told = (each.cured, each.uncured, each.otherwise)
            yield one_line(place), *(one_line(", ".join(names)) for names in told)


def fork_views(report: Report) -> Iterator[ForkView]:
    """What became of forked children, by the BLAS in the process and the order of the imports."""
    for each in fork_tables(report):
        yield ForkView(
            head=(FIRST, "interpreters", *map(one_line, each.questions)),
            rows=tuple(
                (
                    one_line(row.blas),
                    one_line(", ".join(row.interpreters)),
                    tuple((text, worst.value if worst else "") for text, worst in row.fields),
                )
                for row in each.rows
            ),
        )
