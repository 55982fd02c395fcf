"""The journal of a watched pytest session: what a reader makes of it, whenever it looks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deadlock_matrix.pytest_plugin.guard import journal
from deadlock_matrix.pytest_plugin.guard.journal import BEGINNING, follow

LOCATION = ("test_it.py", 3, "test_it")


def write(folder: Path, *records: journal.Record) -> Path:
    writer = journal.Writer(folder)
    for record in records:
        writer.write(*record)
    return folder / f"{os.getpid()}{journal.SUFFIX}"


def test_what_is_written_is_read_in_order(tmp_path: Path) -> None:
    records = [
        (journal.START, "test_ü.py::test_it[日本]", LOCATION),
        (journal.PASSED, "setup", (0.1, 1.0, 1.1)),
        (journal.REPORT, '{"outcome": "failed"}', "call"),
    ]
    assert journal.read_all(write(tmp_path, *records)) == records


def test_a_record_is_read_when_it_is_whole(tmp_path: Path) -> None:
    whole = write(tmp_path, (journal.START, "a", LOCATION), (journal.FINISHING, 0)).read_bytes()
    for cut in range(len(whole)):
        path = tmp_path / "1.journal"
        path.write_bytes(whole[:cut])
        reader = journal.Reader(path)
        first = list(reader.read())
        with path.open("ab") as file:
            file.write(whole[cut:])
        rest = list(reader.read())
        reader.close()
        assert [record[0] for record in first + rest] == [journal.START, journal.FINISHING]


def test_there_may_be_no_journal(tmp_path: Path) -> None:
    assert journal.read_all(tmp_path / "1.journal") == []


@pytest.mark.parametrize(
    ("records", "told", "busy"),
    [
        ([], "loading plugins and conftest files", True),
        ([(journal.COLLECTING, "test_it.py")], "collecting test_it.py", True),
        ([(journal.COLLECTING, "")], "collecting tests", True),
        ([(journal.RUNNING,)], "between collection and the first test", False),
        ([(journal.START, "t", LOCATION)], "in the setup of t", True),
        (
            [(journal.START, "t", LOCATION), (journal.PASSED, "setup", (0, 0, 0))],
            "in the call of t",
            True,
        ),
        (
            [(journal.START, "t", LOCATION), (journal.REPORT, "{}", "call")],
            "in the teardown of t",
            True,
        ),
        (
            [(journal.START, "t", LOCATION), (journal.PASSED, "teardown", (0, 0, 0))],
            "after t",
            False,
        ),
        ([(journal.ENDING,)], "at exit, after pytest had finished", False),
    ],
)
def test_where_a_process_is(records: list[journal.Record], told: str, busy: bool) -> None:
    position = BEGINNING
    for record in records:
        position = follow(position, record)
    assert str(position) == told
    assert position.is_busy is busy
