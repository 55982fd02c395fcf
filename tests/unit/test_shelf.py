"""Results whose observations stay in the report's file: the same report comes of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from unit.test_compare_samples import TOOL, repeated, report, timed
from unit.test_report_pieces import REPORTS, compact, indented, wide
from unit.test_report_samples import cell, result

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.fact import Aside, Known
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report import pieces
from deadlock_matrix.report.merge import merge
from deadlock_matrix.report.shelf import Shelved, text_of
from deadlock_matrix.report.store import load, write_report

A, B = (f"2026010{day}-000000-{letter * 4}" for day, letter in ((1, "a"), (2, "b")))
ONE = report(*timed(0.1, 0.2, 0.3), result(cell(layout="lazy")), run=A)
OTHER = report(*timed(0.3, 0.4), *repeated([Verdict.DEADLOCK, Verdict.ERROR], layout="lazy"), run=B)


def complete(result: CellResult) -> CellResult:
    return msgspec.json.decode(text_of(result), type=CellResult)


def completed(loaded: Report) -> Report:
    return msgspec.structs.replace(
        loaded,
        cells=tuple(map(complete, loaded.cells)),
        controls=tuple(map(complete, loaded.controls)),
    )


@pytest.mark.parametrize("block", [1, 4096, 1 << 18])
def test_a_merged_report_is_the_same_byte_by_byte(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "BLOCK_BYTES", block)
    paths = [write_report(each, tmp_path / each.run) for each in (ONE, OTHER)]
    written = []
    for name, shelve in (("whole", False), ("shelved", True)):
        reports = [load(path, shelve=shelve).report for path in paths]
        found = [each for part in reports for each in (*part.cells, *part.controls)]
        left = [each for each in found if isinstance(each.observation, Shelved)]
        assert bool(left) is shelve
        written.append(write_report(merge(reports, TOOL), tmp_path / name).read_bytes())
    assert written[0] == written[1]
    # What a merge looks at, or copies, is there.
    for each in found:
        seen = complete(each).observation
        if isinstance(seen, Known) and isinstance(seen.value.evidence, Known | Aside):
            assert not isinstance(each.observation, Shelved)
    assert len(left) > len(found) / 2


@pytest.mark.parametrize("block", [1, 7, 4096, 1 << 18])
@pytest.mark.parametrize("way", [compact, indented, wide])
@pytest.mark.parametrize("name", REPORTS)
def test_each_result_is_found_again(
    name: str, way: object, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "BLOCK_BYTES", block)
    path = tmp_path / "report.json"
    path.write_bytes(way(REPORTS[name]))  # type: ignore[operator]
    assert completed(load(path, shelve=True).report) == REPORTS[name]


def test_only_what_is_written_as_we_write_it_stays_in_its_file(tmp_path: Path) -> None:
    # Its merged report could not be told from one that was written as a whole, or would be broken.
    path = write_report(ONE, tmp_path / "one")
    ours = path.read_bytes()
    for spelled, theirs in (
        (b'\n   "cell": {', b'\n   "cell":  {'),
        (b'"verdict": "ok"', b'"verdict":  "ok"'),
        (b'"target": "', b'"target": "\\u0073'),
        (b'"verdict": "ok",', b'"content": "",\n   "verdict": "ok",'),
    ):
        path.write_bytes(ours.replace(spelled, theirs))
        found = load(path, shelve=True).report
        assert not any(isinstance(each.observation, Shelved) for each in found.cells)


def test_what_a_terminal_would_obey_is_spelled_in_the_copy_too(tmp_path: Path) -> None:
    path = write_report(ONE, tmp_path / "one")
    path.write_bytes(path.read_bytes().replace(b'"kept": "', '"kept": "\u202e'.encode()))
    loaded = load(path, shelve=True).report
    assert any(isinstance(each.observation, Shelved) for each in loaded.cells)
    assert completed(loaded) == load(path).report
    written = write_report(merge([loaded], TOOL), tmp_path / "merged").read_bytes()
    assert written.isascii() and rb'"kept": "\u202e' in written


def test_a_file_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    path = write_report(ONE, tmp_path / "one")
    expected = load(path).report
    shelved = load(path, shelve=True).report
    write_report(OTHER, tmp_path / "one")  # another file takes its name
    assert completed(shelved) == expected


def test_a_file_that_is_changed_meanwhile(tmp_path: Path) -> None:
    path = write_report(ONE, tmp_path / "one")
    shelved = load(path, shelve=True).report
    size = path.stat().st_size
    for data in (b"", b" " * size, b"{" * size):
        path.write_bytes(data)
        with pytest.raises(ReportError, match="changed while it was read"):
            completed(shelved)


def test_the_file_is_closed_with_the_last_result(tmp_path: Path) -> None:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("nothing here lists the open files")
    path = write_report(ONE, tmp_path / "one")
    before = len(list(folder.iterdir()))
    shelved = load(path, shelve=True).report
    assert len(list(folder.iterdir())) == before + 1
    del shelved
    assert len(list(folder.iterdir())) == before
