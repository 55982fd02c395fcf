"""A report as JUnit XML, as Jenkins, GitLab and others read it: a test case for each cell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from deadlock_matrix.diagnosis.grouping import grouped, interpreter_of
from deadlock_matrix.diagnosis.rates import rate_lines
from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.recognition.recognise import NO_FINGERPRINT, Recognition, recognise
from deadlock_matrix.diagnosis.text import one_line
from deadlock_matrix.model.cell import Role
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.outcome import RunOutcome
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.failure import failure
from deadlock_matrix.render.headline import headline
from deadlock_matrix.render.last_words import last_words

CONTROLS = "controls"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST_MESSAGE = 500


def junit(report: Report, *, causes: Sequence[Cause] = ()) -> str:
    """Return the report as an XML document.

    A suite for each interpreter contains its cells, and one more the controls. A cell that is not
    as expected is a failure, with its verdict as the type; one that could not be run is skipped. A
    control without a result is an error, and so is a run that was interrupted, cut short or not
    written, that ran nothing, or that ran without controls: no server can take it for a success.

    Args:
        report: The report to write.
        causes: Known causes, to be looked for in what hung or failed.
    """
    root = Element("testsuites", name="deadlock-matrix")
    fingerprints = report.fingerprints
    for name, results in grouped(report.cells, interpreter_of).items():
        fingerprint = fingerprints.get(name, NO_FINGERPRINT)
        cases = [_case(each, recognise(each, fingerprint, causes)) for each in results]
        _add_suite(root, name, cases, report, rate_lines(results, len(results)))
    cases = [_case(result, ()) for result in report.controls]
    _add_suite(root, CONTROLS, [*cases, *_lacking(report)], report)
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    root.set("time", f"{report.duration_s:.3f}")
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _add_suite(
    root: Element,
    name: str,
    cases: Sequence[Element],
    report: Report,
    rates: Iterable[str] = (),
) -> None:
    suite = SubElement(root, "testsuite", name=_clean(one_line(name)), tests=str(len(cases)))
    for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(key, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
    suite.set("timestamp", _clean(report.started.removesuffix("Z")))
    properties = SubElement(suite, "properties")
    tool = f"{report.tool.name} {report.tool.version}"
    outcome = report.outcome.value
    for key, value in (("outcome", outcome), ("run", report.run), ("tool", tool)):
        SubElement(properties, "property", name=key, value=_clean(value))
    for line in rates:
        SubElement(properties, "property", name="rate", value=_clean(one_line(line)))
    suite.extend(cases)


def _case(result: CellResult, recognitions: Sequence[Recognition]) -> Element:
    cell = result.cell
    role = [] if cell.role is Role.MATRIX else [cell.role.value]
    path = [*role, cell.interpreter.name, cell.profile.name, cell.layout.name]
    number = f" #{cell.repeat}" if cell.repeat > 1 else ""
    case = Element(
        "testcase",
        # Servers make folders from the parts between dots.
        classname=".".join(_clean(one_line(part)).replace(".", "_") for part in path),
        name=_clean(one_line(f"{cell.entry.name} {cell.context.name}{number}")),
        time=f"{_seconds(result):.3f}",
    )
    if result.verdict is Verdict.UNAVAILABLE:
        SubElement(case, "skipped", message=_message(result))
    elif not result.as_expected:
        failed = SubElement(case, "failure", type=result.verdict.value, message=_message(result))
        failed.text = _clean(failure(result, recognitions))
    elif result.verdict is not Verdict.OK:
        told = "\n".join([f"expected: {_message(result)}", *last_words(result)])
        SubElement(case, "system-out").text = _clean(told)
    return case


def _lacking(report: Report) -> Iterator[Element]:
    """Yield an error for all that keeps the run from being one, and that no failure shows."""
    for name in report.summary.controls_missing:
        yield _error(name, "incomplete", "the control was planned, and has no result")
    failed = report.outcome is RunOutcome.CONTROLS_WRONG and bool(report.summary.controls_failed)
    if report.outcome not in (RunOutcome.AS_EXPECTED, RunOutcome.UNEXPECTED) and not failed:
        yield _error("run", report.outcome.value, headline(report)[0])


def _error(name: str, kind: str, message: str) -> Element:
    case = Element("testcase", classname=CONTROLS, name=_clean(one_line(name)), time="0.000")
    SubElement(case, "error", type=kind, message=_clean(message))
    return case


def _message(result: CellResult) -> str:
    text = one_line(f"{result.verdict.value}: {result.why}")
    short = text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 3]}..."
    return _clean(short)


def _seconds(result: CellResult) -> float:
    return result.seen.duration_s if result.seen is not None else 0.0


def _clean(text: str) -> str:
    """Remove from ``text`` what no XML document may hold: control characters, halves of pairs."""
    return _NOT_XML.sub("", text)
