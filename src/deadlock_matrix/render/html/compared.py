"""An earlier report beside the one that is shown."""

from __future__ import annotations

import msgspec

from deadlock_matrix.diagnosis.text import one_line
from deadlock_matrix.model.comparison import BETTER, WORSE, Comparison
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.render.html.cells import row
from deadlock_matrix.render.html.choices import Choices
from deadlock_matrix.render.html.document import ChangeGroup, Compared
from deadlock_matrix.render.html.pool import Pools
from deadlock_matrix.render.view import Changed, changed, described_side, how_much_changed, verdicts


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier report, and what has changed since."""

    report: Report
    comparison: Comparison


def compared(base: Base, choices: Choices, pools: Pools) -> Compared:
    """Return the earlier report's cells under the names that their interpreters have now."""
    comparison = base.comparison
    now = {
        pair.before: pair.after
        for pair in comparison.interpreters
        if pair.before and pair.after and pair.before != pair.after
    }
    return Compared(
        before=described_side(comparison.before),
        after=described_side(comparison.after),
        headline=how_much_changed(comparison),
        interpreters=tuple(
            (
                one_line(pair.after or pair.before),
                verdicts(pair.verdicts_before) or "none",
                verdicts(pair.verdicts_after) or "none",
            )
            for pair in comparison.interpreters
        ),
        changes=tuple(map(_group, changed(comparison))),
        rows=tuple(row(_renamed(result, now), choices, pools) for result in base.report.cells),
    )


def _group(of: Changed) -> ChangeGroup:
    return ChangeGroup(
        direction="worse" if of.kind in WORSE else "better" if of.kind in BETTER else "other",
        kind=of.kind.value,
        sentence=of.sentence,
        cells=tuple(
            (one_line(change.cell), one_line(change.before), one_line(change.after))
            for change in of.changes
        ),
    )


def _renamed(result: CellResult, names: dict[str, str]) -> CellResult:
    interpreter = result.cell.interpreter
    if interpreter.name not in names:
        return result
    interpreter = msgspec.structs.replace(interpreter, name=names[interpreter.name])
    cell = msgspec.structs.replace(result.cell, interpreter=interpreter)
    return msgspec.structs.replace(result, cell=cell)
