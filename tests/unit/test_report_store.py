"""Reports: written whole, read back equal, and one clear error for everything else."""

from __future__ import annotations

import difflib
import json
import os
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import SCHEMA_VERSION, Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.host import describe_host, describe_tool
from deadlock_matrix.report.journal import Journal
from deadlock_matrix.report.plan import Plan, begin, read_plan, run_id, write_plan
from deadlock_matrix.report.schema import json_schema
from deadlock_matrix.report.store import assemble, decode_report, read_report, write_report
from deadlock_matrix.report.summary import summarise
from tests.unit.test_report_samples import (
    cell,
    chain,
    plan,
    result,
    right_controls,
)

EXAMPLE = Path(__file__).parents[2] / "reports" / "example" / "report.json"

CELLS = tuple(
    result(cell(entry=entry, layout=layout), verdict, chains={"torch": chain("pack", "torch")})
    for entry, layout, verdict in [
        ("b", "lazy", Verdict.OK),
        ("b", "eager", Verdict.DEADLOCK),
        ("a", "eager", Verdict.OK),
    ]
)
CONTROLS = right_controls()


def planned(cells: tuple[CellResult, ...] = CELLS) -> Plan:
    return plan(tuple(each.cell for each in cells), tuple(each.cell for each in CONTROLS))


def run(folder: Path, finished: tuple[CellResult, ...] = (*CONTROLS, *CELLS)) -> Path:
    begin(folder, planned())
    with Journal(folder, "main") as journal:
        for each in finished:
            journal.append(each)
    return folder


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return assemble(run(tmp_path / "run"), duration_s=12.5)


def test_a_report_is_read_back_equal(report: Report, tmp_path: Path) -> None:
    path = write_report(report, tmp_path)
    assert read_report(path) == report
    assert read_report(tmp_path) == report


def test_the_same_report_gives_the_same_bytes(report: Report, tmp_path: Path) -> None:
    first = write_report(report, tmp_path / "a").read_bytes()
    again = decode_report(first, "first")
    assert write_report(again, tmp_path / "b").read_bytes() == first


def test_nothing_but_the_report_is_left_in_the_folder(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path / "out")
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["evidence", "report.json"]
    assert all(path.suffix == ".json" for path in (tmp_path / "out" / "evidence").iterdir())


def test_a_folder_that_is_a_file_is_one_clear_error(report: Report, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ReportError, match="cannot be written"):
        write_report(report, tmp_path / "out")


# --- putting a report together ------------------------------------------------------------------


def test_cells_and_controls_are_sorted_by_id(report: Report) -> None:
    ids = [each.cell.id for each in report.cells]
    assert ids == sorted(ids)
    assert report.controls == tuple(sorted(CONTROLS, key=lambda each: each.cell.id))


def test_a_finished_run_is_complete_and_valid(report: Report) -> None:
    assert report.summary.complete
    assert report.planned == 3
    assert report.controlled
    assert report.duration_s == 12.5


def test_an_interrupted_run_tells_what_is_missing(tmp_path: Path) -> None:
    report = assemble(run(tmp_path, (*CONTROLS, CELLS[0])))
    assert not report.summary.complete
    assert (len(report.cells), report.planned) == (1, 3)
    assert report.controlled
    assert report.duration_s >= 0


def test_a_run_killed_before_its_first_cell_is_invalid(tmp_path: Path) -> None:
    begin(tmp_path, planned())
    report = assemble(tmp_path)
    assert not report.controlled
    assert len(report.summary.controls_missing) == 2


def test_cells_that_were_not_selected_are_not_missing(tmp_path: Path) -> None:
    run(tmp_path, (*CONTROLS, CELLS[0]))
    chosen = (*(each.cell.id for each in CONTROLS), CELLS[0].cell.id)
    write_plan(tmp_path, msgspec.structs.replace(planned(), selected=chosen))
    report = assemble(tmp_path)
    assert report.summary.complete
    assert report.planned == 1


def test_a_damaged_journal_line_is_told_in_the_report(tmp_path: Path) -> None:
    folder = run(tmp_path)
    with (folder / "journal" / "main.jsonl").open("ab") as file:
        file.write(b'{"cell": ')
    report = assemble(folder)
    assert len(report.cells) == 3
    assert "main.jsonl: line 6" in report.notes[0]


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(ReportError, match="already holds a run"):
        begin(tmp_path, planned())


def test_a_folder_without_a_plan_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"plan\.json does not exist"):
        assemble(tmp_path)


def test_a_damaged_plan_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"schema_version": 1}')
    with pytest.raises(ReportError, match="not the plan of a run"):
        read_plan(tmp_path)


def test_the_plan_of_another_version_is_left_to_that_version(tmp_path: Path) -> None:
    begin(tmp_path, msgspec.structs.replace(planned(), schema_version=SCHEMA_VERSION + 1))
    with pytest.raises(ReportError, match="use that version to write its report"):
        read_plan(tmp_path)


def test_run_ids_differ_and_sort_by_time() -> None:
    assert run_id() != run_id()
    assert run_id()[:8].isdigit()


# --- files that are no reports ------------------------------------------------------------------


def reading(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "report.json"
    path.write_bytes(data)
    with pytest.raises(ReportError) as caught:
        read_report(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="does not exist"):
        read_report(tmp_path / "report.json")


def test_a_run_that_was_killed_has_no_report_yet(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="was killed or is still running"):
        read_report(run(tmp_path))


def test_empty(tmp_path: Path) -> None:
    assert "empty" in reading(tmp_path, b"")


def test_not_json(tmp_path: Path) -> None:
    assert "not JSON" in reading(tmp_path, b"<html></html>")


def test_not_a_report(tmp_path: Path) -> None:
    assert "not a report" in reading(tmp_path, b"[1, 2]")
    assert "not a report" in reading(tmp_path, b'{"schema_version": 3}')


def test_truncated(report: Report, tmp_path: Path) -> None:
    data = write_report(report, tmp_path).read_bytes()
    assert "truncated" in reading(tmp_path, data[: len(data) // 2])


@pytest.mark.parametrize("version", ["9.1.0\n\x1b[2J", "9" * 10_000])
def test_what_a_file_says_does_not_spoil_the_message(tmp_path: Path, version: str) -> None:
    head = {"schema_version": 10**300, "tool": {"version": version}}
    message = reading(tmp_path, json.dumps(head).encode())
    assert message.isprintable()
    assert len(message.replace(str(tmp_path), "")) < 300


@pytest.mark.parametrize("verdict", ["\x1b[2J\n", "x" * 100_000])
def test_a_value_that_is_not_allowed_is_quoted_in_short(
    report: Report, tmp_path: Path, verdict: str
) -> None:
    document = json.loads(write_report(report, tmp_path).read_bytes())
    document["cells"][0]["verdict"] = verdict
    message = reading(tmp_path, json.dumps(document).encode())
    assert message.isprintable()
    assert len(message.replace(str(tmp_path), "")) < 500


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"9" * 5000])
def test_numbers_that_are_none(report: Report, tmp_path: Path, number: bytes) -> None:
    data = write_report(report, tmp_path).read_bytes()
    assert b'"duration_s": 12.5' in data
    reading(tmp_path, data.replace(b'"duration_s": 12.5', b'"duration_s": ' + number))


def test_a_sparse_file_of_a_terabyte_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(b"")
    os.truncate(tmp_path / "report.json", 1 << 40)
    with pytest.raises(ReportError, match="larger than 16384 MiB"):
        read_report(tmp_path)


def test_newer(report: Report, tmp_path: Path) -> None:
    document = json.loads(write_report(report, tmp_path).read_bytes())
    document["schema_version"] = SCHEMA_VERSION + 1
    document["tool"]["version"] = "9.1.0"
    message = reading(tmp_path, json.dumps(document).encode())
    assert "deadlock-matrix 9.1.0 or later is needed" in message


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_that_never_was(tmp_path: Path, version: int) -> None:
    assert "no such" in reading(tmp_path, json.dumps({"schema_version": version}).encode())


def test_older_versions_are_migrated_step_by_step(report: Report, tmp_path: Path) -> None:
    def rename(document: dict[str, object]) -> dict[str, object]:
        return {**document, "run": document["run_name"], "schema_version": SCHEMA_VERSION}

    document = json.loads(write_report(report, tmp_path).read_bytes())
    document |= {"schema_version": SCHEMA_VERSION - 1, "run_name": document.pop("run")}
    data = json.dumps(document).encode()
    migrated = decode_report(data, "old", {SCHEMA_VERSION - 1: rename})
    assert migrated == read_report(tmp_path, evidence=False)


def test_version_3_told_the_time_of_an_import_with_each_step(tmp_path: Path) -> None:
    report = read_report(EXAMPLE, evidence=False)
    document = json.loads(msgspec.json.encode(report))
    document["schema_version"] = 3
    for each in document["cells"]:
        facts = each["observation"]["value"]["probe"].get("value")
        if facts is not None:
            times = facts.pop("imported_s")
            for name, steps in facts["chains"].items():
                for step in steps:
                    step["at_s"] = times[name]
    assert b'"at_s":' in json.dumps(document, separators=(",", ":")).encode()
    assert decode_report(json.dumps(document).encode(), "old") == report
    document["cells"][0]["observation"]["value"]["probe"]["value"]["chains"] = {"a": [3], "b": 4}
    with pytest.raises(ReportError, match="is not a report"):
        decode_report(json.dumps(document).encode(), "old")


def test_larger_than_allowed(report: Report, tmp_path: Path) -> None:
    path = write_report(report, tmp_path)
    with pytest.raises(ReportError, match="larger than"):
        read_report(path, limit=1000)


def test_nested_without_end(tmp_path: Path) -> None:
    depth = 100_000
    data = b'{"schema_version": 1, "run": ' + b"[" * depth + b"]" * depth + b"}"
    assert "nested" in reading(tmp_path, data)


def test_not_utf_8(tmp_path: Path) -> None:
    reading(tmp_path, b'{"schema_version": 1, "run": "\xff\xfe"}')


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(
    st.binary() | _JSON.map(lambda value: json.dumps({"schema_version": 1, "x": value}).encode())
)
def test_any_bytes_are_a_report_or_one_error(data: bytes) -> None:
    with pytest.raises(ReportError):
        decode_report(data, "fuzz")


@settings(deadline=None)
@given(st.data())
def test_a_damaged_report_is_a_report_or_one_error(data: st.DataObject) -> None:
    whole = _example()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + data.draw(st.binary(max_size=4)) + whole[at + 1 :]
    try:
        decode_report(damaged, "fuzz")
    except ReportError as error:
        assert "\n" not in str(error)


def _example() -> bytes:
    values = {
        "schema_version": SCHEMA_VERSION,
        "tool": describe_tool(),
        "host": describe_host(),
        "run": "r",
        "started": "2026-01-31T15:45:00Z",
        "duration_s": 1.0,
        "arguments": (),
        "interpreters": planned().interpreters,
        "cells": CELLS,
        "controls": CONTROLS,
        "planned": 3,
        "summary": summarise(CELLS, CONTROLS, ()),
    }
    return msgspec.json.encode(values)


# --- size, schema -------------------------------------------------------------------------------


def test_ten_thousand_cells_are_read_in_under_a_second(report: Report, tmp_path: Path) -> None:
    many = tuple(
        msgspec.structs.replace(
            CELLS[0], cell=msgspec.structs.replace(CELLS[0].cell, repeat=number)
        )
        for number in range(1, 10_001)
    )
    path = write_report(msgspec.structs.replace(report, cells=many), tmp_path)
    began = time.process_time()  # the machine may be busy with other things
    assert len(read_report(path).cells) == 10_000
    assert time.process_time() - began < 1


def test_the_json_schema_names_every_field_of_a_report() -> None:
    schema = json_schema()
    assert schema["$ref"] == "#/$defs/Report"
    assert set(schema["$defs"]["Report"]["properties"]) == set(Report.__struct_fields__)
    assert set(schema["$defs"]["SideFile"]["properties"]) == {"schema_version", "evidence"}
    facts = schema["$defs"]["Observation"]["properties"]["evidence"]["anyOf"]
    assert {"$ref": "#/$defs/Aside"} in facts


def test_two_runs_that_came_out_alike_differ_in_few_lines(tmp_path: Path) -> None:
    """Workers finish in another order, and dictionaries are filled in another order."""
    first = assemble(run(tmp_path / "a"), duration_s=1.0)
    shuffled = tuple(
        msgspec.structs.replace(
            each,
            observation=msgspec.structs.replace(
                each.observation,
                value=msgspec.structs.replace(
                    each.observation.value,  # type: ignore[union-attr]
                    environment={"B": "2", "A": "1"},
                ),
            ),
        )
        for each in (*CELLS, *CONTROLS)
    )
    second = assemble(run(tmp_path / "b", shuffled), duration_s=1.0)
    one = write_report(first, tmp_path / "a").read_text().splitlines()
    two = write_report(second, tmp_path / "b").read_text().splitlines()
    changed = [line for line in difflib.ndiff(one, two) if line[0] in "+-"]
    # For each result, one line with an empty dictionary became four with a sorted one.
    assert len(changed) == 5 * (1 + 4)
    assert two[[line.strip() for line in two].index('"environment": {') + 1].strip() == '"A": "1",'


def test_the_host_has_no_name() -> None:
    host = describe_host()
    assert host.cores >= 1
    assert not {"node", "hostname", "user"} & set(host.__struct_fields__)
