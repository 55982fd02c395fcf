"""Shards: the same on every machine, balanced, and missed where one is missing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.matrix.shards import divide, parse_shard, take_shard
from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.outcome import RunOutcome
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.host import describe_tool
from deadlock_matrix.report.journal import Journal
from deadlock_matrix.report.merge import merge
from deadlock_matrix.report.plan import begin
from deadlock_matrix.report.shards import expected_times
from deadlock_matrix.report.store import assemble
from tests.unit.test_report_samples import cell, plan, result, right_controls

IDS = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=60, unique=True)
CELLS = tuple(cell(entry=f"e{number}") for number in range(20))


@given(ids=IDS, data=st.data())
def test_each_cell_is_in_one_shard_whatever_the_order(ids: list[str], data: st.DataObject) -> None:
    of = data.draw(st.integers(1, len(ids)))
    seconds = st.floats(0.01, 100.0)
    times = data.draw(st.dictionaries(st.sampled_from(ids), seconds))
    shards = divide(ids, of, times)
    assert set(shards) == set(ids)
    assert set(shards.values()) == set(range(1, of + 1))  # none is empty
    assert divide(data.draw(st.permutations(ids)), of, times) == shards
    if not times:
        sizes = Counter(shards.values()).values()
        assert max(sizes) - min(sizes) <= 1


def test_times_balance() -> None:
    times = {f"c{number}": 1.0 + number % 7 * 10 for number in range(70)}
    shards = divide(list(times), 4, times)
    loads = [sum(times[id_] for id_ in times if shards[id_] == n) for n in range(1, 5)]
    assert max(loads) - min(loads) <= 1.0 + 6 * 10
    assert max(loads) <= 1.05 * sum(loads) / 4


def test_times_are_those_of_the_point_or_of_another_interpreter(tmp_path: Path) -> None:
    slow = result(cell(entry="slow"), entry_s=9.9)  # 0.1 s more in all
    report = finished(tmp_path, (slow, result(cell(entry="fast"), entry_s=0.4)))
    ids = [
        cell(entry="slow", repeat=3).id,
        cell("other", entry="fast").id,
        cell(entry="unheard-of").id,
    ]
    assert expected_times(report, ids) == {ids[0]: 10.0, ids[1]: 0.5}


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2", "1/99999"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a shard"):
        parse_shard(text)


def test_more_shards_than_cells() -> None:
    with pytest.raises(ConfigurationError, match="3 shards are more than the 2 cells"):
        divide(["a", "b"], 3)


def finished(folder: Path, results: Any, **rest: Any) -> Report:
    controls = right_controls()
    begin(folder, plan(tuple(each.cell for each in results), (), **rest))
    with Journal(folder, "main") as journal:
        journal.extend((*results, *controls))
    return assemble(folder, duration_s=1.0)


def shards(folder: Path, of: int, cells: tuple[Cell, ...] = CELLS, name: str = "") -> list[Report]:
    made = []
    for number in range(1, of + 1):
        chosen, shard = take_shard(cells, parse_shard(f"{number}/{of}"))
        run = f"{name}run-{number}"
        results = [result(each) for each in chosen]
        made.append(finished(folder / run, results, run=run, shard=shard))
    return made


def test_all_of_them_are_the_whole(tmp_path: Path) -> None:
    report = merge(shards(tmp_path, 4), describe_tool())
    assert report.outcome is RunOutcome.AS_EXPECTED
    assert (len(report.cells), report.planned) == (20, 20)
    assert not any("shard" in note for note in report.notes)


@pytest.mark.parametrize("missing", [0, 3])
def test_a_missing_one_is_named_and_the_whole_is_incomplete(tmp_path: Path, missing: int) -> None:
    some = shards(tmp_path, 4)
    del some[missing]
    report = merge(some, describe_tool())
    assert report.outcome is RunOutcome.INCOMPLETE
    assert report.notes[0] == f"shard {missing + 1} is missing of 4, with 5 cells"
    assert report.planned == 20
    merged_in_two_steps = merge([merge(some[:2], describe_tool()), some[2]], describe_tool())
    assert merged_in_two_steps.notes == report.notes
    assert merged_in_two_steps.summary == report.summary


def test_a_shard_of_another_division_fills_no_gap(tmp_path: Path) -> None:
    some = shards(tmp_path, 2)[:1]
    others = shards(tmp_path, 2, CELLS[:-1], name="other-")[1:]
    report = merge([*some, *others], describe_tool())
    assert report.outcome is RunOutcome.INCOMPLETE
    assert len([note for note in report.notes if "missing of 2" in note]) == 2


def test_each_night_needs_all_of_its_own(tmp_path: Path) -> None:
    nights = [*shards(tmp_path, 2, name="a-"), *shards(tmp_path, 2, name="b-")]
    assert merge(nights, describe_tool()).outcome is RunOutcome.AS_EXPECTED
    report = merge(nights[:-1], describe_tool())
    assert report.outcome is RunOutcome.INCOMPLETE
    assert report.notes[0] == "shard 2 is missing of 2, with 10 cells"


def test_cells_that_a_shard_left_out_are_missed(tmp_path: Path) -> None:
    first, second = shards(tmp_path, 2)
    fewer = second.cells[:-2]
    second = msgspec.structs.replace(second, cells=fewer, planned=len(fewer))
    report = merge([first, second], describe_tool())
    assert report.outcome is RunOutcome.INCOMPLETE
    assert "all 2 shards are there, but 2 of their cells are missing" in report.notes


def test_a_verdict_is_no_shard(tmp_path: Path) -> None:
    whole = finished(tmp_path, [result(each, Verdict.OK) for each in CELLS])
    assert whole.shard is None
    assert merge([whole], describe_tool()).outcome is RunOutcome.AS_EXPECTED
