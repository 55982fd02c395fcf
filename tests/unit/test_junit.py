"""A report as JUnit XML: valid by its schema, and a CI server cannot misread it."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from deadlock_matrix.causes import load_causes
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.junit import junit
from deadlock_matrix.report.store import read_report
from tests.unit.test_report_samples import cell, control, result
from tests.unit.test_terminal import report

ROOT = Path(__file__).parents[2]
SCHEMA = etree.XMLSchema(etree.parse(ROOT / "tests" / "schemas" / "junit.xsd"))


def parsed(of: Report) -> Element:
    text = junit(of, causes=load_causes())
    SCHEMA.assertValid(etree.fromstring(text.encode()))
    return fromstring(text)


def cases(of: Report) -> dict[str, Element]:
    return {
        f"{case.get('classname')} {case.get('name')}": case for case in parsed(of).iter("testcase")
    }


def test_the_schema_can_say_no() -> None:
    twice = '<testcase name="n" classname="c" time="0.000"><skipped/><skipped/></testcase>'
    assert not SCHEMA.validate(etree.fromstring(twice))


def test_the_example_report_is_valid() -> None:
    root = parsed(read_report(ROOT / "reports" / "example" / "report.json"))
    assert [suite.get("name") for suite in root] == ["pip-torch", "controls"]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("15", "0", "0")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_is_valid(verdict: Verdict) -> None:
    case = cases(report(result(cell(), verdict)))["py.baseline.eager factory main"]
    expected = {Verdict.OK: None, Verdict.UNAVAILABLE: "skipped"}.get(verdict, "failure")
    assert (case[0].tag if len(case) else None) == expected


def test_a_failure_says_why_and_where() -> None:
    of = report(result(cell(), Verdict.DEADLOCK, why="two threads wait"))
    (failure,) = parsed(of).iter("failure")
    assert failure.get("type") == "deadlock"
    assert failure.get("message") == "deadlock: two threads wait"
    assert "/opt/pack/worker.py:7 in run" in (failure.text or "")


def test_an_expected_deadlock_is_no_failure_and_is_told() -> None:
    expected = cell(expect=(Verdict.DEADLOCK,))
    of = report(result(expected, Verdict.DEADLOCK, why="as it must"))
    assert list(parsed(of).iter("failure")) == []
    told = cases(of)["py.baseline.eager factory main"].findtext("system-out")
    assert told == "expected: deadlock: as it must"


def test_dots_in_a_name_make_no_folders() -> None:
    assert "3_12.baseline.eager factory main" in cases(report(result(cell(interpreter="3.12"))))


def test_repeats_are_cases_of_their_own() -> None:
    of = report(result(cell()), result(cell(repeat=2)))
    assert {"py.baseline.eager factory main", "py.baseline.eager factory main #2"} <= set(cases(of))


def test_numbers_add_up() -> None:
    of = report(
        result(cell(), Verdict.HANG),
        result(cell(layout="lazy"), Verdict.UNAVAILABLE),
        result(cell(interpreter="other"), Verdict.CRASH),
    )
    root = parsed(of)
    suites = {suite.get("name"): suite for suite in root}
    assert suites["py"].get("tests") == "2"
    assert suites["py"].get("failures") == suites["py"].get("skipped") == "1"
    assert (root.get("tests"), root.get("failures")) == ("5", "2")


# --- a run that proves nothing is no success ------------------------------------------------------


def failed_control() -> CellResult:
    return result(control("positive"), Verdict.OK)


def test_a_control_that_came_out_wrong_is_a_failure() -> None:
    root = parsed(report(result(cell()), controls=(failed_control(),)))
    assert root[-1].get("name") == "controls"
    assert root[-1].get("failures") == "1"


def test_a_run_without_controls_is_an_error() -> None:
    root = parsed(report(result(cell()), controls=()))
    assert root.get("errors") == "1"


def test_a_control_without_a_result_is_an_error() -> None:
    of = report(result(cell()))
    missing = msgspec.structs.replace(of.summary, controls_missing=("positive-control/py/x",))
    error, run = parsed(msgspec.structs.replace(of, summary=missing)).iter("error")
    assert run.get("message") == "controls wrong: 1 control not run; the results prove nothing"
    assert error.get("message") == "the control was planned, and has no result"


def test_a_run_that_was_cut_short_is_an_error() -> None:
    (error,) = parsed(report(result(cell()), planned=9)).iter("error")
    assert error.get("type") == "incomplete"
    assert (error.get("message") or "").startswith("incomplete: 1 of 9 cells done")


# --- text from outside ----------------------------------------------------------------------------


@given(st.text(st.characters(), min_size=1).filter(lambda text: text.strip()))
def test_any_text_makes_a_valid_document(text: str) -> None:
    hostile = result(cell(interpreter=text, layout=text), Verdict.ERROR, stderr=text, why=text)
    parsed(report(hostile))


def test_what_no_document_may_hold_is_removed() -> None:
    hostile = "a\x00b\x1b[31m\ud800\ufffe]]><failure/>&amp;\x85"
    text = junit(report(result(cell(profile=hostile), Verdict.ERROR, why=hostile)))
    assert not any(0xD800 <= ord(character) < 0xE000 for character in text)
    (failure,) = fromstring(text).iter("failure")
    assert "]]><failure/>&amp;" in (failure.get("message") or "")


def test_a_long_reason_is_cut() -> None:
    (failure,) = parsed(report(result(cell(), Verdict.HANG, why="w" * sys.maxunicode))).iter(
        "failure"
    )
    assert len(failure.get("message") or "") == 500
