"""The order in which environments are built, what is told meanwhile, and the README's lines."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from environments import building, fresh, marks, pip_settings
from environments.recipes import RECIPES

ROOT = Path(__file__).parents[2]


def test_what_gives_the_first_answer_is_built_first() -> None:
    todo = [RECIPES[name] for name in ("conda-mkl", "system-openblas", "pip-mkl", "pip-torch")]
    names = building.sessions(todo)
    assert names[:3] == ["numpy_on_mkl", "environment-pip-mkl", "environment-pip-torch"]
    assert names.index("conda_channel") < names.index("environment-conda-mkl")
    assert len(names) == len(set(names))


def test_the_first_answer_is_on_mkl_and_on_openblas() -> None:
    first = {each.promises["numpy"].partition(" ")[0] for each in RECIPES.values() if each.first}
    assert first == {"MKL", "OpenBLAS"}


def test_progress_says_how_far_what_and_since_when() -> None:
    told = building.progress(3, 9, [("pip-mkl", 41.2), ("conda-mkl", 2.0)])
    assert told == (
        "3 of 9 interpreters are ready; building pip-mkl (for 41 s), conda-mkl (for 2 s)"
    )


def test_marks_are_there_while_something_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "FOLDER", tmp_path / "building")
    with marks.mark("a"), pytest.raises(ValueError), marks.mark("b"):
        assert [name for name, _ in marks.under_way()] == ["a", "b"] or len(marks.under_way()) == 2
        raise ValueError
    assert marks.under_way() == []


def test_the_readme_has_two_lines_that_do_all_their_set_up() -> None:
    lines = fresh.read_lines((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(lines) == 2
    assert "nox -s deadlock_matrix" in lines[0] and "nox -s tests" in lines[1]
    assert all(line.startswith("python3 -m venv") for line in lines)


def test_a_readme_without_commands_has_no_lines() -> None:
    assert fresh.read_lines("# name\n\n```console\n$ x\n```\n") == []


@pytest.fixture
def plain_path() -> Iterator[Path]:
    """A folder whose path has no space: pip takes a space for the end of a value."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_pips_settings_become_one_file_and_what_they_name_is_found(plain_path: Path) -> None:
    tmp_path = plain_path
    index = tmp_path / "index" / "simple"
    index.mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    constraints = tmp_path / "limits.txt"
    constraints.touch()
    told = (
        f"global.find-links='{tmp_path}/wheels'\n"
        f"global.extra-index-url='file://{index} file:///nowhere/simple'\n"
        f"install.constraint='{constraints}'\n"
        ":env:.default-timeout='180'\n"
    )
    settings = pip_settings.parse(told)
    named = pip_settings.paths(word for setting in settings for word in setting.words)
    assert named == [tmp_path / "wheels", tmp_path / "index", constraints]
    text = pip_settings.write(settings)
    assert f"extra-index-url = file://{index}\n  file:///nowhere/simple" in text
    assert f"[install]\nconstraint = {constraints}" in text
    assert "180" not in text
