"""The journal of a watched pytest session: what a reader makes of it, whenever it looks."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from deadlock_matrix.pytest_plugin.guard import journal
from deadlock_matrix.pytest_plugin.guard.position import BEGINNING, follow

LOCATION = ("test_it.py", 3, "test_it")


def phase(when: str, duration: float, start: float, stop: float) -> journal.Phase:
    return pytest.TestReport(
        "a", LOCATION, {}, "passed", None, when, duration=duration, start=start, stop=stop
    )  # type: ignore[arg-type]


TESTS = (journal.TESTS, ["a", "ü"], [LOCATION, ("test_ü.py", None, "test_ü")])
BEGUN = [(journal.START, *test) for test in zip(*TESTS[1:], strict=True)]


def write(folder: Path, *records: journal.Record, worker: str = "") -> Path:
    writer = journal.Writer(folder, worker)
    for record in records:
        if record in BEGUN and TESTS in records:
            writer.begun(BEGUN.index(record))
        elif record[0] == journal.PASSED:
            writer.passed(phase(record[1], *record[2]))
        else:
            writer.write(*record)
    return folder / journal.file_name(os.getpid(), worker)


def test_what_is_written_is_read_in_order(tmp_path: Path) -> None:
    records = [
        (journal.START, "test_ü.py::test_it[日本]", LOCATION),
        (journal.PASSED, "setup", (0.1, 1.0, 1.1)),
        (journal.REPORT, '{"outcome": "failed"}', "call"),
    ]
    assert journal.read_all(write(tmp_path, *records)) == records


def test_listed_tests_are_read_as_others(tmp_path: Path) -> None:
    passed = (journal.PASSED, "setup", (0.1, 1.0, 1.1))
    records = [(journal.START, "b", LOCATION), TESTS, BEGUN[1], passed, BEGUN[0], BEGUN[0]]
    path = write(tmp_path, *records, worker="gw0")
    assert journal.read_all(path) == records
    assert journal.pid_of(path.name) == os.getpid()


@pytest.mark.parametrize("time", [0.0, -1.0, float("inf")])
def test_odd_times_do_not_hide_what_follows(tmp_path: Path, time: float) -> None:
    records = [
        (journal.PASSED, "setup", (time, 0.0, 0.0)),
        (journal.PASSED, "call", (0.1, 1.0, 1.1)),
    ]
    assert journal.read_all(write(tmp_path, *records)) == records


def test_a_record_is_read_when_it_is_whole(tmp_path: Path) -> None:
    """Whatever of it is visible already: the rest of the file is zeros."""
    passed = (journal.PASSED, "call", (0.25, 1.7e9, 1.7e9 + 0.25))
    records = [TESTS, BEGUN[0], passed, BEGUN[1], (journal.FINISHING, 0)]
    whole = write(tmp_path, *records).read_bytes()
    size = len(whole.rstrip(b"\0"))
    for cut in range(size + 1):
        path = tmp_path / "1.journal"
        path.write_bytes(whole[:cut].ljust(len(whole), b"\0"))
        reader = journal.Reader(path)
        first = list(reader.read())
        assert list(reader.read()) == []
        path.write_bytes(whole)
        rest = list(reader.read())
        reader.close()
        assert first + rest == records


@pytest.mark.parametrize(
    "record",
    [
        (journal.START, "b", LOCATION),
        *BEGUN,
        (journal.PASSED, "setup", (0.0, 1.7e9, 1.7e9)),
        (journal.PASSED, "teardown", (0.25, 1.7e9, 1.7e9 + 0.25)),
    ],
)
def test_parts_that_become_visible_in_another_order_are_waited_for(
    tmp_path: Path, record: journal.Record
) -> None:
    begin = len(write(tmp_path, TESTS).read_bytes().rstrip(b"\0"))
    whole = bytearray(write(tmp_path, TESTS, record).read_bytes())
    visible = 8 if record[0] == journal.START and record not in BEGUN else 4
    for missing in range(begin + visible, len(whole.rstrip(b"\0"))):
        if not whole[missing]:
            continue
        torn = bytearray(whole)
        torn[missing] = 0
        path = tmp_path / "1.journal"
        path.write_bytes(torn)
        reader = journal.Reader(path)
        assert list(reader.read()) == [TESTS]
        path.write_bytes(whole)
        assert list(reader.read()) == [record]
        reader.close()


def test_long_records_and_many(tmp_path: Path) -> None:
    sizes = (1, 20_000, 3, 700_000, 16_376, 16_384, *[90] * 9_000)
    records: list[journal.Record] = [(journal.REPORT, "x" * size, "call") for size in sizes]
    for phase in journal.PHASES * 9_000:
        records.append((journal.PASSED, phase, (0.1, 1.0, 1.1)))
    path = write(tmp_path, *records)
    reader = journal.Reader(path)
    assert list(reader.read()) == records
    assert list(reader.read()) == []
    reader.close()


def test_a_reader_keeps_up_with_a_writer(tmp_path: Path) -> None:
    writer = journal.Writer(tmp_path)
    reader = journal.Reader(tmp_path / f"{os.getpid()}{journal.SUFFIX}")
    for number in range(6_000):
        writer.write(journal.COLLECTED, number, "x" * (number % 200))
        (record,) = reader.read()
        assert record[1] == number
    reader.close()


def test_what_there_is_no_room_for_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = journal.Writer(tmp_path)
    path = tmp_path / f"{os.getpid()}{journal.SUFFIX}"
    writer.write(journal.START, "a", LOCATION)

    def full(self: Path, mode: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        writer.write(journal.REPORT, "x" * 1_000_000, "call")
    writer.write(journal.FINISHING, 0)
    kinds = [record[0] for record in journal.read_all(path)]
    assert kinds == [journal.START, journal.FINISHING]


def test_who_has_let_go_does_not_write(tmp_path: Path) -> None:
    writer = journal.Writer(tmp_path)
    writer.write(journal.RUNNING)
    writer.let_go()
    writer.write(journal.ENDING)
    writer.begun(0)
    writer.passed(phase("call", 0.1, 1.0, 1.1))
    path = tmp_path / f"{os.getpid()}{journal.SUFFIX}"
    assert journal.read_all(path) == [(journal.RUNNING,)]


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
        (
            [(journal.START, "t", LOCATION), (journal.FINISHING, 0)],
            "at the end of the session, after t",
            True,
        ),
        ([(journal.FINISHING, 0)], "at the end of the session", True),
        (
            [
                (journal.DISTRIBUTING, False, False),
                (journal.START, "t", LOCATION),
                (journal.REPORT, "{}", "call"),
            ],
            "handing out tests to workers",
            False,
        ),
        (
            [(journal.DISTRIBUTING, False, False), (journal.FINISHING, 0)],
            "at the end of the session",
            True,
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
