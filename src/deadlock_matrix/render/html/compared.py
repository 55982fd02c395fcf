"""An earlier report beside the one that is shown."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from deadlock_matrix.model.comparison import WORSE, Change, ChangeKind, Comparison, Side
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.render.headline import WORDS
from deadlock_matrix.render.html.cells import row
from deadlock_matrix.render.html.choices import Choices
from deadlock_matrix.render.html.document import ChangeGroup, Compared
from deadlock_matrix.render.html.pool import Pools
from deadlock_matrix.render.plain import count, one_line

_BETTER = frozenset(
    {
        ChangeKind.CURED_DEADLOCK, ChangeKind.CURED_HANG, ChangeKind.CURED_CRASH,
        ChangeKind.CURED_ERROR, ChangeKind.CURED_SLOW, ChangeKind.LESS_OFTEN,
        ChangeKind.NO_LONGER_EAGER, ChangeKind.FASTER,
    }
)  # fmt: skip


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier report, and what has changed since."""

    report: Report
    comparison: Comparison


def compared(base: Base, choices: Choices, pools: Pools) -> Compared:
    """The earlier report's cells under the names that their interpreters have now."""
    comparison = base.comparison
    now = {
        pair.before: pair.after
        for pair in comparison.interpreters
        if pair.before and pair.after and pair.before != pair.after
    }
    changed = len({change.cell for change in comparison.changes if "/" in change.cell})
    return Compared(
        before=_side(comparison.before),
        after=_side(comparison.after),
        headline=f"{count(changed, 'cell')} changed, {comparison.unchanged} did not",
        interpreters=tuple(
            (
                one_line(pair.after or pair.before),
                _verdicts(pair.verdicts_before),
                _verdicts(pair.verdicts_after),
            )
            for pair in comparison.interpreters
        ),
        changes=tuple(_groups(comparison.changes)),
        rows=tuple(
            row(_renamed(result, now), choices, pools, detail=-1) for result in base.report.cells
        ),
    )


def _groups(changes: tuple[Change, ...]) -> Iterator[ChangeGroup]:
    groups: dict[tuple[ChangeKind, str], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.kind, change.sentence), []).append(change)
    for (kind, sentence), each in groups.items():
        yield ChangeGroup(
            direction="worse" if kind in WORSE else "better" if kind in _BETTER else "other",
            kind=kind.value,
            sentence=one_line(sentence),
            cells=tuple(
                (one_line(change.cell), one_line(change.before), one_line(change.after))
                for change in each
            ),
        )


def _renamed(result: CellResult, names: dict[str, str]) -> CellResult:
    interpreter = result.cell.interpreter
    if interpreter.name not in names:
        return result
    interpreter = msgspec.structs.replace(interpreter, name=names[interpreter.name])
    cell = msgspec.structs.replace(result.cell, interpreter=interpreter)
    return msgspec.structs.replace(result, cell=cell)


def _side(side: Side) -> str:
    runs = f" of {count(len(side.runs), 'run')}" if len(side.runs) > 1 else ""
    return one_line(f"{side.run}{runs}, {count(side.cells, 'result')}, {WORDS[side.outcome]}")


def _verdicts(numbers: dict[str, int]) -> str:
    return ", ".join(f"{verdict} {number}" for verdict, number in numbers.items()) or "none"
