"""``deadlock-matrix report render``."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from deadlock_matrix.cli.report import command

EXAMPLE = Path(__file__).parents[2] / "reports" / "example"


def render(*arguments: object) -> Result:
    return CliRunner().invoke(command, ["render", *map(str, arguments)])


def test_several_formats_at_once(tmp_path: Path) -> None:
    page, summary, junit = tmp_path / "a.html", tmp_path / "a.md", tmp_path / "a.xml"
    done = render(EXAMPLE, "--html", page, "--markdown", summary, "--junit", junit)
    assert done.exit_code == 0, done.output
    assert page.read_text().startswith("<!doctype html>")
    assert "deadlock" in summary.read_text()
    assert ElementTree.parse(junit).getroot().tag == "testsuites"


def test_standard_output() -> None:
    done = render(EXAMPLE / "report.json", "--html", "-")
    assert done.exit_code == 0
    assert done.stdout.startswith("<!doctype html>")
    assert done.stdout.rstrip().endswith("</html>")


def test_no_evidence(tmp_path: Path) -> None:
    with_it, without = tmp_path / "with.html", tmp_path / "without.html"
    assert render(EXAMPLE, "--html", with_it).exit_code == 0
    assert render(EXAMPLE, "--html", without, "--no-evidence").exit_code == 0
    assert without.stat().st_size < with_it.stat().st_size / 4


def test_compare_with_itself(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    assert render(EXAMPLE, "--html", page, "--compare", EXAMPLE).exit_code == 0
    assert "0 cells changed, 12 not" in page.read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "nothing to write: give --html"),
        (["--html", "-", "--junit", "-"], "only one format can go to standard output"),
        (["--junit", "-", "--no-evidence"], "--no-evidence only changes the HTML page"),
        (["--junit", "-", "--compare", EXAMPLE], "--compare only changes --html and --markdown"),
    ],
)
def test_what_makes_no_sense_is_refused(options: list[object], told: str) -> None:
    done = render(EXAMPLE, *options)
    assert done.exit_code == 2
    assert told in done.output
