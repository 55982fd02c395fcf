"""A report in Markdown, for the summary of a job in continuous integration: worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from deadlock_matrix.diagnosis.causes import Cause
from deadlock_matrix.diagnosis.claims import Outcome, examine
from deadlock_matrix.model.comparison import Change, ChangeKind, Comparison, GateResult
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render import answer, fork_tables
from deadlock_matrix.render.causes import known_causes
from deadlock_matrix.render.failure import reasons
from deadlock_matrix.render.grid import (
    by_severity,
    fold,
    grouped,
    interpreter_of,
    layout_of,
    profile_of,
)
from deadlock_matrix.render.headline import MARKS, headline
from deadlock_matrix.render.last_words import last_words
from deadlock_matrix.render.markup import code, details, escaped, fenced, table
from deadlock_matrix.render.mermaid import mermaid
from deadlock_matrix.render.plain import count, listed
from deadlock_matrix.render.stacks import short_stacks

SMALLEST_LIMIT = 4000
_CUT_NOTE = 600  # bytes kept free for the sentence about what was cut
_SHOWN = 10  # cells of which the same is to be told
_GRAPHS = 8  # a page with more pictures takes long to draw


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A part that is shown whole or not at all; ``what`` is its name if it is cut."""

    what: str
    text: str


def markdown(
    report: Report,
    *,
    limit: int = 1_000_000,
    causes: Sequence[Cause] = (),
    comparison: Comparison | None = None,
    gate: GateResult | None = None,
) -> str:
    """The report as GitHub's Markdown. Nothing that a probe wrote can act as markup.

    Args:
        report: What is shown.
        limit: Bytes of UTF-8 that it may have; GitHub takes 1 MiB. What is less important is left
            out, and a sentence says how much.
        causes: Known causes, to be looked for in what hung or failed.
        comparison: With an earlier report, shown before everything else.
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
        *_answer(report),
        *_fork_tables(report),
        *_problems(report.cells),
        *_one("known causes", "Known causes", known_causes(report, causes)),
        *_one("what is not available", "Not available", answer.unavailable(report)),
        *_tables(report),
        *_claims(report),
        *_controls(report),
        *_one("notes", "About this run", report.notes),
    ]
    return _within(first, blocks, limit)


def _within(first: str, blocks: Sequence[Block], limit: int) -> str:
    """As many blocks as there is room for, in their order."""
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
    failed = frozenset(gate.failed) if gate is not None else frozenset[Change]()
    lines = [f"### Compared with {escaped(comparison.before.run, 200)}", ""]
    if gate is not None:
        lines.append(f"**gate: {'passed' if gate.passed else 'failed'}**  ")
    changed = len({change.cell for change in comparison.changes if "/" in change.cell})
    lines.append(f"{count(changed, 'cell')} changed, {comparison.unchanged} not")
    yield Block(what="heads of comparisons", text="\n".join(lines))
    groups: dict[tuple[ChangeKind, str, bool], list[str]] = {}
    for change in comparison.changes:
        key = (change.kind, change.sentence, change in failed)
        groups.setdefault(key, []).append(change.cell)
    # Python's sort keeps the order of equals, and changes come worst first.
    for (kind, sentence, fails), cells in sorted(groups.items(), key=lambda item: not item[0][2]):
        word = f"**fails: {kind.value}**" if fails else kind.value
        lines = [f"- {word}: {escaped(sentence)}", *_cells(cells)]
        yield Block(what="changes", text="\n".join(lines))


def _cells(cells: Sequence[str]) -> Iterator[str]:
    yield from (f"  - {code(cell)}" for cell in cells[:_SHOWN] if cell)
    if len(cells) > _SHOWN:
        yield f"  - and {len(cells) - _SHOWN} more"


# --- the answer ---------------------------------------------------------------------------------


def _answer(report: Report) -> Iterator[Block]:
    lines = [f"### {answer.TITLE}", ""]
    told = answer.told(report)
    for number, each in enumerate(told):
        sentence = escaped(each.sentence)
        lines.append(f"**{sentence}**" if number == 0 else f"- {sentence}")
        lines += [f"  - {escaped(line)}" for line in each.lines]
        lines += [""] * (number == 0)
    if told:
        yield Block(what="answers", text="\n".join(lines).rstrip())


def _fork_tables(report: Report) -> Iterator[Block]:
    for number, each in enumerate(fork_tables.fork_tables(report)):
        title = "" if number else f"### {fork_tables.TITLE}\n\n"
        header = [fork_tables.FIRST, "interpreters", *map(escaped, each.questions)]
        rows = [
            [
                escaped(row.blas),
                escaped(", ".join(row.interpreters)),
                *(_fate(text, worst) for text, worst in row.fields),
            ]
            for row in each.rows
        ]
        yield Block(what="fork tables", text=title + table(header, rows))


def _fate(text: str, worst: Verdict | None) -> str:
    return text if worst in (None, Verdict.OK) else f"**{text}**"


# --- the matrix -----------------------------------------------------------------------------------


def _tables(report: Report) -> Iterator[Block]:
    facts = {item.name: item for item in report.interpreters}
    groups = grouped(report.cells, interpreter_of)
    worst = sorted(groups, key=lambda name: -sum(not each.as_expected for each in groups[name]))
    missing = answer.never_ran(report)
    for name in worst:
        if name in missing:
            continue  # a line above says why
        layouts = list(grouped(groups[name], layout_of))
        rows = [
            [escaped(profile, 200), *(_field(results, layout) for layout in layouts)]
            for profile, results in grouped(groups[name], profile_of).items()
        ]
        header = ["profile", *(escaped(layout, 200) for layout in layouts)]
        title = f"### {escaped(name, 200)}{_identity(facts.get(name))}"
        yield Block(what="tables", text=f"{title}\n\n{table(header, rows)}")


def _field(results: Sequence[CellResult], layout: str) -> str:
    part = [result for result in results if layout_of(result) == layout]
    if not part:
        return ""
    field = fold(part)
    return f"**{field.label}**" if field.unexpected else field.label


def _identity(facts: InterpreterFacts | None) -> str:
    if facts is None or not isinstance(facts.fingerprint, Known):
        return ""
    found = facts.fingerprint.value
    parts = [f"{found.implementation} {found.version}", found.distribution]
    parts += [f"{key} {found.packages[key]}" for key in ("torch", "transformers")
              if key in found.packages]  # fmt: skip
    return escaped(f": {', '.join(part for part in parts if part)}", 300)


def _problems(results: Sequence[CellResult]) -> Iterator[Block]:
    groups: dict[tuple[Verdict, bool, tuple[str, ...]], list[CellResult]] = {}
    for result in by_severity(results):
        if result.verdict is Verdict.OK and result.as_expected:
            continue
        if result.verdict is Verdict.UNAVAILABLE:
            continue  # told by reason
        told = (result.why, *reasons(result))
        groups.setdefault((result.verdict, result.as_expected, told), []).append(result)
    graphs = 0
    for number, ((verdict, expected, told), group) in enumerate(groups.items()):
        lines = ["### Not ok", ""] if number == 0 else []
        word = f"{verdict.value} (expected)" if expected else f"**{verdict.value}**"
        lines.append(f"- {word}: {escaped(told[0])}")
        lines += [f"  - {escaped(line)}" for line in told[1:]]
        lines += _cells([result.cell.id for result in group])
        if said := "\n".join(last_words(group[0])):
            lines += ["", fenced(said)]
        yield Block(what="problems", text="\n".join(lines))
        if drawn := _graph(group[0]):
            graphs += 1
            if graphs <= _GRAPHS:
                yield Block(what="graphs", text=drawn)
        if stacks := "\n".join(short_stacks(group[0])):
            yield Block(what="stacks", text=details("stacks", fenced(stacks)))


def _graph(result: CellResult) -> str:
    proof = result.judgement.proof if result.judgement is not None else None
    source = mermaid(proof) if proof is not None else ""
    return details("who waits for whom", fenced(source, "mermaid")) if source else ""


# --- what is known --------------------------------------------------------------------------------


def _claims(report: Report) -> Iterator[Block]:
    rows = [
        [escaped(answer.claim), answer.outcome.value, escaped(answer.interpreter, 200),
         escaped(answer.sentence)]
        for answer in examine(report)
        if answer.outcome is not Outcome.NOT_TESTABLE
    ]  # fmt: skip
    if rows:
        shown = table(["claim", "outcome", "interpreter", "measured"], rows)
        yield Block(what="lists of claims", text=f"### Claims, and what was measured\n\n{shown}")


def _broken_controls(report: Report) -> Iterator[Block]:
    failed = frozenset(report.summary.controls_failed)
    lines = []
    for result in report.controls:
        if result.cell.id in failed:
            expected = listed([verdict.value for verdict in result.cell.expect], "or")
            lines.append(
                f"- **{result.verdict.value}**, must be {expected}: {code(result.cell.id)}: "
                f"{escaped(result.why)}"
            )
    lines += [f"- **not run**: {code(name)}" for name in report.summary.controls_missing]
    if lines:
        text = "\n".join(["### Controls that are not right", "", *lines])
        yield Block(what="controls that are not right", text=text)


def _controls(report: Report) -> Iterator[Block]:
    failed = frozenset(report.summary.controls_failed)
    right = [result for result in report.controls if result.cell.id not in failed]
    if right:
        lines = [f"- {result.verdict.value}: {code(result.cell.id)}" for result in right]
        text = details(f"{count(len(right), 'control')} right", "\n".join(lines))
        yield Block(what="lists of controls", text=text)


def _one(what: str, title: str, lines: Iterable[str]) -> Iterator[Block]:
    shown = [f"{'  ' * line.startswith(' ')}- {escaped(line)}" for line in lines]
    if shown:
        yield Block(what=f"section of {what}", text="\n".join([f"### {title}", "", *shown]))
