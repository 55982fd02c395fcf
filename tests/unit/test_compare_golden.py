"""A fix that is verified on three platforms: five reports before, five after, one page.

The texts are in ``tests/golden/reports``. After a wanted change, ``UPDATE_GOLDEN=1`` writes them
anew, for a look at the difference.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import msgspec
import pytest
from unit.test_compare_samples import (
    LINUX,
    MACOS,
    OPENBLAS,
    TOOL,
    WINDOWS,
    deadlock,
    idle_pool,
    import_and_join,
    importing,
    interpreter,
    report,
    timed,
)
from unit.test_report_samples import cell, result

from deadlock_matrix.model.comparison import (
    ChangeKind,
    Comparison,
    ComparisonDocument,
    ExpectedChange,
    Gate,
    GateResult,
)
from deadlock_matrix.model.fact import known
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.comparison import comparison_text
from deadlock_matrix.report.compare.comparison import compare
from deadlock_matrix.report.gate import judge
from deadlock_matrix.report.merge import merge
from deadlock_matrix.report.store import read_report, write_report

GOLDEN = Path(__file__).parents[1] / "golden" / "reports"
EXAMPLE = Path(__file__).parents[2] / "reports" / "example"
ERROR, UNAVAILABLE, HANG = Verdict.ERROR, Verdict.UNAVAILABLE, Verdict.HANG
NEWER = msgspec.structs.replace(OPENBLAS, version=known("0.3.30", "its text"))
GATE = Gate(
    expected=(
        ExpectedChange(
            cell="py@Windows-*/slower-here/*",
            kind=ChangeKind.NEW_ERROR,
            reason="no MKL there",
            until=date(2027, 12, 31),
        ),
        ExpectedChange(
            cell="conda/*",
            kind=ChangeKind.NEW_HANG,
            reason="upstream bug",
            until=date(2027, 12, 31),
        ),
        ExpectedChange(
            cell="*/lazy/*", kind=ChangeKind.SLOWER, reason="a slow disk", until=date(2027, 1, 1)
        ),
    )
)


def run(day: int, letter: str) -> str:
    return f"202702{day:02}-000000-{letter * 4}"


def before() -> Report:
    """Two shards and a repetition on Linux, macOS, Windows: the eager layout hangs on Linux."""
    return merge(
        [
            report(deadlock(import_and_join()), *timed(0.010, layout="lazy"), run=run(1, "a")),
            report(
                deadlock(import_and_join(7, 9)),
                *timed(0.011, layout="lazy"),
                result(cell("conda")),
                run=run(1, "b"),
            ),
            report(*timed(0.012, layout="lazy"), deadlock(idle_pool(7, 2), cell(profile="fork")),
                   run=run(1, "c")),
            report(*timed(1.0, 1.1, 1.2), result(cell(layout="lazy")), run=run(1, "d"), host=MACOS),
            report(
                result(cell(profile="slower-here")),
                result(cell(layout="lazy"), Verdict.DEADLOCK),
                result(cell("only-here")),
                run=run(1, "e"),
                host=WINDOWS,
            ),
        ],
        TOOL,
    )  # fmt: skip


def after() -> Report:
    """The same machines with the fix, which costs something elsewhere."""
    newer = [interpreter(packages={"torch": "2.14.0"}, libraries=[NEWER]), interpreter("conda")]
    return merge(
        [
            report(importing("pack.models", "torch"), *timed(0.10, layout="lazy"), run=run(2, "a"),
                   interpreters=newer),
            report(
                result(),
                *timed(0.11, layout="lazy"),
                result(cell("conda"), HANG),
                run=run(2, "b"),
                interpreters=newer,
            ),
            report(*timed(0.12, layout="lazy"), deadlock(idle_pool(90, 8, "libiomp5.so"),
                   cell(profile="fork")), run=run(2, "c"), interpreters=newer),
            report(*timed(0.5, 0.55, 0.6), result(cell(layout="lazy")), run=run(2, "d"),
                   host=MACOS),
            report(
                result(cell(profile="slower-here"), ERROR),
                result(cell(layout="lazy"), UNAVAILABLE),
                result(cell("new-here")),
                run=run(2, "e"),
                host=WINDOWS,
                interpreters=[interpreter(), interpreter("new-here", "3.14.0")],
            ),
        ],
        TOOL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def compared() -> tuple[Comparison, GateResult]:
    comparison = compare(before(), after())
    return comparison, judge(comparison, GATE, date(2027, 2, 2))


def check_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def digest(merged: Report) -> dict[str, object]:
    """What merging decides, without what it takes over."""

    def outcomes(results: tuple[CellResult, ...]) -> dict[str, str]:
        return {each.cell.id: each.verdict.value for each in results}

    return {
        "run": merged.run,
        "started": merged.started,
        "duration_s": merged.duration_s,
        "planned": merged.planned,
        "hosts": merged.hosts,
        "interpreters": [each.name for each in merged.interpreters],
        "cells": outcomes(merged.cells),
        "controls": outcomes(merged.controls),
        "summary": merged.summary,
        "parts": {part.run: [part.interpreters, part.repeats] for part in merged.merged},
        "notes": merged.notes,
    }


def as_json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"


def test_the_merged_report() -> None:
    check_golden("merged.json", as_json(digest(after())))


def test_the_page(compared: tuple[Comparison, GateResult]) -> None:
    check_golden("comparison.txt", comparison_text(compared[0]) + "\n")


def test_the_page_with_a_gate(compared: tuple[Comparison, GateResult]) -> None:
    check_golden("gate.txt", comparison_text(*compared) + "\n")


def test_the_document(compared: tuple[Comparison, GateResult]) -> None:
    document = ComparisonDocument(tool=TOOL, comparison=compared[0], gate=compared[1])
    text = as_json(document)
    check_golden("comparison.json", text)
    assert msgspec.json.decode(text, type=ComparisonDocument) == document


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_too_wide(compared: tuple[Comparison, GateResult], width: int) -> None:
    lines = comparison_text(*compared, width=width).splitlines()
    assert max(map(len, lines)) <= width


def test_colour_adds_nothing_but_colour(compared: tuple[Comparison, GateResult]) -> None:
    coloured = comparison_text(*compared, colour=True)
    assert "\x1b[" in coloured
    assert "\x1b" not in comparison_text(*compared)


def test_escape_sequences_in_a_report_do_not_reach_the_terminal() -> None:
    bad = result(verdict=ERROR, why="raised \x1b[2J[red]x[/red]\nand more")
    text = comparison_text(compare(report(result(), run=run(1, "a")), report(bad, run=run(2, "a"))))
    assert "\x1b" not in text
    assert "[red]x[/red] and more" in text


def test_the_example_report_merges_and_compares(tmp_path: Path) -> None:
    recorded = read_report(EXAMPLE)
    elsewhere = msgspec.structs.replace(
        recorded, run=run(3, "a"), host=msgspec.structs.replace(LINUX, machine="aarch64")
    )
    both = merge([elsewhere, recorded], TOOL)
    assert both.controlled == recorded.controlled
    assert len(both.cells) == 2 * len(recorded.cells)
    write_report(both, tmp_path)
    assert read_report(tmp_path) == both
    compared = compare(recorded, both)
    assert {each.kind for each in compared.changes} == {
        ChangeKind.NEW_CELL,
        ChangeKind.RENAMED_INTERPRETER,
    }
    assert compare(recorded, recorded).changes == ()
