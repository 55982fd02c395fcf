"""How a run came out: one of a few words, the same in every rendering, and only one is good."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import msgspec
import pytest

from deadlock_matrix.cli.report_render import read_assets
from deadlock_matrix.errors import ExitStatus
from deadlock_matrix.model.fact import known, unknown
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.outcome import RunEnd, RunOutcome
from deadlock_matrix.model.report import Report, Summary
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.render.headline import MARKS, STYLES, WORDS, headline
from deadlock_matrix.render.html.page import html
from deadlock_matrix.render.junit import junit
from deadlock_matrix.render.markdown import markdown
from deadlock_matrix.render.terminal import text
from deadlock_matrix.report.merge import merge
from deadlock_matrix.report.outcome import EXIT_STATUS
from tests.unit.test_report_samples import cell, control, result, right_controls
from tests.unit.test_terminal import report

FINISHED = known(RunEnd.FINISHED, "pytest")
INTERRUPTED = known(RunEnd.INTERRUPTED, "pytest")
STOPPED = known(RunEnd.STOPPED, "pytest")
OLD = unknown("what ended it was not read by this version")
FULL = "No space left on device"
GOOD, BAD = result(cell()), result(cell(entry="b"), Verdict.HANG)
GONE = result(cell(entry="c"), Verdict.UNAVAILABLE)
WRONG = result(control("positive"), Verdict.OK)


def of(
    *cells: CellResult,
    planned: int | None = None,
    controls: tuple[CellResult, ...] | None = None,
    **summary: object,
) -> Report:
    made = report(*cells, planned=planned, controls=controls)
    told: Summary = msgspec.structs.replace(made.summary, **({"ended": FINISHED} | summary))  # type: ignore[arg-type]
    return msgspec.structs.replace(made, summary=told)


def unwritten(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, FULL)


RUNS: dict[str, tuple[Report, RunOutcome, str]] = {
    "good": (of(GOOD), RunOutcome.AS_EXPECTED, "valid: all cells as expected, 2 controls right"),
    "good, with gaps": (
        of(GOOD, GONE),
        RunOutcome.AS_EXPECTED,
        "valid: all cells as expected, 2 controls right; 1 of 2 cells could not be run",
    ),
    "of an older version": (
        of(GOOD, ended=OLD),
        RunOutcome.AS_EXPECTED,
        "valid: all cells as expected, 2 controls right",
    ),
    "unexpected": (
        of(GOOD, BAD, GONE),
        RunOutcome.UNEXPECTED,
        "unexpected: 1 of 3 cells not as expected, 2 controls right; 1 of 3 cells could not be run",
    ),
    "interrupted": (
        of(GOOD, planned=9, ended=INTERRUPTED),
        RunOutcome.INTERRUPTED,
        "interrupted: 1 of 9 cells done",
    ),
    "interrupted at its end": (
        of(GOOD, ended=INTERRUPTED),
        RunOutcome.INTERRUPTED,
        "interrupted: all cells done",
    ),
    "interrupted, with a wrong control": (
        of(GOOD, planned=9, controls=(WRONG,), ended=INTERRUPTED),
        RunOutcome.INTERRUPTED,
        "interrupted: 1 of 9 cells done; 1 of 1 control failed; the results prove nothing",
    ),
    "stopped": (
        of(BAD, planned=9, ended=STOPPED),
        RunOutcome.INCOMPLETE,
        "incomplete: 1 of 9 cells done; it was stopped early, by an option or a test; 1 of 1 cell "
        "not as expected",
    ),
    "a worker died": (
        of(GOOD, planned=9),
        RunOutcome.INCOMPLETE,
        "incomplete: 1 of 9 cells done",
    ),
    "killed": (
        of(GOOD, planned=9, ended=unknown("it was killed")),
        RunOutcome.INCOMPLETE,
        "incomplete: 1 of 9 cells done; it was killed",
    ),
    "pytest broke": (
        of(GOOD, ended=known(RunEnd.BROKEN, "pytest")),
        RunOutcome.INCOMPLETE,
        "incomplete: all cells done; the test runner failed",
    ),
    "a control failed": (
        of(GOOD, controls=(WRONG,)),
        RunOutcome.CONTROLS_WRONG,
        "controls wrong: 1 of 1 control failed; the results prove nothing",
    ),
    "a control failed, which ended it": (
        of(GOOD, planned=9, controls=(WRONG,), ended=STOPPED),
        RunOutcome.CONTROLS_WRONG,
        "controls wrong: 1 of 9 cells done; it was stopped early, by an option or a test; 1 of 1 "
        "control failed; the results prove nothing",
    ),
    "no control": (
        of(GOOD, controls=()),
        RunOutcome.CONTROLS_WRONG,
        "controls wrong: no control was run; the results prove nothing",
    ),
    "nothing could be run": (
        of(GONE, controls=()),
        RunOutcome.NOTHING_RAN,
        "nothing ran: no control was run; no cell could be run",
    ),
    "no cell": (of(), RunOutcome.NOTHING_RAN, "nothing ran: no cell was to be run"),
    "a full disk": (
        of(GOOD, BAD, unwritten=unwritten(BAD.cell.id, "report.json")),
        RunOutcome.NOT_WRITTEN,
        f"not written: 1 of 4 results could not be saved ({FULL}); report.json could not be saved "
        f"({FULL}); 1 of 2 cells not as expected",
    ),
    "a full disk, before everything": (
        of(planned=1, controls=(), unwritten=unwritten("report.json")),
        RunOutcome.NOT_WRITTEN,
        f"not written: report.json could not be saved ({FULL}); 0 of 1 cell done; "
        "no control was run; the results prove nothing",
    ),
}

every_run = pytest.mark.parametrize(("run", "outcome", "line"), RUNS.values(), ids=RUNS)


@every_run
def test_the_first_line(run: Report, outcome: RunOutcome, line: str) -> None:
    assert run.outcome is outcome
    assert headline(run)[0] == line
    good = outcome is RunOutcome.AS_EXPECTED
    assert ("valid" in line) is good
    assert ("as expected" in line.replace("not as expected", "")) is good


@every_run
def test_every_rendering_begins_with_it(run: Report, outcome: RunOutcome, line: str) -> None:
    assert text(run, width=1000).startswith(f"{line}\n")
    assert markdown(run).startswith(f"## {MARKS[outcome]} deadlock-matrix: {WORDS[outcome]}: ")
    assert f'<p class="status {outcome.value}">{line}</p>' in html(run, read_assets())
    root = fromstring(junit(run))
    properties = {each.get("name"): each.get("value") for each in root.iter("property")}
    assert properties["outcome"] == outcome.value
    bad = int(root.get("failures", "0")) + int(root.get("errors", "0"))
    assert (bad == 0) is (outcome is RunOutcome.AS_EXPECTED)


@every_run
def test_the_first_line_has_the_colour_of_its_outcome(
    run: Report, outcome: RunOutcome, line: str
) -> None:
    first = text(run, width=1000, colour=True).splitlines()[0]
    green = "\x1b[1;32m"
    assert (green in first) is (outcome is RunOutcome.AS_EXPECTED)


def test_no_two_outcomes_look_alike_or_end_alike() -> None:
    style = read_assets().style
    for kind in (WORDS, STYLES, MARKS, EXIT_STATUS):
        assert set(kind) == set(RunOutcome)  # type: ignore[call-overload]
        assert len(set(kind.values())) == len(RunOutcome)  # type: ignore[attr-defined]
    assert all(f".status.{outcome.value} {{" in style for outcome in RunOutcome)


def test_only_one_outcome_is_a_success() -> None:
    successes = [each for each, status in EXIT_STATUS.items() if status is ExitStatus.OK]
    assert successes == [RunOutcome.AS_EXPECTED]
    assert [each for each, style in STYLES.items() if "green" in style] == successes
    assert [each for each, word in WORDS.items() if "valid" in word] == successes


def test_a_merged_report_is_as_bad_as_its_worst_run() -> None:
    one = of(GOOD)
    other = msgspec.structs.replace(
        of(result(cell(interpreter="other")), planned=2, ended=INTERRUPTED,
           controls=right_controls("other")),
        run="20260131-154501-aaaa",
    )  # fmt: skip
    both = merge([one, other], one.tool)
    assert both.outcome is RunOutcome.INTERRUPTED
    lost = msgspec.structs.replace(one.summary, unwritten=unwritten(GOOD.cell.id))
    both = merge([msgspec.structs.replace(one, summary=lost), other], one.tool)
    assert both.outcome is RunOutcome.NOT_WRITTEN
    assert merge([one], one.tool).outcome is RunOutcome.AS_EXPECTED
