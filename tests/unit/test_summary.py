"""Counts, and when a run proves nothing."""

from __future__ import annotations

from deadlock_matrix.model.report import Summary
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.summary import summarise
from tests.unit.test_report_samples import cell, control, result, right_controls

CELLS = [
    result(cell(entry="a"), Verdict.OK),
    result(cell(entry="b"), Verdict.OK),
    result(cell(entry="c"), Verdict.HANG),
    result(cell(entry="d", expect=(Verdict.HANG, Verdict.DEADLOCK)), Verdict.DEADLOCK),
    result(cell(entry="e"), Verdict.UNAVAILABLE),
]
PLANNED = [each.cell.id for each in CELLS]
CONTROLS = right_controls()


def summary(**rest: object) -> Summary:
    values = {"cells": CELLS, "controls": CONTROLS, "planned_cells": PLANNED}
    return summarise(**(values | rest))  # type: ignore[arg-type]


def test_verdicts_are_counted() -> None:
    assert summary().verdicts == {"ok": 2, "deadlock": 1, "hang": 1, "unavailable": 1}
    assert summary().cells == 5


def test_only_what_is_not_expected_is_unexpected() -> None:
    assert summary().unexpected == 1


def test_right_controls_do_not_fail() -> None:
    assert summary().controls == 2
    assert summary().controls_failed == ()


def test_a_control_with_another_verdict_fails() -> None:
    wrong = result(control("positive"), Verdict.HANG)
    assert summary(controls=[wrong]).controls_failed == (wrong.cell.id,)


def test_an_unavailable_control_fails_where_cells_ran() -> None:
    missing = result(control("positive"), Verdict.UNAVAILABLE)
    assert summary(controls=[missing]).controls_failed == (missing.cell.id,)


def test_an_unavailable_control_of_a_missing_interpreter_does_not() -> None:
    missing = result(control("positive", "gone"), Verdict.UNAVAILABLE)
    cells = [result(cell("gone"), Verdict.UNAVAILABLE)]
    found = summary(cells=cells, controls=[missing], planned_cells=[cells[0].cell.id])
    assert found.controls_failed == ()


def test_a_planned_control_without_a_result_is_missing() -> None:
    planned = [each.cell.id for each in CONTROLS]
    found = summary(controls=CONTROLS[:1], planned_controls=planned)
    assert found.controls_missing == (CONTROLS[1].cell.id,)
    assert not found.complete


def test_complete_means_that_every_planned_cell_has_a_result() -> None:
    assert summary().complete
    assert not summary(planned_cells=[*PLANNED, "one/more"]).complete
