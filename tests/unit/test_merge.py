"""Reports put together: nothing lost, nothing mixed up, whatever the order."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.test_compare_samples import (
    LINUX,
    MACOS,
    TOOL,
    WINDOWS,
    controls_of,
    interpreter,
    repeated,
    report,
    timed,
)
from unit.test_report_samples import cell, result

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.fact import Known, known, unknown
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.merge import merge
from deadlock_matrix.report.parts import take_apart
from deadlock_matrix.report.store import read_report, write_report

OK, DEADLOCK, HANG = Verdict.OK, Verdict.DEADLOCK, Verdict.HANG
A, B, C = (f"2026010{day}-000000-{letter * 4}" for day, letter in ((1, "a"), (2, "b"), (3, "c")))


def merged(*reports: Report) -> Report:
    return merge(reports, TOOL)


def ids(report: Report) -> list[str]:
    return [each.cell.id for each in report.cells]


def test_shards_are_put_side_by_side() -> None:
    one = report(result(cell(layout="eager")), run=A)
    other = report(result(cell(layout="lazy")), run=B, duration_s=30.0)
    both = merged(one, other)
    assert ids(both) == ["py/baseline/eager/factory/main", "py/baseline/lazy/factory/main"]
    assert both.interpreters == one.interpreters
    assert (both.planned, both.duration_s, both.started) == (2, 90.0, one.started)
    assert both.controlled and both.summary.complete and both.notes == ()
    assert both.summary.verdicts == {"ok": 2}
    assert both.hosts == (LINUX,)
    assert [part.run for part in both.merged] == [A, B]


def test_a_cell_of_two_runs_becomes_two_repeats() -> None:
    one = report(*timed(0.1, 0.2), run=A)
    other = report(*timed(0.3), run=B)
    both = merged(other, one)
    point = "py/baseline/eager/factory/main"
    assert ids(both) == [point, f"{point}/#2", f"{point}/#3"]
    seconds = []
    for each in both.cells:
        assert isinstance(each.observation, Known)
        assert isinstance(each.observation.value.probe, Known)
        seconds.append(each.observation.value.probe.value.entry_s)
    assert seconds == [0.1, 0.2, 0.3]
    # Controls are run by both too.
    everything = [each.cell.id for each in (*both.cells, *both.controls)]
    assert len(everything) == len(set(everything)) == 7


def test_numbers_of_a_cell_that_one_run_alone_has_stay() -> None:
    one = report(result(cell(repeat=3)), run=A)
    both = merged(one, report(result(cell(layout="lazy")), run=B))
    assert ids(both)[0].endswith("/#3")


def test_contradictions_are_told_and_agreement_is_not() -> None:
    one = report(*repeated([OK, OK]), *repeated([OK], layout="lazy"), run=A)
    other = report(*repeated([DEADLOCK]), *repeated([OK], layout="lazy"), run=B)
    assert merged(one, other).notes == (
        f"py/baseline/eager/factory/main is contradicted: ok 2 in run {A}; deadlock in run {B}",
    )


def test_an_id_that_means_two_experiments_is_told() -> None:
    one = report(result(cell(deadline_s=10.0)), run=A)
    other = report(result(cell()), run=B)
    (note,) = merged(one, other).notes
    assert note == (
        f"py/baseline/eager/factory/main is not the same experiment in runs {A} and {B}: deadline"
    )


def test_one_name_for_two_interpreters_becomes_two_names() -> None:
    one = report(result(), run=A)
    other = report(
        result(verdict=DEADLOCK), run=B, host=MACOS, interpreters=[interpreter(version="3.13.0")]
    )
    both = merged(one, other)
    names = {"py@Linux-x86_64", "py@Darwin-arm64"}
    assert {each.name for each in both.interpreters} == names
    for each in both.interpreters:
        assert isinstance(each.fingerprint, Known)
        assert each.fingerprint.value.name == each.name
    assert {each.cell.interpreter.name for each in (*both.cells, *both.controls)} == names
    verdicts = {each.cell.interpreter.name: each.verdict for each in both.cells}
    assert verdicts == {"py@Linux-x86_64": OK, "py@Darwin-arm64": DEADLOCK}
    assert both.hosts == (LINUX, MACOS)
    assert "py is not the same interpreter in all runs" in both.notes[0]
    assert "Python cpython 3.13.0 -> cpython 3.11.7" in both.notes[1]
    assert len(both.notes) == 2  # not a contradiction: they are different cells


def test_the_same_files_on_another_platform_are_another_interpreter() -> None:
    both = merged(report(result(), run=A), report(result(), run=B, host=MACOS))
    assert {each.name for each in both.interpreters} == {"py@Linux-x86_64", "py@Darwin-arm64"}


def test_two_interpreters_on_the_same_platform_are_told_apart_by_their_runs() -> None:
    newer = [interpreter(packages={"torch": "2.14.0"})]
    both = merged(
        report(result(), run=A),
        report(result(), run=B, interpreters=newer),
        report(result(), run=C, interpreters=newer),
    )
    assert {each.name for each in both.interpreters} == {f"py@{A}", f"py@{B}"}
    assert [each.cell.repeat for each in both.cells] == [1, 1, 2]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (interpreter(folder="/home/somebody"), True),
        (interpreter(version="3.11.8"), False),
        (interpreter(packages={"torch": "2.13.0", "pip": "26"}), False),
        (interpreter(libraries=()), False),
        (interpreter(set={"LD_LIBRARY_PATH": "/opt/mkl"}), False),
        (
            InterpreterFacts(name="py", executable="py", fingerprint=unknown("it does not start")),
            False,
        ),
    ],
    ids=["folder", "version", "packages", "libraries", "variables", "unknown"],
)
def test_what_makes_an_interpreter_another_one(other: InterpreterFacts, same: bool) -> None:
    both = merged(report(result(), run=A), report(result(), run=B, interpreters=[other]))
    assert len(both.interpreters) == (1 if same else 2)


def three() -> tuple[Report, Report, Report]:
    """Three machines: a shared cell, a shared name, a note, a failed control."""
    wrong = controls_of(["py", "conda"], wrong=True)
    return (
        report(*repeated([OK, HANG]), result(cell("conda")), run=A, notes=("line 3 is damaged",)),
        report(*repeated([DEADLOCK]), run=B),
        report(
            *repeated([OK, OK, OK]),
            result(cell("conda", layout="lazy")),
            run=C,
            host=WINDOWS,
            interpreters=[interpreter(version="3.12.1"), interpreter("conda")],
            controls=wrong,
        ),
    )


def test_the_order_does_not_matter() -> None:
    results = [merged(*order) for order in permutations(three())]
    assert all(each == results[0] for each in results)


def test_mergers_of_mergers_are_mergers_of_runs() -> None:
    one, two, third = three()
    flat = merged(one, two, third)
    assert merged(merged(one, two), third) == flat
    assert merged(merged(third, two), one) == flat
    assert merged(merged(one, two), merged(two, third)) == flat
    assert merged(flat) == flat == merged(flat, one)


VERSIONS = st.sampled_from(["3.11.7", "3.12.1"])
CELLS = st.dictionaries(
    st.tuples(
        st.sampled_from(["py", "conda"]), st.sampled_from(["eager", "lazy"]), st.integers(1, 3)
    ),
    st.sampled_from([OK, DEADLOCK, HANG]),
    max_size=4,
)
RUNS = st.lists(
    st.tuples(st.sampled_from([LINUX, MACOS, WINDOWS]), VERSIONS, VERSIONS, CELLS),
    min_size=1,
    max_size=4,
)


@given(runs=RUNS, data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_merged_in_whatever_order(runs: list[Any], data: st.DataObject) -> None:
    """Any nesting and order gives one report, with every result in it once, under its own id."""
    reports = [
        report(
            *(
                result(cell(name, layout=layout, repeat=repeat), verdict)
                for (name, layout, repeat), verdict in cells.items()
            ),
            run=f"2026010{at % 2}-000000-{at}",
            host=host,
            interpreters=[interpreter("py", version), interpreter("conda", other)],
        )
        for at, (host, version, other, cells) in enumerate(runs)
    ]
    flat = merged(*reports)
    everything = [each.cell.id for each in (*flat.cells, *flat.controls)]
    assert len(everything) == len(set(everything))
    assert len(flat.cells) == sum(len(each.cells) for each in reports)
    assert sum(len(part.repeats) for part in flat.merged) == len(everything)
    shuffled = data.draw(st.permutations(reports))
    cut = data.draw(st.integers(0, len(reports)))
    nested = [merged(*part) for part in (shuffled[:cut], shuffled[cut:]) if part]
    assert merged(*nested) == flat
    assert msgspec.json.decode(msgspec.json.encode(flat), type=Report) == flat


def test_taking_apart_gives_back_the_runs() -> None:
    runs = three()
    for before, after in zip(runs, take_apart(merged(*runs)), strict=True):
        assert msgspec.structs.replace(after, interpreters=()) == msgspec.structs.replace(
            before, interpreters=()
        )
        assert {each.name for each in after.interpreters} == {
            each.name for each in before.interpreters
        }


def test_a_failed_control_spoils_the_merged_report() -> None:
    one, two, third = three()
    assert merged(one, two).controlled
    assert not merged(one, two, third).controlled
    assert merged(one, two, third).summary.controls_failed == (
        "positive-control/conda@Windows-AMD64/baseline/thread-imports/factory/main",
        "positive-control/py@Windows-AMD64/baseline/thread-imports/factory/main",
    )


def test_a_run_without_controls_is_not_covered_by_those_of_another() -> None:
    both = merged(report(result(), run=A), report(result(), run=B, controls=()))
    assert not both.controlled
    assert both.summary.controls_missing == (f"all controls of run {B}",)


def test_missing_controls_keep_their_interpreter() -> None:
    name = "positive-control/py/baseline/thread-imports/factory/main"
    cut = report(result(), run=B, host=MACOS)
    summary = msgspec.structs.replace(cut.summary, controls_missing=(name,), complete=False)
    both = merged(report(result(), run=A), msgspec.structs.replace(cut, summary=summary))
    assert both.summary.controls_missing == (name.replace("/py/", "/py@Darwin-arm64/"),)
    assert not both.summary.complete


def test_notes_of_runs_say_which_run() -> None:
    both = merged(*three())
    assert f"run {A}: line 3 is damaged" in both.notes


def test_of_two_copies_the_one_with_evidence_is_taken() -> None:
    whole = report(result(verdict=HANG), run=A)
    (hung,) = whole.cells
    assert isinstance(hung.observation, Known)
    bare = msgspec.structs.replace(hung.observation.value, evidence=unknown("its file is gone"))
    cut = msgspec.structs.replace(
        whole, cells=(msgspec.structs.replace(hung, observation=known(bare, "run")),)
    )
    assert merged(cut, whole).cells == merged(whole, cut).cells == whole.cells


def test_two_reports_of_one_run_that_differ_are_refused() -> None:
    with pytest.raises(ReportError, match=f"say that they are run {A}"):
        merged(report(result(), run=A), report(result(verdict=HANG), run=A))


def test_a_damaged_merged_report_is_refused() -> None:
    both = merged(*three())
    first, *others = both.merged
    lost = msgspec.structs.replace(first, repeats={})
    twice = msgspec.structs.replace(others[0], repeats=first.repeats)
    with pytest.raises(ReportError, match="does not say which run"):
        merged(msgspec.structs.replace(both, merged=(lost, *others)))
    with pytest.raises(ReportError, match="is said to be of two runs"):
        merged(msgspec.structs.replace(both, merged=(first, twice, *others[1:])))


def test_nothing_to_merge_is_refused() -> None:
    with pytest.raises(ReportError, match="nothing to merge"):
        merged()


def test_a_merged_report_survives_the_disk(tmp_path: Path) -> None:
    both = merged(*three())
    write_report(both, tmp_path)
    again = read_report(tmp_path)
    assert again == both
    assert merged(again) == both
