"""Two reports side by side on a terminal of 80 columns: one page with before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deadlock_matrix.diagnosis.text import count, listed, one_line
from deadlock_matrix.model.comparison import (
    BETTER,
    WORSE,
    Change,
    ChangeKind,
    Comparison,
    ExpectedChange,
    GateResult,
    Side,
)
from deadlock_matrix.model.report import Host
from deadlock_matrix.render.drawing import RULED, draw, inset, section
from deadlock_matrix.render.view import Changed, changed, described_side, how_much_changed, verdicts

_SHOWN = 10  # cells with the same change
_SECTIONS: tuple[tuple[str, str, tuple[ChangeKind, ...]], ...] = (
    ("Worse", "red", WORSE),
    ("Better", "green", BETTER),
    (
        "Other",
        "yellow",
        (
            ChangeKind.CHANGED_PROOF,
            ChangeKind.CHANGED_VERDICT,
            ChangeKind.REDEFINED_CELL,
            ChangeKind.NEW_CELL,
            ChangeKind.AVAILABLE_NOW,
        ),
    ),
    ("Not decided", "yellow", (ChangeKind.FLAKY, ChangeKind.UNDECIDED_TIME)),
    (
        "Interpreters",
        "yellow",
        (ChangeKind.CHANGED_INTERPRETER, ChangeKind.RENAMED_INTERPRETER),
    ),
)
_WITH_VALUES = (
    ChangeKind.SLOWER,
    ChangeKind.FASTER,
    ChangeKind.UNDECIDED_TIME,
    ChangeKind.REDEFINED_CELL,
)


def comparison_text(
    comparison: Comparison, gate: GateResult | None = None, width: int = 80, colour: bool = False
) -> str:
    """Return the comparison as text, at most ``width`` columns wide.

    Args:
        comparison: What differs.
        gate: What the gate says about it, if it was asked.
        width: Columns.
        colour: Whether to use colour, by ANSI sequences.
    """
    return draw(_renderable(comparison, gate), width, colour)


def _renderable(comparison: Comparison, gate: GateResult | None) -> RenderableType:
    parts: list[RenderableType] = []
    if gate is not None:
        parts.append(Text(_verdict(gate), style="green" if gate.passed else "bold red"))
    parts.append(Text(_headline(comparison)))
    parts += [_side("before", comparison.before), _side("now", comparison.after)]
    parts += ["", inset(_table(comparison))]
    changes = changed(comparison, gate)
    for title, style, kinds in _SECTIONS:
        parts += section(title, _changes([each for each in changes if each.kind in kinds], style))
    if gate is not None:
        parts += section("Expected", _expectations(gate))
    parts += section("How it was decided", _limits(comparison))
    return Group(*parts)


def _verdict(gate: GateResult) -> str:
    if gate.passed:
        excused = f", {count(len(gate.allowed), 'change')} expected" if gate.allowed else ""
        return f"gate: passed{excused}"
    return f"gate: failed by {_kinds(gate.failed)}"


def _headline(comparison: Comparison) -> str:
    first = how_much_changed(comparison)
    return f"{first}: {_kinds(comparison.changes)}" if comparison.changes else first


def _kinds(changes: Sequence[Change]) -> str:
    numbers = Counter(change.kind for change in changes)
    return ", ".join(f"{number} {kind.value}" for kind, number in numbers.items())


def _side(word: str, side: Side) -> Text:
    where = listed(list(dict.fromkeys(map(_host, side.hosts))))
    return Text(one_line(f"{word + ':':<8}{described_side(side)}, {where}"))


def _host(host: Host) -> str:
    return f"{host.system} {host.machine} ({count(host.cores, 'core')})"


def _table(comparison: Comparison) -> Table:
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    for title in ("interpreter", "before", "now"):
        table.add_column(title, overflow="fold")
    for pair in comparison.interpreters:
        table.add_row(
            one_line(pair.after or pair.before),
            verdicts(pair.verdicts_before) or "-",
            verdicts(pair.verdicts_after) or "-",
        )
    return table


def _changes(changes: Sequence[Changed], style: str) -> Iterator[RenderableType]:
    for each in changes:
        line = Text("FAILS  " if each.fails else "", style="bold red")
        line.append(each.kind.value, style=style)
        line.append(f"{' (expected)' if each.expected else ''}: {each.sentence}")
        yield line
        for change in each.changes[:_SHOWN]:
            if change.cell:
                yield Padding(Text(_subject(change)), (0, 0, 0, 4))
        if (more := len(each.changes) - _SHOWN) > 0:
            yield Padding(Text(f"and {more} more, in the JSON"), (0, 0, 0, 4))


def _subject(change: Change) -> str:
    if change.kind in _WITH_VALUES:
        values = f"{change.before or '(nothing)'} -> {change.after or '(nothing)'}"
        return one_line(f"{change.cell}: {values}")
    return one_line(change.cell)


def _expectations(gate: GateResult) -> Iterator[str]:
    groups: dict[ExpectedChange, int] = {}
    for each in gate.allowed:
        groups[each.expected] = groups.get(each.expected, 0) + 1
    for expected, number in groups.items():
        yield f"{_expected(expected)}: {count(number, 'change')}, {expected.reason}"
    for expected in gate.expired:
        yield f"expired, no longer counts: {_expected(expected)}: {expected.reason}"
    for expected in gate.passing:
        yield f"no longer needed, can be removed: {_expected(expected)}: {expected.reason}"
    for expected in gate.idle:
        yield f"matches no cell that has a result: {_expected(expected)}: {expected.reason}"


def _expected(expected: ExpectedChange) -> str:
    what = f"{expected.kind.value} of {expected.cell or 'the run'}"
    return one_line(f"{what} (until {expected.until.isoformat()})")


def _limits(comparison: Comparison) -> Iterator[str]:
    limits = comparison.limits
    percent = f"{limits.ratio * 100 - 100:.0f} %"
    timed, few = comparison.timed, comparison.too_few
    where = f"in {count(timed, 'cell')}" if timed else "in no cell"
    too_few = f", {few} of them with too few runs to show any difference" if few else ""
    yield (
        f"Slower or faster: by {percent} and {limits.difference_s * 1000:.0f} ms at least, shown "
        f"by a one-sided rank test (Mann-Whitney) with p <= {limits.alpha:g} for each cell. Times "
        f"are compared {where}{too_few}."
    )
    yield (
        "A verdict never seen before is new. If it came and went before, a higher or lower rate "
        f"needs p <= {limits.alpha:g} in Fisher's exact test, one-sided; else it is flaky."
    )
