"""A report in Markdown, for a job's summary in continuous integration: worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from deadlock_matrix.diagnosis import rates
from deadlock_matrix.diagnosis.grouping import (
    fold,
    grouped,
    layout_of,
    profile_of,
)
from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.study.claims import Outcome
from deadlock_matrix.diagnosis.study.study import Study, listings_of, tested_claims
from deadlock_matrix.diagnosis.study.tables import Field, Listing
from deadlock_matrix.diagnosis.text import count, listed
from deadlock_matrix.model.comparison import Comparison, GateResult
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render import answer, view
from deadlock_matrix.render.causes import known_causes
from deadlock_matrix.render.headline import MARKS, headline
from deadlock_matrix.render.last_words import last_words
from deadlock_matrix.render.markup import code, details, escaped, fenced, table
from deadlock_matrix.render.mermaid import mermaid
from deadlock_matrix.render.stacks import short_stacks

SMALLEST_LIMIT = 4000
_CUT_NOTE = 600  # bytes kept free for the sentence about what was cut
_SHOWN = 10  # cells that are listed together
_GRAPHS = 8  # a page with more pictures takes long to draw


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A part that is shown whole or not at all; ``what`` names it if it is cut."""

    what: str
    text: str


def markdown(
    report: Report,
    *,
    limit: int = 1_000_000,
    causes: Sequence[Cause] = (),
    studies: Sequence[Study] = (),
    comparison: Comparison | None = None,
    gate: GateResult | None = None,
) -> str:
    """Return the report as GitHub's Markdown. Nothing that a probe wrote can act as markup.

    Args:
        report: The report.
        limit: Most bytes of UTF-8; GitHub takes 1 MiB. What is less important is left out, and a
            sentence says how much.
        causes: Known causes, to be looked for in what hung or failed.
        studies: Studies whose tables and findings are shown, too.
        comparison: A comparison with an earlier report, shown before everything else.
        gate: What the gate says about the comparison.

    Raises:
        ValueError: ``limit`` is below `SMALLEST_LIMIT`.
    """
    if limit < SMALLEST_LIMIT:
        raise ValueError(f"limit is {limit} bytes; a summary needs {SMALLEST_LIMIT}")
    first = "\n".join(_head(report))
    blocks = [
        *(_compared(comparison, gate) if comparison is not None else ()),
        *_broken_controls(report),
        *_answer(report, studies),
        *_study_tables(report, studies),
        *_problems(report.cells),
        *_one("rates", rates.TITLE, rates.rate_lines(report.cells)),
        *_one("known causes", view.CAUSES, known_causes(report, causes)),
        *_one("what is not available", view.UNAVAILABLE, answer.unavailable(report)),
        *_tables(report, studies),
        *_listings(listings_of(report, studies)),
        *_claims(report, studies),
        *_controls(report),
        *_one("notes", view.NOTES, report.notes),
    ]
    return _within(first, blocks, limit)


def _within(first: str, blocks: Sequence[Block], limit: int) -> str:
    """Join as many blocks as there is room for, in their order."""
    left = limit - len(first.encode()) - _CUT_NOTE
    shown: list[str] = []
    cut: Counter[str] = Counter()
    for block in blocks:
        size = len(block.text.encode()) + 2
        if size > left:
            cut[block.what] += 1
            continue
        shown.append(block.text)
        left -= size
    if cut:
        what = listed([f"{number} {name}" for name, number in cut.items()])
        first += f"\n\n**Cut to {limit} bytes:** left out are {what}; the report has everything."
    return "\n\n".join([first, *shown]) + "\n"


def _head(report: Report) -> Iterator[str]:
    first, *rest = headline(report)
    yield f"## {MARKS[report.outcome]} deadlock-matrix: {escaped(first, 300)}"
    yield ""
    yield "  \n".join(escaped(line, 300) for line in rest)


# --- what changed ---------------------------------------------------------------------------------


def _compared(comparison: Comparison, gate: GateResult | None) -> Iterator[Block]:
    lines = [f"### Compared with {escaped(comparison.before.run, 200)}", ""]
    if gate is not None:
        lines.append(f"**gate: {'passed' if gate.passed else 'failed'}**  ")
    lines.append(view.how_much_changed(comparison))
    yield Block(what="heads of comparisons", text="\n".join(lines))
    # Python's sort keeps the order of equals, and changes come worst first.
    for each in sorted(view.changed(comparison, gate), key=lambda each: not each.fails):
        word = f"**fails: {each.kind.value}**" if each.fails else each.kind.value
        cells = [change.cell for change in each.changes]
        lines = [f"- {word}: {escaped(each.sentence)}", *_cells(cells)]
        yield Block(what="changes", text="\n".join(lines))


def _cells(cells: Sequence[str]) -> Iterator[str]:
    yield from (f"  - {code(cell)}" for cell in cells[:_SHOWN] if cell)
    if len(cells) > _SHOWN:
        yield f"  - and {len(cells) - _SHOWN} more"


# --- the answer ---------------------------------------------------------------------------------


def _answer(report: Report, studies: Sequence[Study]) -> Iterator[Block]:
    lines = [f"### {answer.TITLE}", ""]
    told = answer.told(report, studies)
    for number, each in enumerate(told):
        sentence = escaped(each.sentence)
        lines.append(f"**{sentence}**" if number == 0 else f"- {sentence}")
        lines += [f"  - {escaped(line)}" for line in each.lines]
        lines += [""] * (number == 0)
    if told:
        yield Block(what="answers", text="\n".join(lines).rstrip())


def _study_tables(report: Report, studies: Sequence[Study]) -> Iterator[Block]:
    for title, tables in view.tables_by_title(report, studies):
        for number, each in enumerate(tables):
            above = "" if number else f"### {escaped(title)}\n\n"
            header = [escaped(each.first), "interpreters", *map(escaped, each.columns)]
            rows = [
                [escaped(row.name), escaped(", ".join(row.interpreters)), *map(_fate, row.fields)]
                for row in each.rows
            ]
            yield Block(what="tables of studies", text=above + table(header, rows))


def _fate(field: Field) -> str:
    text = escaped(field.text)
    return text if field.worst in (None, Verdict.OK) else f"**{text}**"


def _listings(listings: Iterable[Listing]) -> Iterator[Block]:
    for each in listings:
        lines = (line for item in each.items
                 for line in (item.sentence, *(f" {line}" for line in item.lines)))  # fmt: skip
        yield from _one("a study", escaped(each.title), lines)


# --- the matrix -----------------------------------------------------------------------------------


def _tables(report: Report, studies: Sequence[Study]) -> Iterator[Block]:
    def unexpected(shown: view.InterpreterView) -> int:
        return sum(not each.as_expected for each in shown.results)

    for each in sorted(view.interpreters(report, studies), key=unexpected, reverse=True):
        layouts = list(grouped(each.results, layout_of))
        rows = [
            [escaped(profile, 200), *(_field(results, layout) for layout in layouts)]
            for profile, results in grouped(each.results, profile_of).items()
        ]
        header = ["profile", *(escaped(layout, 200) for layout in layouts)]
        described = escaped(f": {each.described}", 300) if each.described else ""
        title = f"### {escaped(each.name, 200)}{described}"
        yield Block(what="tables", text=f"{title}\n\n{table(header, rows)}")


def _field(results: Sequence[CellResult], layout: str) -> str:
    part = [result for result in results if layout_of(result) == layout]
    if not part:
        return ""
    field = fold(part)
    return f"**{field.label}**" if field.unexpected else field.label


def _problems(results: Sequence[CellResult]) -> Iterator[Block]:
    graphs = 0
    for number, each in enumerate(view.problems(results)):
        lines = [f"### {view.PROBLEMS}", ""] if number == 0 else []
        first, *more = each.told
        word = (
            f"{each.verdict.value} (expected)" if each.as_expected else f"**{each.verdict.value}**"
        )
        lines.append(f"- {word}: {escaped(first)}")
        lines += [f"  - {escaped(line)}" for line in more]
        lines += _cells([result.cell.id for result in each.results])
        if said := "\n".join(last_words(each.results[0])):
            lines += ["", fenced(said)]
        yield Block(what="problems", text="\n".join(lines))
        if drawn := _graph(each.results[0]):
            graphs += 1
            if graphs <= _GRAPHS:
                yield Block(what="graphs", text=drawn)
        if stacks := "\n".join(short_stacks(each.results[0])):
            yield Block(what="stacks", text=details("stacks", fenced(stacks)))


def _graph(result: CellResult) -> str:
    proof = result.judgement.proof if result.judgement is not None else None
    source = mermaid(proof) if proof is not None else ""
    return details("who waits for whom", fenced(source, "mermaid")) if source else ""


# --- what is known --------------------------------------------------------------------------------


def _claims(report: Report, studies: Sequence[Study]) -> Iterator[Block]:
    rows = [
        [escaped(each.claim.name), answer.outcome.value,
         escaped(", ".join(answer.interpreters), 200), escaped(answer.sentence)]
        for each in tested_claims(report, studies)
        for answer in each.answers
        if answer.outcome is not Outcome.NOT_TESTABLE
    ]  # fmt: skip
    if rows:
        shown = table(["claim", "outcome", "interpreter", "measured"], rows)
        yield Block(what="lists of claims", text=f"### {view.CLAIMS}\n\n{shown}")


def _broken_controls(report: Report) -> Iterator[Block]:
    lines = [
        f"- **{each.result.verdict.value}**, {code(each.result.cell.id)} {escaped(each.wrong)}"
        for each in view.controls(report)
        if each.wrong
    ]
    lines += [f"- **not run**: {code(name)}" for name in report.summary.controls_missing]
    if lines:
        text = "\n".join(["### Controls that are not right", "", *lines])
        yield Block(what="controls that are not right", text=text)


def _controls(report: Report) -> Iterator[Block]:
    right = [each.result for each in view.controls(report) if not each.wrong]
    if right:
        lines = [f"- {result.verdict.value}: {code(result.cell.id)}" for result in right]
        text = details(f"{count(len(right), 'control')} right", "\n".join(lines))
        yield Block(what="lists of controls", text=text)


def _one(what: str, title: str, lines: Iterable[str]) -> Iterator[Block]:
    shown = [f"{'  ' * line.startswith(' ')}- {escaped(line)}" for line in lines]
    if shown:
        yield Block(what=f"section of {what}", text="\n".join([f"### {title}", "", *shown]))
