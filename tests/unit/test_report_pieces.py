"""A report that is read piece by piece is the one that is read as a whole."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import SCHEMA_VERSION, Report
from deadlock_matrix.report import pieces as cutting
from deadlock_matrix.report.json_text import encode
from deadlock_matrix.report.plan import read_plan, write_plan
from deadlock_matrix.report.sharing import SharingDecoder
from deadlock_matrix.report.store import decode_report, read_report, write_report
from tests.unit.test_report_samples import plan

EXAMPLE = Path(__file__).parents[2] / "reports" / "example" / "report.json"
REPORT = read_report(EXAMPLE, evidence=False)
MARK = '},{"cell": {"target": "x"}}], "planned": 7, "controls": ['


decode_list = msgspec.json.Decoder(list[CellResult]).decode


def compact(report: Report) -> bytes:
    return msgspec.json.encode(report)


def indented(report: Report) -> bytes:
    return encode(report, indent=1, order="deterministic")


def wide(report: Report) -> bytes:
    return json.dumps(json.loads(compact(report)), indent=9, separators=(" ,", " :\r\n\t")).encode()


def sorted_by_name(report: Report) -> bytes:
    return json.dumps(json.loads(compact(report)), sort_keys=True).encode()


def other_way_round(report: Report) -> bytes:
    def turn(value: object) -> object:
        if isinstance(value, dict):
            return {key: turn(each) for key, each in reversed(value.items())}
        return [turn(each) for each in value] if isinstance(value, list) else value

    return json.dumps(turn(json.loads(compact(report)))).encode()


def marked(report: Report) -> Report:
    """With texts and names in it that look like the marks between results."""
    replace = msgspec.structs.replace
    first = report.cells[0]
    assert isinstance(first.observation, Known)
    seen = first.observation.value
    assert isinstance(seen.probe, Known)
    chains = seen.probe.value.chains
    steps = next(iter(chains.values()))
    facts = replace(seen.probe.value, chains={**chains, "controls": steps, "planned": steps})
    seen = replace(seen, probe=replace(seen.probe, value=facts), command=(MARK, *seen.command))
    first = replace(first, why=MARK, observation=replace(first.observation, value=seen))
    return replace(
        report, cells=(first, *report.cells[1:]), run=MARK, arguments=(MARK, '"cells":[')
    )


def without(report: Report, *names: str) -> Report:
    return msgspec.structs.replace(report, **dict.fromkeys(names, ()))


REPORTS = {
    "as it is": REPORT,
    "marks in texts": marked(REPORT),
    "no cells": without(REPORT, "cells"),
    "no controls": without(REPORT, "controls"),
    "neither": without(REPORT, "cells", "controls"),
    "one cell": msgspec.structs.replace(REPORT, cells=REPORT.cells[:1]),
}


@pytest.mark.parametrize("block", [1, 7, 4096, 1 << 20])
@pytest.mark.parametrize("way", [compact, indented, wide, sorted_by_name, other_way_round])
@pytest.mark.parametrize("name", REPORTS)
def test_any_way_to_write_it(
    name: str, way: Callable[[Report], bytes], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "BLOCK_BYTES", block)
    assert decode_report(way(REPORTS[name]), "report") == REPORTS[name]


@pytest.mark.parametrize("block", [1, 4096, 1 << 18])
@pytest.mark.parametrize("way", [compact, indented, wide])
@pytest.mark.parametrize("name", REPORTS)
def test_each_result_is_taken_out(
    name: str, way: Callable[[Report], bytes], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "BLOCK_BYTES", block)
    report = REPORTS[name]
    around, lists = cutting.take_apart(io.BytesIO(way(report)), decode_list)
    lists = {name: each for name, each in lists.items() if each}
    expected = {"cells": list(report.cells), "controls": list(report.controls)}
    assert lists == {name: each for name, each in expected.items() if each}
    assert msgspec.json.decode(around, type=Report) == without(report, "cells", "controls")


def test_many_results_are_decoded_at_once() -> None:
    repeated = msgspec.structs.replace(REPORT, cells=REPORT.cells * 20)
    sizes: list[int] = []

    def counting(data: bytes | memoryview) -> list[CellResult]:
        found = decode_list(data)
        sizes.append(len(found))
        return found

    _, lists = cutting.take_apart(io.BytesIO(indented(repeated)), counting)
    assert lists["cells"] == list(repeated.cells)
    assert max(sizes) > 5


@pytest.mark.parametrize("name", REPORTS)
def test_it_is_written_as_if_it_were_written_whole(name: str, tmp_path: Path) -> None:
    data = write_report(REPORTS[name], tmp_path).read_bytes()
    assert data == indented(read_report(tmp_path, evidence=False)) + b"\n"
    assert read_report(tmp_path) == REPORTS[name]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damage_is_damage_either_way(data: st.DataObject) -> None:
    whole = compact(without(REPORT, "interpreters"))
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.sampled_from([b"", b",", b"]", b"}", b"[", b'"', b"0", whole[:at]]))
    damaged = whole[:at] + other + whole[at + 1 :]
    block = data.draw(st.sampled_from([1 << 15, 1 << 18]))
    try:
        expected: Report | None = msgspec.json.decode(damaged, type=Report)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        expected = None
    if expected is not None and expected.schema_version != SCHEMA_VERSION:
        expected = None  # the damage is in the number, and a foreign version is refused
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "BLOCK_BYTES", block)
        try:
            found: Report | None = decode_report(damaged, "damaged")
        except ReportError:
            found = None
    assert found == expected


def test_a_part_too_large_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "MAX_PIECE_BYTES", 1000)
    with pytest.raises(msgspec.DecodeError, match="larger than"):
        cutting.take_apart(io.BytesIO(compact(REPORT)), decode_list)


# --- what is shared -------------------------------------------------------------------------------


def test_what_is_equal_is_there_once() -> None:
    one, other = read_report(EXAMPLE, evidence=False).cells[:2]
    assert one.cell != other.cell
    for axis in ("interpreter", "profile", "layout"):
        assert getattr(one.cell, axis) is getattr(other.cell, axis)
    assert isinstance(one.observation, Known) and isinstance(other.observation, Known)
    assert one.observation.value.stdout is other.observation.value.stdout


def test_many_that_are_alike_take_little_room() -> None:
    result = REPORT.cells[0]
    lines = [
        msgspec.json.encode(
            msgspec.structs.replace(result, cell=msgspec.structs.replace(result.cell, repeat=each))
        )
        for each in range(1, 501)
    ]
    decoder = SharingDecoder(CellResult)
    decoder.decode(lines[0])
    tracemalloc.start()
    try:
        kept = [decoder.decode(line) for line in lines]
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(kept) == 500
    assert used / 500 < len(lines[0]) / 2, "each has lists of its own again"


@pytest.mark.parametrize("result", [*REPORT.cells, *REPORT.controls], ids=lambda each: each.cell.id)
def test_a_result_is_what_it_was(result: CellResult) -> None:
    assert SharingDecoder(CellResult).decode(msgspec.json.encode(result)) == result


def test_texts_of_one_length_are_not_taken_for_each_other() -> None:
    replace = msgspec.structs.replace
    result = REPORT.cells[0]
    assert isinstance(result.observation, Known)
    results = []
    for number in range(40):
        text = f"{number % 4:04}"
        cell = replace(result.cell, target=text, profile=replace(result.cell.profile, name=text))
        seen = replace(result.observation.value, environment={"OMP_NUM_THREADS": text})
        results.append(
            replace(
                result, cell=cell, content=text, observation=replace(result.observation, value=seen)
            )
        )
    data = msgspec.json.encode(results)
    assert SharingDecoder(CellResult).decode_list(data) == results
    lines = b"".join(msgspec.json.encode(each) + b"\n" for each in results)
    assert SharingDecoder(CellResult).decode_lines(lines) == results


def test_what_is_refused_once_is_refused_again() -> None:
    decoder = SharingDecoder(CellResult)
    good = document(lambda each: None)
    for change in (
        lambda each: each.update(judgement={"outcome": 3}),
        lambda each: each["observation"]["value"].update(evidence=3),
        lambda each: each["cell"].update(profile={"name": 3}),
    ):
        bad = document(change)
        assert decoder.decode(good) == REPORT.cells[0]
        for _ in range(2):
            with pytest.raises(msgspec.ValidationError):
                decoder.decode(bad)
        assert decoder.decode(good) == REPORT.cells[0]


def test_a_plan_s_cells_share_their_axes(tmp_path: Path) -> None:
    cells = tuple(each.cell for each in REPORT.cells)
    written = plan(cells, tuple(each.cell for each in REPORT.controls))
    write_plan(tmp_path, written)
    found = read_plan(tmp_path)
    assert found == written
    assert found.cells[0].profile is found.cells[1].profile


def document(change: Callable[[dict[str, dict[str, object]]], object]) -> bytes:
    found = json.loads(msgspec.json.encode(REPORT.cells[0]))
    change(found)
    return json.dumps(found).encode()


def test_defaults_stand_for_what_is_missing() -> None:
    data = document(
        lambda each: [each.pop("content"), each.pop("taken_from"), each.pop("judgement")]
    )
    assert SharingDecoder(CellResult).decode(data) == msgspec.json.decode(data, type=CellResult)
    data = document(lambda each: each["cell"].pop("watch_modules"))
    assert SharingDecoder(CellResult).decode(data) == msgspec.json.decode(data, type=CellResult)


@pytest.mark.parametrize(
    "change",
    [
        lambda each: each["cell"].update(unheard=1),
        lambda each: each["cell"].pop("target"),
        lambda each: each["cell"].update(profile={"name": 3}),
        lambda each: each["cell"].update(repeat="1"),
        lambda each: each.update(verdict="fine"),
        lambda each: each.pop("observation"),
    ],
)
def test_it_refuses_what_is_no_result(
    change: Callable[[dict[str, dict[str, object]]], object],
) -> None:
    data = document(change)
    for decode in (SharingDecoder(CellResult).decode, msgspec.json.Decoder(CellResult).decode):
        with pytest.raises(msgspec.ValidationError):
            decode(data)
