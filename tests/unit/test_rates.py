"""Rates of what was run more than once: counted right, with the interval, in every rendering."""

from __future__ import annotations

import re

import msgspec
import pytest

from deadlock_matrix.diagnosis.rates import point_rates, rate_lines, rate_text
from deadlock_matrix.diagnosis.statistics import interval_of
from deadlock_matrix.model.diagnosis import Rate
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.html.page import document
from deadlock_matrix.render.junit import junit
from deadlock_matrix.render.markdown import markdown
from deadlock_matrix.render.terminal import text
from deadlock_matrix.report.journal import Journal
from deadlock_matrix.report.plan import begin
from deadlock_matrix.report.store import assemble
from tests.unit.test_report_samples import cell, plan, result, right_controls

OK, DEADLOCK, HANG, SLOW = Verdict.OK, Verdict.DEADLOCK, Verdict.HANG, Verdict.SLOW


def runs(entry: str, *verdicts: Verdict) -> tuple[CellResult, ...]:
    return tuple(
        result(cell(entry=entry, repeat=number), verdict)
        for number, verdict in enumerate(verdicts, start=1)
    )


FLAKY = runs("flaky", *[OK] * 17, DEADLOCK, DEADLOCK, HANG)
STEADY = runs("steady", *[OK] * 20)
ONCE = runs("once", DEADLOCK)


def test_they_are_counted() -> None:
    flaky, steady = point_rates((*STEADY, *FLAKY, *ONCE))
    assert (flaky.id, flaky.rate) == ("py/baseline/eager/flaky/main", Rate(hangs=3, runs=20))
    assert flaky.verdicts == {DEADLOCK: 2, HANG: 1, OK: 17}
    assert (flaky.steady, steady.steady) == (False, True)


def test_an_interval_goes_with_each() -> None:
    # Clopper and Pearson: 3 of 20
    said = rate_text(Rate(hangs=3, runs=20))
    assert said == "hung in 3 of 20 runs: the rate is between 3.2 % and 38 % (95% confidence)"
    assert rate_text(Rate(hangs=1, runs=1)) == "hung in 1 of 1 run"


@pytest.mark.parametrize("hangs", [0, 1, 7, 19, 20])
def test_the_interval_is_scipys(hangs: int) -> None:
    from scipy.stats import binomtest

    found = interval_of(Rate(hangs=hangs, runs=20))
    exact = binomtest(hangs, 20).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_what_never_hung_is_told_as_a_bound() -> None:
    (line,) = rate_lines(STEADY)
    assert line.startswith("1 point ok in every run, at least 20 runs each: if one hangs at all")
    assert "fewer than 14 % of runs" in line  # 1 - 0.05 ** (1 / 20)


def test_what_was_slow_is_no_run_that_did_not_hang() -> None:
    (found,) = point_rates(runs("slow", DEADLOCK, SLOW, SLOW))
    assert found.rate == Rate(hangs=1, runs=1)


def test_many_are_cut() -> None:
    many = [each for number in range(30) for each in runs(f"e{number}", OK, DEADLOCK)]
    lines = list(rate_lines(many, 5))
    assert len(lines) == 6
    assert lines[-1].startswith("and 25 points more")


@pytest.fixture
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("run")
    results = (*FLAKY, *STEADY, *right_controls())
    begin(folder, plan(tuple(each.cell for each in (*FLAKY, *STEADY)), ()))
    with Journal(folder, "main") as journal:
        journal.extend(results)
    return assemble(folder, duration_s=1.0)


def test_every_rendering_has_them(report: Report) -> None:
    page = document(report)
    rendered = (text(report, 200), markdown(report), junit(report), "\n".join(page.rates))
    for each in rendered:
        plain = re.sub(r"[\\`*]", "", each)
        assert "flaky/main: hung in 3 of 20 runs: the rate is between 3.2 % and 38 %" in plain
        assert "1 point ok in every run" in plain


def test_no_rendering_has_any_without_repeats(report: Report) -> None:
    once = tuple(each for each in report.cells if each.cell.repeat == 1)
    single = msgspec.structs.replace(report, cells=once)
    assert "How often" not in text(single, 200)
    assert "How often" not in markdown(single)
    assert 'name="rate"' not in junit(single)
    assert document(single).rates == ()
