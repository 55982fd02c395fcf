"""``report validate``: what is right passes, and each thing that is wrong is said."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from deadlock_matrix.cli.report_validate import validate as command
from deadlock_matrix.model.report import SCHEMA_VERSION
from deadlock_matrix.report.store import read_report, write_report

EXAMPLE = Path(__file__).parents[2] / "reports" / "example"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example in the newest version, its evidence beside it."""
    write_report(read_report(EXAMPLE), tmp_path)
    return tmp_path


def run(*paths: Path) -> tuple[int, list[str]]:
    done = CliRunner().invoke(command, [str(path) for path in paths])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.output.splitlines()


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "report.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def test_the_example_is_valid() -> None:
    assert run(EXAMPLE) == (
        0,
        [
            f"{EXAMPLE}/report.json: valid: schema version {SCHEMA_VERSION}, "
            "12 cells, 3 controls, 2 judged again"
        ],
    )


def test_so_is_what_was_written_anew(folder: Path) -> None:
    status, (line,) = run(folder / "report.json")
    assert status == 0
    counts = "12 cells, 3 controls, 2 judged again"
    assert line.endswith(f"valid: schema version {SCHEMA_VERSION}, {counts}")


def first_hung(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in document["controls"] if each["judgement"])
    return found


def proved(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = first_hung(document)["observation"]["value"]["evidence"]
    return found


CHANGES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda d: d["cells"].reverse(), "the cells are not sorted by id"),
    (lambda d: d["controls"].reverse(), "the controls are not sorted by id"),
    (lambda d: d["interpreters"].insert(0, d["interpreters"][0] | {"name": "z"}), "interpreters"),
    (lambda d: d["cells"].append(d["controls"][-1]), "is listed among the cells"),
    (lambda d: d["controls"].insert(0, d["cells"][0]), "is listed among the controls"),
    (lambda d: d["summary"].update(cells=3), "the summary has cells 3, the results have 12"),
    (lambda d: d["summary"]["verdicts"].update(ok=12), "the summary has verdicts"),
    (lambda d: d["summary"].update(unexpected=7), "the summary has unexpected 7"),
    (lambda d: d["summary"].update(controls=0), "the summary has controls 0"),
    (lambda d: d["summary"].update(controls_failed=["x"]), "the summary has controls_failed"),
    (lambda d: d["summary"].update(controls_missing=["x"]), "says complete"),
    (lambda d: d.update(planned=13), "the summary says complete, with 12 of 13"),
    (lambda d: d["summary"].update(complete=False), "the summary says interrupted"),
    (
        lambda d: d["cells"][0].update(verdict="error"),
        "the report says error, but judging the evidence again gives ok",
    ),
    (
        lambda d: first_hung(d).update(verdict="hang"),
        "the report says hang, but judging the evidence again gives deadlock",
    ),
    (
        lambda d: first_hung(d)["judgement"].update(outcome="partial"),
        "its judgement says partial, but judging the evidence again gives deadlock",
    ),
    (
        lambda d: d["cells"][0].update(observation={"fact": "unknown", "reason": "lost"}),
        "is ok, but nothing was observed",
    ),
    (lambda d: proved(d).update(file="../../etc/passwd"), "cannot be read: '../../etc/passwd'"),
    (lambda d: proved(d).update(size=3), "is larger than 3 bytes"),
    (lambda d: proved(d).update(sha256="0" * 64), "is not a side file"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=[said for _, said in CHANGES])
def test_what_is_wrong_is_said(
    folder: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    edit(folder, change)
    status, (line, *faults) = run(folder)
    assert status == 1
    assert "fault" in line
    assert [fault for fault in faults if said in fault], faults


def test_a_control_that_is_missing_and_there(folder: Path) -> None:
    edit(
        folder,
        lambda d: d["summary"].update(
            complete=False,
            controls_missing=[
                "negative-control/pip-torch/baseline/healthy-slow-import/import/main"
            ],
        ),
    )
    status, (_, fault) = run(folder)
    assert status == 1
    assert "as missing, but it has a result" in fault


def test_side_files_that_are_gone(folder: Path) -> None:
    shutil.rmtree(folder / "evidence")
    status, (line, *faults) = run(folder)
    assert status == 1
    assert "2 faults" in line
    assert all("is not there" in fault for fault in faults)


def test_evidence_that_proves_something_else(folder: Path) -> None:
    """Whoever exchanges the evidence of two cells, with its right hash, is found out."""

    def exchange(document: dict[str, Any]) -> None:
        healthy = document["cells"][0]["observation"]["value"]
        healthy["end"] = {"ended": "stopped", "reason": "proved"}
        healthy["evidence"] = proved(document)

    edit(folder, exchange)
    status, (_, fault) = run(folder)
    assert status == 1
    assert "the report says ok, but judging the evidence again gives deadlock" in fault


def test_evidence_that_is_impossible(tmp_path: Path) -> None:
    """The types are right; what they say is not."""
    text = (EXAMPLE / "report.json").read_text()
    path = tmp_path / "report.json"
    path.write_text(re.sub(r'(?<="around": ")[0-9a-f]+', lambda found: "z" * len(found[0]), text))
    status, (_, *faults) = run(path)
    assert status == 1
    assert "its evidence cannot be judged: ValueError" in faults[0]


def test_many_faults_are_shown_in_part(folder: Path) -> None:
    def lie(document: dict[str, Any]) -> None:
        for number in range(40):
            other = json.loads(json.dumps(document["cells"][0]))
            other["cell"]["repeat"], other["verdict"] = number + 2, "crash"
            document["cells"].append(other)

    edit(folder, lie)
    status, lines = run(folder)
    assert status == 1
    assert len(lines) == 22
    assert lines[-1].strip().startswith("and ")


def test_each_file_has_its_line(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    status, lines = run(EXAMPLE, broken, tmp_path / "nowhere", folder)
    assert status == 1
    assert len(lines) == 4
    assert "truncated" in lines[1]
    assert "does not exist" in lines[2]
    assert "valid" in lines[3]
