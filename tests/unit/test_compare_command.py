"""The commands ``report merge`` and ``report compare``, from arguments to exit status."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import pytest
from unit.test_compare_samples import MACOS, import_and_join, report
from unit.test_compare_samples import deadlock as deadlocked
from unit.test_report_samples import cell, result

from deadlock_matrix import cli
from deadlock_matrix.errors import ExitStatus
from deadlock_matrix.model.comparison import ComparisonDocument
from deadlock_matrix.model.report import SCHEMA_VERSION, Report
from deadlock_matrix.report.migrations import MIGRATIONS
from deadlock_matrix.report.store import read_report, write_report

OLD, NEW = "20270101-000000-aaaa", "20270102-000000-bbbb"


def written(folder: Path, what: Report) -> str:
    return str(write_report(what, folder))


@pytest.fixture
def fine(tmp_path: Path) -> str:
    return written(tmp_path / "fine", report(result(), run=OLD))


@pytest.fixture
def stuck(tmp_path: Path) -> str:
    return written(tmp_path / "stuck", report(deadlocked(import_and_join()), run=NEW))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest configuration is that of the test."""
    (tmp_path / "pyproject.toml").write_text("[tool.deadlock-matrix]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["deadlock-matrix", "report", *arguments])
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_comparing_is_no_gate(
    fine: str, stuck: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "compare", fine, stuck) == ExitStatus.OK
    said = capsys.readouterr().out
    assert said.startswith("1 cell changed, 0 not: 1 new-deadlock\n")
    assert "FAILS" not in said


@pytest.mark.parametrize(("turned", "status"), [(False, ExitStatus.FAILED), (True, ExitStatus.OK)])
def test_the_gate_has_an_exit_status(
    fine: str,
    stuck: str,
    turned: bool,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pair = (stuck, fine) if turned else (fine, stuck)
    assert run(monkeypatch, "compare", *pair, "--gate") == status
    first = capsys.readouterr().out.splitlines()[0]
    assert first == ("gate: passed" if turned else "gate: failed by 1 new-deadlock")


def test_the_configuration_decides(
    fine: str, stuck: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "gate.toml"
    other.write_text('[gate]\nfail-on = ["new-hang"]\n')
    assert run(monkeypatch, "compare", fine, stuck, "--gate", "--config", str(other)) == 0
    (tmp_path / "pyproject.toml").write_text(
        "[[tool.deadlock-matrix.gate.expected]]\n"
        'cell = "py/*"\nkind = "new-deadlock"\nreason = "known"\nuntil = 9999-12-31\n'
    )
    assert run(monkeypatch, "compare", fine, stuck, "--gate") == 0
    (tmp_path / "pyproject.toml").write_text('[tool.deadlock-matrix.gate]\nfail-on = ["worse"]\n')
    assert run(monkeypatch, "compare", fine, stuck, "--gate") == ExitStatus.USAGE
    assert run(monkeypatch, "compare", fine, stuck) == 0


def test_a_configuration_without_a_gate_is_a_mistake(
    fine: str, stuck: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = str(tmp_path / "pyproject.toml")
    assert run(monkeypatch, "compare", fine, stuck, "--config", config) == ExitStatus.USAGE


def test_everything_is_in_the_json(
    fine: str,
    stuck: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    file = tmp_path / "out.json"
    assert run(monkeypatch, "compare", fine, stuck, "--gate", "--json", str(file)) == 1
    assert capsysbinary.readouterr().out.startswith(b"gate: failed")
    document = msgspec.json.decode(file.read_bytes(), type=ComparisonDocument)
    assert document.gate is not None and not document.gate.passed
    assert [change.kind.value for change in document.gate.failed] == ["new-deadlock"]
    assert run(monkeypatch, "compare", fine, stuck, "--json", "-") == 0
    plain = json.loads(capsysbinary.readouterr().out)
    assert plain["gate"] is None
    assert plain["comparison"] == json.loads(file.read_bytes())["comparison"]


def test_a_gate_without_controls_is_refused(
    fine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = written(tmp_path / "bare", report(result(), run=NEW, controls=()))
    assert run(monkeypatch, "compare", fine, bare, "--gate") == ExitStatus.TOOL_FAILED
    assert "a gate needs controls" in capsys.readouterr().err


def test_a_gate_over_an_older_schema_is_refused_and_a_comparison_is_not(
    fine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(Path(fine).read_bytes())
    document["schema_version"] = SCHEMA_VERSION - 1
    monkeypatch.setitem(
        MIGRATIONS, SCHEMA_VERSION - 1, lambda old: {**old, "schema_version": SCHEMA_VERSION}
    )
    old = tmp_path / "old.json"
    old.write_text(json.dumps(document))
    assert run(monkeypatch, "compare", str(old), fine) == 0
    assert run(monkeypatch, "compare", str(old), fine, "--gate") == ExitStatus.TOOL_FAILED
    assert "a gate needs reports of one schema version" in capsys.readouterr().err


def test_merging_writes_one_report(
    fine: str,
    stuck: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "merged"
    assert run(monkeypatch, "merge", fine, stuck, "-o", str(folder)) == 0
    said = capsys.readouterr()
    assert said.out.endswith("2 results and 4 controls of 2 runs on Linux x86_64\n")
    assert "is contradicted: ok in run" in said.err
    merged = read_report(folder)
    assert [part.run for part in merged.merged] == [OLD, NEW]
    hung = [each for each in merged.cells if each.judgement is not None]
    assert [each.observation for each in hung] == [
        each.observation for each in read_report(Path(stuck)).cells
    ]


def test_merging_does_not_write_over_a_report(
    fine: str, stuck: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Path(fine).read_bytes()
    folder = str(Path(fine).parent)
    assert run(monkeypatch, "merge", fine, stuck, "-o", folder) == ExitStatus.TOOL_FAILED
    assert Path(fine).read_bytes() == before


def test_a_fix_is_verified_across_platforms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Merge both sides, compare, and the page has both platforms before and after."""
    for word, day in (("before", 1), ("after", 2)):
        hung = deadlocked(import_and_join(), cell()) if word == "before" else result()
        linux = report(hung, run=f"2027010{day}-000000-aaaa")
        macos = report(result(), run=f"2027010{day}-000000-bbbb", host=MACOS)
        paths = [written(tmp_path / f"{word}-{n}", each) for n, each in enumerate((linux, macos))]
        assert run(monkeypatch, "merge", *paths, "-o", str(tmp_path / word)) == 0
    capsys.readouterr()
    pair = (str(tmp_path / "before"), str(tmp_path / "after"))
    assert run(monkeypatch, "compare", *pair, "--gate") == 0
    page = capsys.readouterr().out
    assert "py@Darwin-arm64   ok 1         ok 1" in page
    assert "py@Linux-x86_64   deadlock 1   ok 1" in page
    assert "cured-deadlock" in page
