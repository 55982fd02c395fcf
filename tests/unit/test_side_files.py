"""Evidence beside a report: written first, named by content, and never trusted."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deadlock_matrix.errors import ReportError
from deadlock_matrix.model.evidence import Evidence
from deadlock_matrix.model.fact import Aside, Known, Unknown, known
from deadlock_matrix.model.observation import CellResult
from deadlock_matrix.model.report import SCHEMA_VERSION, Report
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.report.migrations import EVIDENCE_MIGRATIONS
from deadlock_matrix.report.side_files import ASIDE, MAX_SIDE_FILE_BYTES, SideFile, SideFiles
from deadlock_matrix.report.store import read_report, write_report
from deadlock_matrix.report.summary import summarise
from tests.unit.test_report_samples import cell, evidence, plan, result, right_controls

OTHER = msgspec.structs.replace(
    evidence(), machine=msgspec.structs.replace(evidence().machine, kernel="6.2")
)
HUNG = (
    result(cell(entry="a"), Verdict.DEADLOCK),
    result(cell(entry="b"), Verdict.HANG),
)


def with_evidence(of: CellResult, fact: Known[Evidence] | Unknown) -> CellResult:
    assert isinstance(of.observation, Known)
    observation = msgspec.structs.replace(of.observation.value, evidence=fact)
    return msgspec.structs.replace(of, observation=known(observation, "run"))


def evidence_of(of: CellResult) -> Known[Evidence] | Unknown:
    assert isinstance(of.observation, Known)
    return of.observation.value.evidence


def make_report(*cells: CellResult) -> Report:
    head = plan(tuple(each.cell for each in cells), ())
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=head.tool,
        host=head.host,
        run=head.run,
        started=head.started,
        duration_s=1.0,
        arguments=(),
        interpreters=head.interpreters,
        cells=cells,
        controls=right_controls(),
        planned=len(cells),
        summary=summarise(cells, right_controls(), ()),
    )


def side_files(folder: Path) -> list[Path]:
    return sorted((folder / "evidence").iterdir())


def test_a_file_is_adopted_as_it_was_written(tmp_path: Path) -> None:
    plain = json.loads(msgspec.json.encode(SideFile(schema_version=3, evidence=OTHER)))
    data = json.dumps(plain, indent=3).encode()  # as no version spells it
    digest = hashlib.sha256(data).hexdigest()
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "evidence").mkdir(parents=True)
    (old / "evidence" / f"{digest}.json").write_bytes(data)
    file = f"evidence/{digest}.json"
    aside = Aside(reason=ASIDE, file=file, sha256=digest, size=len(data), source="two snapshots")
    stored = with_evidence(HUNG[0], aside)
    SideFiles(new).adopt(stored, old)
    assert evidence_of(SideFiles(new).fetch(stored)) == known(OTHER, "two snapshots")


def test_what_is_no_side_file_is_not_adopted(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "secret.json").write_bytes(b"{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    for file in ("evidence/../secret.json", "../old/secret.json", f"evidence/{digest}.json"):
        aside = Aside(reason=ASIDE, file=file, sha256=digest, size=2, source="two snapshots")
        SideFiles(tmp_path / "new").adopt(with_evidence(HUNG[0], aside), tmp_path / "old")
    assert not (tmp_path / "new").exists()


# --- there and back -----------------------------------------------------------------------------


def test_evidence_lies_beside_the_report(tmp_path: Path) -> None:
    report = make_report(*HUNG)
    path = write_report(report, tmp_path)
    assert b"outside_holders" not in path.read_bytes()
    (file,) = side_files(tmp_path)
    assert file.stem == hashlib.sha256(file.read_bytes()).hexdigest()
    assert read_report(tmp_path) == report


def test_each_distinct_evidence_has_one_file(tmp_path: Path) -> None:
    other = with_evidence(result(cell(entry="c"), Verdict.HANG), known(OTHER, "procfs"))
    write_report(make_report(*HUNG, other), tmp_path)
    assert len(side_files(tmp_path)) == 2
    first, second, third = map(evidence_of, read_report(tmp_path).cells)
    assert first == second != third == known(OTHER, "procfs")


def test_without_its_evidence_a_report_says_where_it_is(tmp_path: Path) -> None:
    write_report(make_report(*HUNG), tmp_path)
    fact = evidence_of(read_report(tmp_path, evidence=False).cells[0])
    assert isinstance(fact, Unknown)  # for whoever knows no more than known and unknown
    assert isinstance(fact, Aside)
    assert fact.reason == ASIDE
    assert (tmp_path / fact.file).stat().st_size == fact.size


def test_a_report_without_evidence_has_no_folder_for_it(tmp_path: Path) -> None:
    healthy = msgspec.structs.replace(make_report(result()), controls=())
    write_report(healthy, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_the_report_is_written_last(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("in the way")
    with pytest.raises(ReportError, match="cannot be written"):
        write_report(make_report(*HUNG), tmp_path)
    assert not (tmp_path / "report.json").exists()


def test_a_file_that_is_right_is_not_written_again(tmp_path: Path) -> None:
    write_report(make_report(*HUNG), tmp_path)
    (file,) = side_files(tmp_path)
    before = file.stat().st_ino
    write_report(make_report(*HUNG), tmp_path)
    assert file.stat().st_ino == before
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    write_report(make_report(*HUNG), tmp_path)
    assert file.read_bytes() == whole


def test_a_report_read_without_its_evidence_can_be_written_back(tmp_path: Path) -> None:
    report = make_report(*HUNG)
    before = write_report(report, tmp_path).read_bytes()
    assert write_report(read_report(tmp_path, evidence=False), tmp_path).read_bytes() == before
    (file,) = side_files(tmp_path)
    content = file.read_bytes()
    file.unlink()
    unread = read_report(tmp_path)
    file.write_bytes(content)
    assert write_report(unread, tmp_path).read_bytes() == before
    assert read_report(tmp_path) == report


# --- what is missing or damaged -----------------------------------------------------------------


def reason_after(folder: Path, *, report: Path | None = None) -> str:
    """Why the evidence is not known; everything else is read all the same."""
    read = read_report(report or folder)
    assert [each.verdict for each in read.cells] == [Verdict.DEADLOCK]
    fact = evidence_of(read.cells[0])
    assert isinstance(fact, Aside)
    assert "\n" not in fact.reason
    assert len(fact.reason) < 600
    return fact.reason


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The only side file of a report."""
    report = msgspec.structs.replace(make_report(HUNG[0]), controls=())
    write_report(report, tmp_path)
    (file,) = side_files(tmp_path)
    return file


def test_a_report_without_its_folder_opens(written: Path, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere.json"
    (tmp_path / "report.json").rename(alone)
    assert evidence_of(read_report(alone).cells[0]) == known(evidence(), "procfs")
    written.unlink()
    written.parent.rmdir()
    assert "is not there" in reason_after(tmp_path, report=alone)


def test_changed(written: Path, tmp_path: Path) -> None:
    data = written.read_bytes()
    written.write_bytes(data.replace(b"glibc 2.36", b"glibc 2.37"))
    assert "has been changed" in reason_after(tmp_path)


@pytest.mark.parametrize("size", [0, 10])
def test_truncated(written: Path, tmp_path: Path, size: int) -> None:
    os.truncate(written, size)
    assert "has been changed" in reason_after(tmp_path)


def test_grown(written: Path, tmp_path: Path) -> None:
    os.truncate(written, 1 << 40)  # sparse: it must not be read to its end
    assert "larger than" in reason_after(tmp_path)


def test_a_link_is_not_followed(written: Path, tmp_path: Path) -> None:
    elsewhere = written.rename(tmp_path / "elsewhere")
    written.symlink_to(elsewhere)
    assert "is a symbolic link" in reason_after(tmp_path)


def test_a_folder_that_is_a_link_is_not_followed(written: Path, tmp_path: Path) -> None:
    elsewhere = written.parent.rename(tmp_path / "elsewhere")
    (tmp_path / "evidence").symlink_to(elsewhere)
    assert "symbolic link" in reason_after(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(written: Path, tmp_path: Path) -> None:
    written.unlink()
    os.mkfifo(written)
    assert "not an ordinary file" in reason_after(tmp_path)


def test_a_folder_in_place_of_the_file(written: Path, tmp_path: Path) -> None:
    written.unlink()
    written.mkdir()
    assert "cannot be read" in reason_after(tmp_path) or "not an ordinary" in reason_after(tmp_path)


# --- what somebody wrote on purpose -------------------------------------------------------------


def refer(folder: Path, **changed: object) -> str:
    """Let the report refer to something else, and read it."""
    path = folder / "report.json"
    document = json.loads(path.read_bytes())
    document["cells"][0]["observation"]["value"]["evidence"].update(changed)
    path.write_text(json.dumps(document))
    return reason_after(folder)


@pytest.mark.parametrize(
    "file",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "evidence/../report.json",
        "evidence/../../secret.json",
        "evidence\\..\\..\\secret.json",
        "report.json",
        "evidence/",
        "",
        "evidence/\0.json",
        "evidence/" + "a" * 10_000 + ".json",
        "\x1b[2J\nno report: ",
    ],
)
def test_other_names_are_refused(written: Path, tmp_path: Path, file: str) -> None:
    assert "is not a side file of a report" in refer(tmp_path, file=file)


def test_a_hash_that_leads_elsewhere_is_refused(written: Path, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}.json"
    outside.write_text("{}")
    up = f"../../{tmp_path.name}"
    assert "not a side file" in refer(tmp_path, file=f"evidence/{up}.json", sha256=up)


@pytest.mark.parametrize("size", [0, -1, 1 << 60, 10**300, MAX_SIDE_FILE_BYTES + 1])
def test_impossible_sizes_are_refused(written: Path, tmp_path: Path, size: int) -> None:
    assert "is said to have" in refer(tmp_path, size=size)


def replace_content(folder: Path, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    (folder / "evidence" / f"{digest}.json").write_bytes(data)
    return refer(folder, file=f"evidence/{digest}.json", sha256=digest, size=len(data))


# From 3.14 on the room on the stack decides whether the depth or the wrong type is seen first.
TOO_DEEP = "nested deeper|is not a side file"


def as_side_file(text: bytes) -> bytes:
    return b'{"schema_version": %d, "evidence": %s}' % (SCHEMA_VERSION, text)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<html>", "is not JSON"),
        (b" ", "is empty"),
        (b"{}", "is not a side file"),
        (as_side_file(b"{}"), "is not a side file"),
        (as_side_file(b'{"machine": ')[:-1], "truncated"),
        (as_side_file(b"[" * 200_000 + b"]" * 200_000), TOO_DEEP),
        (as_side_file(b'{"x": NaN}'), "is not JSON"),
        (as_side_file(b'{"machine": 1e999}'), "is not a side file"),
        (as_side_file(b"9" * 100_000), "is not a side file"),
        (b'{"schema_version": 0, "evidence": {}}', "does not read"),
        (b'{"schema_version": 99999, "evidence": {}}', "does not read"),
        (b"\xff\xfe", "is not JSON"),
    ],
)
def test_content_with_the_right_hash_is_not_trusted(
    written: Path, tmp_path: Path, data: bytes, said: str
) -> None:
    assert re.search(said, replace_content(tmp_path, data))


def test_huge_numbers_in_evidence_are_read_and_written(tmp_path: Path) -> None:
    after = msgspec.structs.replace(evidence().after, root=10**300)
    huge = msgspec.structs.replace(evidence(), after=after)
    report = make_report(with_evidence(HUNG[0], known(huge, "procfs")))
    write_report(report, tmp_path)
    assert read_report(tmp_path) == report


def test_text_that_is_no_unicode_is_one_clear_error(tmp_path: Path) -> None:
    machine = msgspec.structs.replace(evidence().machine, kernel="\udcff")
    broken = msgspec.structs.replace(evidence(), machine=machine)
    with pytest.raises(ReportError, match="what JSON cannot"):
        write_report(make_report(with_evidence(HUNG[0], known(broken, "procfs"))), tmp_path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.text(), sha256=st.text(), size=st.integers())
def test_any_reference_is_evidence_or_one_reason(
    tmp_path: Path, file: str, sha256: str, size: int
) -> None:
    aside = Aside(reason="", file=file, sha256=sha256, size=size, source="")
    found = SideFiles(tmp_path).read(aside)
    assert isinstance(found, str)
    assert "\n" not in found


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_content_is_evidence_or_one_reason(tmp_path: Path, data: st.DataObject) -> None:
    whole = msgspec.json.encode(SideFile(schema_version=SCHEMA_VERSION, evidence=evidence()))
    at = data.draw(st.integers(0, len(whole)))
    content = data.draw(
        st.binary(min_size=1) | st.binary(max_size=4).map(lambda new: whole[:at] + new + whole[at:])
    )
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "evidence").mkdir(exist_ok=True)
    aside = Aside(
        reason="", file=f"evidence/{digest}.json", sha256=digest, size=len(content), source=""
    )
    (tmp_path / aside.file).write_bytes(content)
    found = SideFiles(tmp_path).read(aside)
    if isinstance(found, str):
        assert "\n" not in found
    else:
        assert isinstance(found.value, Evidence)


def test_side_files_of_an_older_version_are_migrated(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads(written.read_bytes())
    document["evidence"]["computer"] = document["evidence"].pop("machine")
    document["schema_version"] = SCHEMA_VERSION - 1
    data = json.dumps(document).encode()
    digest = hashlib.sha256(data).hexdigest()
    aside = Aside(
        reason="", file=f"evidence/{digest}.json", sha256=digest, size=len(data), source="procfs"
    )
    (tmp_path / aside.file).write_bytes(data)
    monkeypatch.setattr("deadlock_matrix.report.side_files.FIRST_VERSION", SCHEMA_VERSION - 1)

    def rename(old: dict[str, object]) -> dict[str, object]:
        return {**old, "machine": old.pop("computer")}

    monkeypatch.setitem(EVIDENCE_MIGRATIONS, SCHEMA_VERSION - 1, rename)
    assert SideFiles(tmp_path).read(aside) == known(evidence(), "procfs")
