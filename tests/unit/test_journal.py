"""Finished cells survive whatever happens to the process that wrote them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import pytest

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import Exited
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report import journal as journal_of_results
from deadlock_matrix.report.journal import Journal, read_journal, read_journals, unwritten
from deadlock_matrix.report.side_files import SideFiles
from tests.unit.test_report_samples import cell, result

RESULTS = [result(cell(entry=name), Verdict.OK) for name in ("a", "b", "c")]


def written(folder: Path, worker: str = "gw0") -> Path:
    with Journal(folder, worker) as journal:
        for each in RESULTS:
            journal.append(each)
    return journal.path


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    contents = read_journal(written(tmp_path))
    assert list(contents.results) == RESULTS
    assert contents.damaged == ()


def test_every_line_is_one_write(tmp_path: Path) -> None:
    lines = written(tmp_path).read_bytes().splitlines()
    assert len(lines) == len(RESULTS)


def test_a_second_process_of_the_same_name_appends(tmp_path: Path) -> None:
    written(tmp_path)
    assert len(read_journal(written(tmp_path)).results) == 2 * len(RESULTS)


@pytest.mark.parametrize("cut", [1, 2, 50])
def test_a_truncated_last_line_costs_only_itself(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path)
    os.truncate(path, path.stat().st_size - cut - 1)
    contents = read_journal(path)
    assert list(contents.results) == RESULTS[:-1]
    (sentence,) = contents.damaged
    assert "gw0.jsonl: line 3" in sentence
    assert "ended while it wrote it" in sentence


def test_at_any_length_no_earlier_line_is_lost(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert len(read_journal(path).results) >= whole[:length].count(b"\n")


def test_the_next_line_does_not_continue_a_truncated_one(tmp_path: Path) -> None:
    path = written(tmp_path)
    os.truncate(path, path.stat().st_size - 20)
    with Journal(tmp_path, "gw0") as journal:
        journal.append(RESULTS[0])
    contents = read_journal(path)
    assert list(contents.results) == [*RESULTS[:-1], RESULTS[0]]
    assert len(contents.damaged) == 1


def test_a_damaged_line_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], b"\xff\x00 not json", lines[2]]) + b"\n")
    contents = read_journal(path)
    assert list(contents.results) == [RESULTS[0], RESULTS[2]]
    assert "line 2" in contents.damaged[0]


@pytest.mark.parametrize("block", [1, 1 << 11, 1 << 18])
def test_lines_are_counted_and_told_of_however_many_are_read_at_once(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_of_results, "BLOCK_BYTES", block)
    path = written(tmp_path)
    first, second, third = path.read_bytes().splitlines()
    lines = [first, b"", second + third, third, b"{}", first + b" ", second, b"[", first]
    path.write_bytes(b"\n".join(lines))
    contents = read_journal(path)
    assert list(contents.results) == [
        RESULTS[number] for number in (0, 2, 0, 1, 0)
    ]  # two in one line are none
    told = [sentence.partition(" is not a result")[0] for sentence in contents.damaged]
    assert told == [f"gw0.jsonl: line {number}" for number in (3, 5, 8)]


def test_workers_have_a_file_each(tmp_path: Path) -> None:
    written(tmp_path, "gw1")
    written(tmp_path, "gw0")
    assert len(read_journals(tmp_path).results) == 2 * len(RESULTS)


def test_a_run_without_a_finished_cell_has_an_empty_journal(tmp_path: Path) -> None:
    assert read_journals(tmp_path).results == ()


def test_an_ill_formed_result_is_refused_instead_of_lost(tmp_path: Path) -> None:
    observation = RESULTS[0].observation
    wrong = msgspec.structs.replace(
        observation,
        value=msgspec.structs.replace(observation.value, end=Exited(status="0")),  # type: ignore
    )
    broken = msgspec.structs.replace(RESULTS[0], observation=wrong)
    with Journal(tmp_path, "gw0") as journal, pytest.raises(ReportError, match=r"end\.status"):
        journal.append(broken)


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("in the way")
    with pytest.raises(ReportError, match="cannot be opened"):
        Journal(tmp_path, "gw0")


# --- evidence -----------------------------------------------------------------------------------

HUNG = result(cell(entry="d"), Verdict.DEADLOCK)


def test_evidence_is_there_before_the_line_that_refers_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    with Journal(tmp_path, "gw0") as journal:
        write = journal._write

        def look_and_write(line: bytes) -> None:
            seen.append(len(list((tmp_path / "evidence").glob("*.json"))))
            write(line)

        monkeypatch.setattr(journal, "_write", look_and_write)
        journal.append(HUNG)
    assert seen == [1]
    assert b"outside_holders" not in journal.path.read_bytes()
    (read,) = read_journal(journal.path).results
    assert SideFiles(tmp_path).fetch(read) == HUNG


def test_lines_with_evidence_inside_are_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "journal" / "gw0.jsonl"
    path.parent.mkdir()
    path.write_bytes(msgspec.json.encode(HUNG) + b"\n")
    (read,) = read_journals(tmp_path).results
    assert read == HUNG
    assert SideFiles(tmp_path).fetch(read) == HUNG


def test_evidence_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("in the way")
    with Journal(tmp_path, "gw0") as journal, pytest.raises(ReportError, match="cannot be written"):
        journal.append(HUNG)
    assert journal.path.read_bytes() == b""


def test_ill_formed_evidence_is_refused(tmp_path: Path) -> None:
    assert isinstance(HUNG.observation, Known)
    fact = HUNG.observation.value.evidence
    assert isinstance(fact, Known)
    wrong = msgspec.structs.replace(fact.value, machine="linux")
    observation = msgspec.structs.replace(
        HUNG.observation.value, evidence=msgspec.structs.replace(fact, value=wrong)
    )
    broken = msgspec.structs.replace(
        HUNG, observation=msgspec.structs.replace(HUNG.observation, value=observation)
    )
    with Journal(tmp_path, "gw0") as journal, pytest.raises(ReportError, match="machine"):
        journal.append(broken)
    assert not (tmp_path / "evidence").exists()


def test_text_that_is_no_unicode_is_one_clear_error(tmp_path: Path) -> None:
    with Journal(tmp_path, "gw0") as journal, pytest.raises(ReportError, match="ill-formed"):
        journal.append(msgspec.structs.replace(RESULTS[0], why="\udcff"))


def test_a_line_that_does_not_fit_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full takes a part of a line; what comes after it must be readable."""
    real = os.write

    def half(number: int, data: bytes) -> int:
        if b'"name":"b"' in data and len(data) > 100:
            return real(number, data[:100])
        if len(data) > 100 and not data.startswith(b"{"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(number, data)

    monkeypatch.setattr(os, "write", half)
    with Journal(tmp_path, "gw0") as journal:
        journal.append(RESULTS[0])
        with pytest.raises(ReportError, match="No space left on device") as caught:
            journal.append(RESULTS[1])
        journal.append(RESULTS[2])
    contents = read_journals(tmp_path)
    assert contents.results == (RESULTS[0], RESULTS[2])
    assert contents.damaged == ()
    assert unwritten(RESULTS[1], caught.value).reason == "No space left on device"


def test_what_could_not_be_written_is_handed_on_without_its_evidence() -> None:
    hung = result(cell(), Verdict.DEADLOCK)
    left = unwritten(hung, ReportError("it is ill-formed"))
    assert (left.result.verdict, left.result.judgement) == (hung.verdict, hung.judgement)
    assert isinstance(left.result.observation, Known)
    assert "could not be written" in left.result.observation.value.evidence.reason  # type: ignore[union-attr]
